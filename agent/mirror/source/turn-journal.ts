/**
 * A journal changes its role: a target's that has taken over becomes a source's, a source's that was overtaken becomes a
 * target's, or a source begins a generation of its own. Each is one superblock, so it has happened or it has not, and none
 * copies anything: all that the ring had to give is on the volumes by then. Nobody else may have the journal open.
 */
import { assert, AgentError } from '../../base/errors.ts';
import type { Files } from '../machine.ts';
import { wipeBehind } from '../store/recovery.ts';
import type { RingPlace } from '../store/ring.ts';
import {
  encodeSuper,
  JOURNAL_ROLE,
  JOURNAL_STATE,
  POLICY,
  readSuper,
  SuperWriter,
  type JournalSuper,
} from '../store/superblock.ts';
import { openTargetJournal } from '../target/open-journal.ts';
import type { VolumeDevice } from '../threads/volume-loop.ts';
import { GENERATION_BYTES } from '../wire/layout.ts';

const NONE = new Uint8Array(GENERATION_BYTES);
/** What says something of one role alone. */
const BLANK = { successor: NONE, cut: 0, cutChain: 0n, committed: 0, intentBytes: 0, orders: [] } as const;

/** A target's journal of which all that counts is on the volumes: its marks and its chain go on behind the cut. */
export function becomeSource(path: string, files: Files): void {
  turn(path, files, (_, superblock) => {
    const { role, state, cut, cutChain, committed, group, volumes } = superblock;
    assert(role === JOURNAL_ROLE.target && state === JOURNAL_STATE.takenOver, 'a journal that has taken over');
    assert(cut === committed, 'everything is on the volumes');
    const { end } = openTargetJournal(path, files.open(path), group, volumes);
    return {
      ...superblock,
      ...BLANK,
      ...emptyAt({ position: end, mark: cut, chain: cutChain, time: superblock.tailTime, cycle: superblock.tailCycle }),
      role: JOURNAL_ROLE.source,
      state: JOURNAL_STATE.consistent,
      policy: POLICY.degrade,
    };
  });
}

/**
 * A source's journal, stopped in order at `place`: everything is on the volumes. `isWhole`: the copy that they are holds
 * nothing that its new source lacks; else it has to be brought up anew.
 */
export function becomeTarget(path: string, files: Files, place: RingPlace, isWhole: boolean): void {
  turn(path, files, (device, superblock) => {
    assert(superblock.role === JOURNAL_ROLE.source, "a source's journal");
    // In a target's ring nothing tells an entry that a crash left behind the end from one that belongs there.
    const errno = wipeBehind(device, superblock, place.position);
    if (errno < 0) throw failed(path, errno);
    return {
      ...superblock,
      ...BLANK,
      ...emptyAt(place),
      ...(isWhole ? { cut: place.mark, cutChain: place.chain, committed: place.mark } : {}),
      role: JOURNAL_ROLE.target,
      state: isWhole ? JOURNAL_STATE.consistent : JOURNAL_STATE.initialising,
      policy: POLICY.degrade,
    };
  });
}

/** A source that was overtaken, or had given up its role, is one again, of a generation of its own. */
export function beginGeneration(path: string, files: Files, place: RingPlace, generation: Uint8Array): void {
  turn(path, files, (_, superblock) => {
    assert(superblock.role === JOURNAL_ROLE.source, "a source's journal");
    const until = { mark: place.mark, chain: place.chain };
    return {
      ...superblock,
      ...BLANK,
      ...emptyAt(place),
      generation,
      ancestry: [{ generation: superblock.generation, until }, ...superblock.ancestry],
      state: JOURNAL_STATE.consistent,
    };
  });
}

/** A ring that holds nothing, and whose next entry comes at `place`. */
const emptyAt = (place: RingPlace): Partial<JournalSuper> => ({
  tailPosition: place.position,
  tailMark: place.mark + 1,
  tailChain: place.chain,
  tailTime: place.time,
  tailCycle: place.cycle,
  durablePosition: place.position,
  sessionPosition: place.position,
  sessionMark: place.mark,
});

function turn(
  path: string,
  files: Files,
  next: (device: VolumeDevice, superblock: JournalSuper) => JournalSuper,
): void {
  const lock = files.lock(path);
  const device = files.open(path);
  try {
    if (typeof device === 'number') throw failed(path, device);
    const read = readSuper(device);
    if (typeof read === 'number') throw failed(path, read);
    if (!read.ok) throw new AgentError('volume', `journal ${path} has no superblock that holds: name the right file`);
    const turned = next(device, read.superblock);
    const sequence = read.superblock.sequence + 2 - (read.superblock.sequence % 2);
    const errno = new SuperWriter(read.copy).write(device, encodeSuper({ ...turned, sequence }));
    if (errno < 0) throw failed(path, errno);
  } finally {
    if (typeof device !== 'number') device.close();
    lock.close();
  }
}

const failed = (path: string, errno: number): AgentError =>
  new AgentError('volume', `journal ${path} cannot be read or written (errno ${-errno}): check its storage`);
