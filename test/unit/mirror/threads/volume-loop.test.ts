import { describe, expect, test, vi } from 'vitest';
import { JOURNAL_WORD, type JournalMemory } from '../../../../agent/mirror/store/journal-memory.ts';
import { VolumeLoop, type Image, type ImageCommand } from '../../../../agent/mirror/threads/volume-loop.ts';
import { ENTRY, ENTRY_KIND } from '../../../../agent/mirror/wire/entry.ts';
import { CrashDisk } from '../../../support/crash-disk.ts';
import { Prng } from '../../../../agent/base/prng.ts';
import { JournalWorld, SIZE, type Written } from '../store/journal-world.ts';

vi.setConfig({ testTimeout: 60_000 });

const VOLUME_BYTES = 65_536;
const seeds = Array.from({ length: 40 }, (_, i) => i + 1);

/** What the volume must hold after the entries up to this mark: A(mark). */
function contentAt(written: readonly Written[], mark: number): Uint8Array {
  const content = new Uint8Array(VOLUME_BYTES);
  for (const entry of written) if (entry.mark <= mark) applyTo(content, entry);
  return content;
}

function applyTo(content: Uint8Array, { kind, offset, length, bytes }: Written): void {
  if (kind === ENTRY_KIND.write) content.set(bytes.subarray(ENTRY.bytes), offset);
  if (kind === ENTRY_KIND.zero) content.fill(0, offset, offset + length);
}

/** Quicker than to compare and to print number by number. */
const expectSame = (a: Uint8Array, b: Uint8Array): void => expect(Buffer.compare(a, b)).toBe(0);

/** A journal's world with a volume thread on it. Nothing is freed before it is on the flushed volume. */
class VolumeWorld {
  readonly world: JournalWorld;
  readonly volume = new CrashDisk(VOLUME_BYTES);
  loop!: VolumeLoop;
  images: Image[] = [];
  #commands: ImageCommand[] = [];

  constructor(seed: number) {
    this.world = new JournalWorld(new Prng(seed));
  }

  get memory(): JournalMemory {
    return this.world.memory;
  }

  start(): void {
    this.world.start();
    const { superblock } = this.world;
    this.world.mayFree = (position) => position <= this.at('flushed');
    const start = { position: superblock.tailPosition, mark: superblock.tailMark - 1, volumeCount: 1 };
    this.loop = new VolumeLoop(this.memory, start, {
      open: () => this.volume,
      openJournal: () => this.world.disk,
      commands: () => this.#commands.splice(0),
      image: (image) => this.images.push(image),
      nowMs: () => this.world.nowMs,
      tell: () => {},
    });
  }

  at(word: 'stored' | 'flushed' | 'durable'): number {
    return this.memory.position(JOURNAL_WORD[word], this.world.appender.head);
  }

  command(command: ImageCommand): void {
    this.#commands.push(command);
    Atomics.add(this.memory.words, JOURNAL_WORD.commands, 1);
  }

  /** Lets both threads do all that they can. */
  settle(): void {
    this.memory.set(JOURNAL_WORD.flushAlways, 1);
    this.memory.publish(JOURNAL_WORD.volumeFlushWanted, this.world.appender.head);
    for (let i = 0; i < 100 && this.at('flushed') < this.world.appender.head; i++) {
      this.world.nowMs += 1000;
      this.world.loop.step();
      this.loop.step();
    }
  }

  work(actions: number): void {
    const { random } = this.world;
    for (let i = 0; i < actions; i++) {
      this.world.work(1 + random.below(4));
      if (random.below(3) === 0) this.loop.step();
      if (random.below(8) === 0) this.memory.publish(JOURNAL_WORD.volumeFlushWanted, this.at('stored'));
    }
  }
}

