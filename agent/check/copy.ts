/**
 * The way from the send volume to the peers' receive volume: what is copied to, what copies, and whether the ring is long
 * enough for the time that a copy may take. Nothing is written.
 */
import { accessSync, constants, statSync } from 'node:fs';
import { examineTarget } from '../copy/local-target.ts';
import { AgentError } from '../base/errors.ts';
import { BlockDevice } from '../platform/block-device.ts';
import type { Settings } from '../settings/settings.ts';
import { examineSend } from '../volumes.ts';
import { error, ok, warning, type Finding } from './finding.ts';
import { codeOf, sizeText } from './system.ts';

/** Writers keep clear of the last eighth of a ring. */
const RING_PART = 7 / 8;
/** Bytes a second that a cluster's programs ask for easily, without a bulk load. */
const RATE_USUAL = 10e6;

export function checkCopy(settings: Settings): Finding[] {
  const { copy, command } = settings.storage;
  if (copy === 'shared') return [];
  let source: ReturnType<typeof examineSend>;
  try {
    source = examineSend(settings);
  } catch {
    // What is wrong with the send volume is told by the checks of volumes.
    return copy === 'command' && command ? [programFinding(command.run[0])] : [];
  }
  const findings = [ringFinding(settings, source.send.slotBytes)];
  if (copy === 'local') findings.unshift(targetFinding(settings, source));
  if (copy === 'command' && command) findings.unshift(programFinding(command.run[0]));
  return findings;
}

function targetFinding(settings: Settings, { send, volumeBytes }: ReturnType<typeof examineSend>): Finding {
  const path = settings.storage.localVolume ?? '';
  try {
    const device = BlockDevice.open(path);
    try {
      examineTarget(device, { path: send.path, identity: send.device, cluster: settings.cluster, volumeBytes });
    } finally {
      device.close();
    }
    return ok('copy.local', `${path} can be copied to`);
  } catch (caught) {
    if (!(caught instanceof AgentError)) throw caught;
    const at = caught.message.lastIndexOf(':');
    return error('copy.local', caught.message.slice(0, at), caught.message.slice(at + 2));
  }
}

function programFinding(program: string): Finding {
  const name = 'copy.command';
  try {
    if (!statSync(program).isFile()) return error(name, `${program} is no file`, 'name a program');
    accessSync(program, constants.X_OK);
    return ok(name, `${program} can be run`);
  } catch (caught) {
    const code = codeOf(caught);
    if (code === 'ENOENT') return error(name, `${program} is missing`, 'install it, or correct storage.command.run');
    return error(name, `${program} may not be run (${code})`, `chmod +x ${program}`);
  }
}

/** [AG9] A ring holds what is written while a copy is on its way; what does not fit waits. */
export function ringFinding({ storage }: Settings, slotBytes: number): Finding {
  const name = 'copy.ring';
  const { copyWithinMs, limits } = storage;
  const bears = (slotBytes * RING_PART * 1000) / copyWithinMs;
  const what = `a ring of ${sizeText(slotBytes)} bears ${sizeText(bears)} a second while copies take ${copyWithinMs} ms`;
  const wanted = limits.bytesPerSecond;
  if (wanted > bears) {
    const mend = 'format the volume larger or with fewer slots, lower the limit, or make the copy quicker';
    return warning(name, `${what}, and storage.limits allows ${sizeText(wanted)}: packets will wait`, mend);
  }
  if (wanted === 0 && bears < RATE_USUAL) {
    const mend = 'set storage.limits.bytesPerSecond, or format the volume larger';
    return warning(name, `${what}, and no limit is set: at a higher rate packets wait`, mend);
  }
  return ok(name, what);
}
