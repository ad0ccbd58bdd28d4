/**
 * What a lab has made on this host, and how to take it away again, whoever made it.
 *
 * Everything a lab makes bears its id: namespaces `stillbeat-<id>-…`, volume files `stillbeat-lab-<id>-….img`, and the
 * directory `<tmpdir>/stillbeat-lab-<id>` with `state.json`, which names the owner. The directory is made first and
 * removed last, so whatever is left of a lab whose owner died can be found from it. An owner is a process: pid, start
 * time and pid namespace, because pids are used again.
 *
 * Processes are never looked up by name: those to end are the ones inside the lab's own network namespaces.
 */
import { lstatSync, mkdirSync, readFileSync, readdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runSync } from './shell.ts';

const DIRECTORY_PREFIX = 'stillbeat-lab-';
const NAMESPACE_PREFIX = 'stillbeat-';
/** How long killed processes may take to vanish before the clean-up goes on without them. */
const KILL_WAIT_MS = 3000;

interface Owner {
  readonly pid: number;
  /** Field 22 of /proc/<pid>/stat: with it a pid that is used again is told from the owner. */
  readonly startTicks: string;
  readonly pidNamespace: string;
}

export interface LabState {
  readonly id: string;
  readonly directory: string;
  readonly volumeDirectory: string;
  readonly owner: Owner;
}

/** Makes the lab's directory and writes down who owns it, before anything else is made. */
export function createLabState(volumeDirectory: string, tag: string): LabState {
  const id = `${tag === '' ? '' : `${tag}-`}${process.pid}-${randomBytes(3).toString('hex')}`;
  const directory = join(tmpdir(), DIRECTORY_PREFIX + id);
  mkdirSync(directory, { mode: 0o700 });
  const owner = { pid: process.pid, startTicks: startTicks('self'), pidNamespace: readlinkSync('/proc/self/ns/pid') };
  const state = { id, directory, volumeDirectory, owner };
  writeFileSync(join(directory, 'state.json'), JSON.stringify(state));
  return state;
}

export function namespaceName(state: Pick<LabState, 'id'>, node: string): string {
  return `${NAMESPACE_PREFIX}${state.id}-${node}`;
}

export function volumeFile(state: LabState, name: string): string {
  return join(state.volumeDirectory, `${DIRECTORY_PREFIX}${state.id}-${name}.img`);
}

/** Removes everything that bears the lab's id. Synchronous, so that it works while the process ends; never throws. */
export function removeLab(state: LabState): void {
  const namespaces = labNamespaces(state);
  for (const namespace of namespaces) endProcesses(namespace);
  for (const namespace of namespaces) runSync(['ip', 'netns', 'del', namespace]);
  for (const file of labVolumeFiles(state)) {
    for (const device of loopDevicesOf(file)) runSync(['losetup', '--detach', device]);
    rmSync(file, { force: true });
  }
  rmSync(state.directory, { recursive: true, force: true });
}

/** Removes what labs of dead owners have left; answers their ids. */
export function removeLeftovers(): string[] {
  const removed: string[] = [];
  for (const name of readdirSync(tmpdir())) {
    if (!name.startsWith(DIRECTORY_PREFIX)) continue;
    const state = readLabState(join(tmpdir(), name));
    if (state === null || isAlive(state.owner)) continue;
    removeLab(state);
    removed.push(state.id);
  }
  return removed;
}

/**
 * A state is believed only from a directory that is our own: root must not delete what a stranger wrote into /tmp.
 * Null also when the owner has not written it yet.
 */
function readLabState(directory: string): LabState | null {
  try {
    const { uid, mode } = lstatSync(directory);
    if (uid !== process.getuid?.() || (mode & 0o077) !== 0) return null;
    const state = JSON.parse(readFileSync(join(directory, 'state.json'), 'utf8')) as LabState;
    return { ...state, directory };
  } catch {
    return null;
  }
}

function isAlive(owner: Owner): boolean {
  try {
    // An owner in another pid namespace cannot be judged from here: it is left alone.
    if (owner.pidNamespace !== readlinkSync('/proc/self/ns/pid')) return true;
    return startTicks(owner.pid) === owner.startTicks;
  } catch {
    return false;
  }
}

function startTicks(pid: number | 'self'): string {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The second field is the program's name in brackets and may hold spaces: count from behind it.
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '';
}

function labNamespaces(state: LabState): string[] {
  return list('/run/netns').filter((name) => name.startsWith(namespaceName(state, '')));
}

/** Also what the mirror keeps beside a journal. */
function labVolumeFiles(state: LabState): string[] {
  const prefix = `${DIRECTORY_PREFIX}${state.id}-`;
  return list(state.volumeDirectory)
    .filter((name) => name.startsWith(prefix) && name.includes('.img'))
    .map((name) => join(state.volumeDirectory, name));
}

function list(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

function endProcesses(namespace: string): void {
  const deadline = performance.now() + KILL_WAIT_MS;
  const pause = new Int32Array(new SharedArrayBuffer(4));
  for (;;) {
    const pids = runSync(['ip', 'netns', 'pids', namespace]).stdout.split('\n').filter(Boolean).map(Number);
    if (pids.length === 0 || performance.now() > deadline) return;
    for (const pid of pids) killQuietly(pid);
    Atomics.wait(pause, 0, 0, 5);
  }
}

function killQuietly(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // it has ended by itself
  }
}

function loopDevicesOf(file: string): string[] {
  return runSync(['losetup', '--associated', file, '--noheadings', '--output', 'NAME'])
    .stdout.split('\n')
    .map((line) => line.trim())
    .filter(Boolean);
}
