/** A journal on a disk that crashes, driven step by step, with an account of all that was appended. */
import { expect } from 'vitest';
import { Appender } from '../../../../agent/mirror/source/appender.ts';
import { emptySuper } from '../../../../agent/mirror/source/format-journal.ts';
import { allocateJournal, JOURNAL_WORD, JournalMemory } from '../../../../agent/mirror/store/journal-memory.ts';
import { recoverRing, type Recovery } from '../../../../agent/mirror/store/recovery.ts';
import { fileOffset, type RingPlace, type RingSize } from '../../../../agent/mirror/store/ring.ts';
import { encodeSuper, readSuper, SuperWriter, type JournalSuper } from '../../../../agent/mirror/store/superblock.ts';
import { JournalLoop } from '../../../../agent/mirror/threads/journal-loop.ts';
import { ENTRY, ENTRY_KIND, type Entry, type EntryKind } from '../../../../agent/mirror/wire/entry.ts';
import { JOURNAL_RING_OFFSET } from '../../../../agent/mirror/wire/layout.ts';
import { CrashDisk } from '../../../support/crash-disk.ts';
import type { Prng } from '../../../../agent/base/prng.ts';

export const SIZE: RingSize = { ringBytes: 128 * 1024, windowBytes: 32 * 1024 };
export const GENERATION: Uint8Array = Uint8Array.from({ length: 16 }, (_, i) => 200 + i);
const PAYLOAD_MAX = 6000;

export const freshSuper = (change: Partial<JournalSuper> = {}): JournalSuper => ({
  ...emptySuper({ group: 'group', generation: GENERATION, ...SIZE, volumes: [{ name: 'one', bytes: 65_536 }] }),
  ...change,
});

/** One entry as it was appended. */
export interface Written {
  readonly kind: EntryKind;
  readonly mark: number;
  readonly position: number;
  readonly end: number;
  readonly offset: number;
  readonly length: number;
  /** Header and payload, as they must lie in the file. */
  readonly bytes: Uint8Array;
  readonly durableBack: number;
}

export class JournalWorld {
  readonly disk: CrashDisk = new CrashDisk(JOURNAL_RING_OFFSET + SIZE.ringBytes);
  readonly random: Prng;
  /** Everything that is in the journal's line: what a crash took is taken out. */
  written: Written[] = [];
  superblock: JournalSuper = freshSuper();
  memory!: JournalMemory;
  appender!: Appender;
  loop!: JournalLoop;
  nowMs = 0;
  tells = 0;
  /** Whether entries before this position may be freed. */
  mayFree: (position: number) => boolean = () => true;
  #milestones: RingPlace[] = [];
  #time = 1n;

  constructor(random: Prng) {
    this.random = random;
    expect(new SuperWriter(1).write(this.disk, encodeSuper(this.superblock))).toBe(0);
  }

  /** What a start finds. */
  recover(): { found: Entry[]; recovery: Recovery } {
    const read = readSuper(this.disk);
    if (typeof read === 'number' || !read.ok) throw new Error('no superblock');
    this.superblock = read.superblock;
    const found: Entry[] = [];
    const recovery = recoverRing(this.disk, read.superblock, (entry) => found.push(entry));
    return { found, recovery };
  }

  /** Begins a process on what is there. */
  start(): void {
    const { recovery } = this.recover();
    if (!recovery.ok) throw new Error(`cannot start: ${recovery.fault}`);
    const { end } = recovery;
    this.written = this.written.filter((entry) => entry.end <= end.position);
    this.memory = new JournalMemory(allocateJournal(SIZE));
    this.appender = new Appender(this.memory, GENERATION, end, this.superblock.tailPosition, () => this.#time);
    this.appender.windowFloor = end.position;
    this.#milestones = [];
    this.loop = new JournalLoop(this.memory, end.position, GENERATION, {
      open: () => this.disk,
      nowMs: () => this.nowMs,
      tell: () => void this.tells++,
      more: () => {},
    });
    this.loop.step();
  }

  get durable(): number {
    return this.memory.position(JOURNAL_WORD.durable, this.appender.head);
  }

  /** Appends something, or a write of this length; false when there is no room. */
  append(bytes = 0): boolean {
    const { random, appender } = this;
    this.look();
    this.#time += BigInt(random.below(3));
    const kinds = [ENTRY_KIND.write, ENTRY_KIND.write, ENTRY_KIND.write, ENTRY_KIND.zero, ENTRY_KIND.seal];
    const kind = bytes > 0 ? ENTRY_KIND.write : random.pick(kinds);
    const length = kind === ENTRY_KIND.seal ? 0 : bytes || random.pick([1 + random.below(PAYLOAD_MAX), 416, 416]);
    const chunks: Uint8Array[] = [];
    if (kind === ENTRY_KIND.write) {
      const payload = new Uint8Array(length);
      random.fill(payload);
      const cut = random.below(length + 1);
      chunks.push(payload.subarray(0, cut), payload.subarray(cut));
    }
    const offset = random.below(60_000 - length);
    const milestone = appender.place;
    const put = appender.append(kind, 0, offset, length, chunks, 0);
    if (!put) return false;
    this.#milestones.push(milestone);
    const at = put.position % SIZE.windowBytes;
    const header = this.memory.window.slice(at, at + ENTRY.bytes + (kind === ENTRY_KIND.write ? length : 0));
    const durableBack = put.position - appender.durable;
    this.written.push({ ...put, kind, offset, length, bytes: header, durableBack });
    appender.publish();
    return true;
  }

  /** Main looks how far the journal thread is. */
  look(): void {
    this.appender.durable = this.durable;
    this.appender.windowFloor = this.durable;
  }

  /** Frees some of what is durable: the superblock first, then the room. */
  free(): void {
    const upTo = this.#milestones.filter(({ position }) => position <= this.durable && this.mayFree(position));
    const milestone = upTo.at(this.random.below(upTo.length));
    if (!milestone || milestone.position <= this.superblock.tailPosition) return;
    this.putSuper({
      tailPosition: milestone.position,
      tailMark: milestone.mark + 1,
      tailChain: milestone.chain,
      tailTime: milestone.time,
      tailCycle: milestone.cycle,
      durablePosition: Math.max(milestone.position, this.random.pick([this.durable, this.superblock.durablePosition])),
    });
    this.loop.step();
    if (this.memory.get(JOURNAL_WORD.superDone) !== this.memory.get(JOURNAL_WORD.superWanted)) return;
    this.appender.ringFloor = milestone.position;
  }

  putSuper(change: Partial<JournalSuper>): void {
    this.superblock = { ...this.superblock, ...change, sequence: this.superblock.sequence + 2 };
    this.memory.superblock.set(encodeSuper(this.superblock));
    Atomics.add(this.memory.words, JOURNAL_WORD.superWanted, 1);
  }

  isIntact({ position, bytes }: Written): boolean {
    const at = fileOffset(position, SIZE);
    return bytes.every((byte, i) => this.disk.content[at + i] === byte);
  }

  /** Some load: appends, steps, flush policies, frees. */
  work(actions: number): void {
    const { random, memory } = this;
    for (let i = 0; i < actions; i++) {
      const action = random.below(10);
      if (action < 6) this.append();
      else if (action < 8) this.loop.step();
      else if (action === 8) memory.set(JOURNAL_WORD.flushAlways, random.below(2));
      else this.free();
      this.nowMs += random.below(30);
    }
  }
}