describe('volume loop', () => {
  test('[MI1] [I16] crash after crash: the volume ends as all entries in the order of their marks, none of them twice', () => {
    for (const seed of seeds) {
      const it = new VolumeWorld(seed);
      for (let round = 0; round < 4; round++) {
        it.start();
        it.work(60);
        it.world.disk.crash(it.world.random);
        it.volume.crash(it.world.random);
      }
      it.start();
      it.settle();
      expect(it.at('flushed')).toBe(it.world.appender.head);
      expectSame(it.volume.content, contentAt(it.world.written, it.world.appender.mark));
    }
  });

  test('nothing reaches the volume that is not durable in the journal', () => {
    const it = new VolumeWorld(1);
    it.start();
    it.memory.set(JOURNAL_WORD.flushAlways, 0);
    it.world.append(400);
    it.world.loop.step();
    it.loop.step();
    expect(it.volume.writes).toBe(0);
    it.memory.set(JOURNAL_WORD.flushAlways, 1);
    it.world.loop.step();
    it.loop.step();
    expect(it.volume.writes).toBe(1);
  });

  test('[MI15] writes and flushes of the volume fail: it goes back to the last good flush and ends whole', () => {
    let failed = 0;
    for (const seed of seeds) {
      const it = new VolumeWorld(seed);
      const { random } = it.world;
      it.start();
      const sometimes = () => (random.below(6) === 0 ? -5 : null);
      it.volume.writeFault = sometimes;
      it.volume.flushFault = sometimes;
      for (let i = 0; i < 20; i++) {
        it.work(5);
        if (it.memory.get(JOURNAL_WORD.volumeErrno) === 5) failed++;
      }
      it.volume.writeFault = () => null;
      it.volume.flushFault = () => null;
      it.settle();
      it.volume.crash(random);
      expect(it.memory.get(JOURNAL_WORD.volumeErrno)).toBe(0);
      expectSame(it.volume.content, contentAt(it.world.written, it.world.appender.mark));
    }
    expect(failed).toBeGreaterThan(50);
  });

  test('[CY8] while the volume is away the window goes on without it; when it is back it gets all from the file', () => {
    for (const seed of seeds) {
      const it = new VolumeWorld(seed);
      it.start();
      it.world.work(20);
      it.loop.step();
      it.memory.set(JOURNAL_WORD.flushAlways, 1);
      for (let i = 0; i < 200 && it.world.appender.head < 3 * SIZE.windowBytes; i++) {
        it.world.append();
        it.world.loop.step();
      }
      expect(it.world.appender.windowStart).toBeGreaterThan(it.at('stored'));
      it.settle();
      expectSame(it.volume.content, contentAt(it.world.written, it.world.appender.mark));
    }
  });

  test('an entry that main overwrites while it is on its way to the volume is written again from the file', () => {
    const it = new VolumeWorld(7);
    it.start();
    it.memory.set(JOURNAL_WORD.flushAlways, 1);
    it.world.append(1000);
    it.world.loop.step();
    const write = it.volume.write.bind(it.volume);
    it.volume.write = (offset, from) => {
      it.volume.write = write;
      // Here the call hangs, and main goes on for a whole lap of the window.
      while (it.world.appender.windowStart === 0) {
        it.world.append(4000);
        it.world.loop.step();
      }
      return write(offset, from);
    };
    it.loop.step();
    it.settle();
    expectSame(it.volume.content, contentAt(it.world.written, it.world.appender.mark));
  });

  test('[MI7] an image shows the volume between two entries', () => {
    for (const seed of seeds) {
      const it = new VolumeWorld(seed);
      it.start();
      const wanted = new Map<number, number>();
      for (let id = 1; id <= 10; id++) {
        it.work(1);
        wanted.set(id, it.world.appender.mark);
        it.command({ id, at: it.world.appender.head, volume: 0, offset: 0, length: VOLUME_BYTES });
      }
      it.settle();
      expect(it.images.map(({ id }) => id).sort((a, b) => a - b)).toEqual([...wanted.keys()]);
      for (const { id, mark, errno, bytes } of it.images) {
        expect({ errno, mark }).toEqual({ errno: 0, mark: wanted.get(id) });
        expectSame(bytes, contentAt(it.world.written, mark));
      }
    }
  });

  test('an image that comes too late, or cannot be read, is answered so; one without a place shows what is there', () => {
    const it = new VolumeWorld(3);
    it.start();
    it.world.append(400);
    it.settle();
    const image = { volume: 0, offset: 0, length: 4096 };
    it.command({ id: 1, at: 0, ...image });
    it.command({ id: 2, at: null, ...image });
    it.loop.step();
    it.volume.readFault = () => -5;
    it.command({ id: 3, at: null, ...image });
    it.command({ id: 4, at: null, ...image, volume: 9 });
    it.loop.step();
    expect(it.images.map(({ id, errno, mark }) => [id, errno, mark])).toEqual([
      [1, 116, 1],
      [2, 0, 1],
      [3, 5, 1],
      [4, 116, 1],
    ]);
  });

  test('a journal that cannot be read stops the volume, and damage in it is never applied', () => {
    const it = new VolumeWorld(5);
    it.start();
    it.memory.set(JOURNAL_WORD.flushAlways, 1);
    while (it.world.appender.windowStart === 0) {
      it.world.append(2000);
      it.world.loop.step();
    }
    it.world.disk.rot(1024 * 1024 + ENTRY.bytes + 5);
    it.loop.step();
    expect(it.memory.get(JOURNAL_WORD.volumeErrno)).toBe(5);
    expect(it.volume.writes).toBe(0);
    it.world.disk.rot(1024 * 1024 + ENTRY.bytes + 5);
    it.settle();
    expectSame(it.volume.content, contentAt(it.world.written, it.world.appender.mark));
  });
});
