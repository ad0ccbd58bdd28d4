/** What must hold of the way from the send volume to the peers' receive volume. */
import { parseEndpoint } from './address.ts';
import type { RecorderFile } from './mirror.ts';
import { each, type Given, type SettingsFile } from './given.ts';
import type { Problems } from './problems.ts';

/** Groups of `storage` that belong to one kind of copy. */
const GROUPS = {
  local: 'local: { volume: /dev/vg/receive }',
  command: 'command: { run: [/etc/stillbeat/copy, /dev/vg/receive] }',
  mirror: 'mirror: { journal: { path: /var/lib/stillbeat/send.journal } }',
} as const;

export function checkCopy(given: Given<SettingsFile>, problems: Problems): void {
  const { storage } = given;
  const kind = storage?.copy;
  if (storage === undefined || kind === undefined || problems.knows(['storage', 'copy'])) return;
  for (const name of ['local', 'command', 'mirror'] as const) {
    const path = ['storage', name];
    if (problems.knows(path)) continue;
    const isThere = storage[name] !== undefined;
    if (isThere && kind !== name) {
      problems.add(path, `belongs to copy: ${name}, and copy is ${kind}`, `remove it, or write copy: ${name}`);
    } else if (!isThere && kind === name) {
      problems.add(path, `missing, and copy: ${name} needs it`, `write for example ${GROUPS[name]}`);
    }
  }
  if (kind === 'local') checkLocal(given, problems);
  if (kind === 'command') checkCommand(given, problems);
  checkMirrors(given, kind === 'mirror', problems);
}

const LINK =
  'mirror: { connect: 192.168.60.2:7790, listen: 192.168.60.1:7790, journal: { path: /var/lib/stillbeat/from-b.journal } }';

function checkRecorders(recorders: Given<readonly RecorderFile[]> | undefined, problems: Problems): void {
  const names = recorders?.map((recorder) => recorder?.name);
  recorders?.forEach((recorder, index) => {
    const path = ['storage', 'mirror', 'recorders', index];
    const { fault } = recorder?.connect === undefined ? {} : parseEndpoint(recorder.connect);
    if (fault) problems.add([...path, 'connect'], fault.what, fault.mend);
    if (recorder?.name !== undefined && names?.indexOf(recorder.name) !== index)
      problems.add([...path, 'name'], `${recorder.name} is there twice`, 'give each its own');
  });
}

function checkMirrors(
  { storage, peers, unauthenticated }: Given<SettingsFile>,
  isMirror: boolean,
  problems: Problems,
): void {
  if (isMirror && unauthenticated === true) {
    problems.add(['unauthenticated'], 'true, and copy: mirror needs a key', 'write keyFile: instead');
  }
  const taken = new Map<string, string>();
  checkRecorders(storage?.mirror?.recorders, problems);
  const own = storage?.mirror?.journal?.path;
  if (own !== undefined) taken.set(own, 'storage.mirror');
  for (const [index, peer] of (peers ?? []).entries()) {
    if (peer === undefined || problems.knows(['peers', index, 'mirror'])) continue;
    const path = ['peers', index, 'mirror'];
    const { mirror, receive } = peer;
    if (!isMirror) {
      if (mirror !== undefined)
        problems.add(path, 'belongs to storage.copy: mirror', 'remove it, or write copy: mirror');
      continue;
    }
    if (mirror === undefined) {
      problems.add(path, 'missing, and copy: mirror needs it', `write for example ${LINK}`);
      continue;
    }
    if (receive?.volume === undefined) {
      const mend = 'write for example receive: { volume: /dev/vg/receive-b }';
      problems.add(['peers', index, 'receive'], 'missing: what the peer writes comes to a volume of its own', mend);
    }
    for (const key of ['connect', 'listen'] as const) {
      const text = mirror[key];
      if (text === undefined) continue;
      const { fault } = parseEndpoint(text);
      if (fault) problems.add([...path, key], fault.what, fault.mend);
    }
    for (const [key, text] of [
      ['listen', mirror.listen],
      ['journal', mirror.journal?.path],
    ] as const) {
      if (text === undefined) continue;
      const owner = taken.get(text);
      if (owner !== undefined) problems.add([...path, key], `${text} is already that of ${owner}`, 'give each its own');
      taken.set(text, `peer ${peer.node ?? index}`);
    }
  }
}

function checkLocal({ storage, peers }: Given<SettingsFile>, problems: Problems): void {
  const volume = storage?.local?.volume;
  if (volume === undefined) return;
  const path = ['storage', 'local', 'volume'];
  if (volume === storage?.send?.volume) {
    problems.add(path, `${volume} is the send volume itself`, 'name the volume that the peers read');
  }
  const read = peers?.find((peer) => peer?.receive?.volume === volume);
  if (read === undefined) return;
  const mend = 'a volume holds what one node writes: name another one';
  problems.add(path, `${volume} is where peer ${read.node ?? '?'} is read`, mend);
}

function checkCommand({ storage }: Given<SettingsFile>, problems: Problems): void {
  const { command, maxAgeMs, copyWithinMs } = storage ?? {};
  const [program] = each(command?.run);
  if (program !== undefined && !program.text.startsWith('/')) {
    const mend = 'write its whole path, such as /usr/bin/dd';
    problems.add(['storage', 'command', 'run', ...program.at], `${program.text} is no whole path`, mend);
  }
  const intervalMs = command?.intervalMs;
  if (intervalMs === undefined || command?.onCommand === true) return;
  const path = ['storage', 'command', 'intervalMs'];
  if (copyWithinMs !== undefined && intervalMs >= copyWithinMs) {
    const mend = 'write less, or raise copyWithinMs above it';
    problems.add(path, `${intervalMs} leaves no time within copyWithinMs (${copyWithinMs})`, mend);
  } else if (maxAgeMs !== undefined && intervalMs >= maxAgeMs) {
    const mend = 'write less, or raise maxAgeMs above it';
    problems.add(path, `${intervalMs} is not below maxAgeMs (${maxAgeMs}): packets would be too old`, mend);
  }
}
