/**
 * A source and a target compare volumes in place while clients write and cuts are applied: both sides' code, volumes in memory,
 * frames in order with other things in between, all from one seed.
 */
import { describe, expect, test } from 'vitest';
import { Prng } from '../../../agent/base/prng.ts';
import { RegionSet } from '../../../agent/mirror/core/region-set.ts';
import { CHECKSUMS } from '../../../agent/mirror/scan/digest.ts';
import { type DigestWish, VolumeDigests } from '../../../agent/mirror/scan/volume-digests.ts';
import { Compared } from '../../../agent/mirror/source/compared.ts';
import { Comparing } from '../../../agent/mirror/target/comparing.ts';
import { COMPARE_LEVEL, encodeRun } from '../../../agent/mirror/wire/compare.ts';
import { decodeEntry, ENTRY, entryBytes } from '../../../agent/mirror/wire/entry.ts';
import { FRAME, FRAME_KIND } from '../../../agent/mirror/wire/frame.ts';

const MIB = 1 << 20;
const BLOCK = 4096;
const EIO = 5;
const tile = Uint8Array.from({ length: MIB }, (_, i) => (i * 7 + (i >> 12)) & 255);

interface Write {
  readonly volume: number;
  readonly offset: number;
  readonly bytes: Uint8Array;
}

class World {
  readonly prng: Prng;
  readonly theirs: Uint8Array[];
  readonly ours: Uint8Array[];
  /** Entry of mark n at n - 1. */
  readonly writes: Write[] = [];
  /** Marks that the source's, and the target's, volumes bear. */
  stored = 0;
  applied = 0;
  /** What is under way to the target: frames and entries, in order. */
  readonly toTarget: (() => void)[] = [];
  readonly toSource: (() => void)[] = [];
  /** Marks that the target has got. */
  received = 0;
  imagesSent = 0;
  /** Of all frames, both ways. */
  wireBytes = 0;
  imagesAgain = 0;
  isDone = false;
  error: Error | null = null;
  readonly source: Compared;
  readonly target: Comparing;

  /** Blocks and regions of which digests were made, on both sides. */
  readonly digested = new Map<number, number>();

  /** `todo`: all, unless it is said. */
  constructor(
    seed: number,
    sizes: readonly number[],
    checksum: (typeof CHECKSUMS)[number] = 'crc32',
    todo?: RegionSet,
  ) {
    this.prng = new Prng(seed);
    this.theirs = sizes.map(tiled);
    this.ours = this.theirs.map((bytes) => bytes.slice());
    const digests =
      (volumes: Uint8Array[], made = new VolumeDigests()) =>
      async (volume: number, wish: DigestWish) => {
        this.digested.set(wish.unitBytes, (this.digested.get(wish.unitBytes) ?? 0) + wish.count);
        // Some time passes before they are made.
        for (let i = this.prng.below(4); i > 0; i--) await Promise.resolve();
        const content = volumes[volume] ?? new Uint8Array(0);
        const disk = {
          bytes: content.length,
          read: (offset: number, into: Uint8Array) => {
            into.set(content.subarray(offset, offset + into.length));
            return Math.min(into.length, content.length - offset);
          },
          write: () => -EIO,
          flush: () => 0,
        };
        return made.make(disk, volume, content.length, wish) as Uint8Array;
      };
    const failed = (error: Error) => void (this.error ??= error);
    const volumes = sizes.map((bytes) => ({ bytes }));
    this.source = new Compared(
      {
        checksum,
        volumes,
        generation: new Uint8Array(16),
        digests: digests(this.theirs),
        image: (volume, offset, length, done) => {
          this.#store(this.prng.below(3));
          const bytes = this.theirs[volume]?.slice(offset, offset + length) ?? new Uint8Array(0);
          done({ id: 0, errno: 0, position: 0, mark: this.stored, bytes });
        },
        send: (kind, _count, ...pieces) => {
          const body = Buffer.concat(pieces);
          this.wireBytes += FRAME.bytes + body.length;
          this.toTarget.push(() => (kind === FRAME_KIND.regions ? this.target.digests(body) : this.#images(body)));
        },
        isFull: false,
        done: () => (this.isDone = true),
        failed,
      },
      todo ?? RegionSet.all(volumes),
    );
    this.target = new Comparing({
      checksum,
      how: 'in place',
      volumes,
      digests: digests(this.ours),
      ask: (regions, body) => {
        this.wireBytes += FRAME.bytes + body.length;
        this.toSource.push(() => this.source.asked(regions, body));
      },
      failed,
    });
  }

  #images(body: Uint8Array): void {
    for (let at = 0; at < body.length;) at += this.#image(body.subarray(at));
  }

  /** Bytes that it takes in its frame. */
  #image(body: Uint8Array): number {
    const decoded = decodeEntry(body, 0);
    if (!decoded.ok) throw new Error(decoded.fault);
    const { volume, offset, payloadBytes, mark } = decoded.entry;
    this.imagesSent++;
    if (mark < this.applied) {
      this.imagesAgain++;
      this.target.again(volume, offset, payloadBytes);
      return entryBytes(payloadBytes);
    }
    this.ours[volume]?.set(body.subarray(ENTRY.bytes, ENTRY.bytes + payloadBytes), offset);
    this.target.arrived(volume, offset, payloadBytes);
    return entryBytes(payloadBytes);
  }

  /** A client writes; the entry leaves for the target behind what is under way already. */
  write(): void {
    const volume = this.prng.below(this.theirs.length);
    const size = this.theirs[volume]?.length ?? 0;
    const offset = this.prng.below(size);
    const bytes = Uint8Array.from({ length: 1 + this.prng.below(Math.min(9000, size - offset)) }, () =>
      this.prng.below(4),
    );
    const mark = this.writes.push({ volume, offset, bytes });
    this.toTarget.push(() => (this.received = mark));
  }

  /** The source's volume thread brings so many entries on. */
  #store(count: number): void {
    for (let i = 0; i < count && this.stored < this.writes.length; i++) put(this.theirs, this.writes[this.stored++]);
  }

  /** The target applies up to a cut that it has. */
  apply(to: number): void {
    while (this.applied < Math.min(to, this.received)) put(this.ours, this.writes[this.applied++]);
  }

  damage(times: number): void {
    for (let i = 0; i < times; i++) {
      const volume = this.ours[this.prng.below(this.ours.length)] as Uint8Array;
      const at = this.prng.below(volume.length);
      volume[at] = (volume[at] ?? 0) ^ 1;
    }
  }

  /** Until the comparison is over, then the rest of the entries. */
  async run(writes: number): Promise<void> {
    this.source.pump();
    for (let turn = 0; turn < 20_000 && !this.isDone && !this.error; turn++) {
      for (let i = this.prng.below(3); i > 0; i--) this.toTarget.shift()?.();
      for (let i = this.prng.below(3); i > 0; i--) this.toSource.shift()?.();
      if (this.writes.length < writes && this.prng.below(3) === 0) this.write();
      this.#store(this.prng.below(2));
      if (this.prng.below(6) === 0) this.apply(this.prng.below(this.writes.length + 1));
      await Promise.resolve();
      this.source.pump();
    }
    for (const deliver of this.toTarget) deliver();
    this.#store(Infinity);
    this.apply(Infinity);
  }
}

function tiled(bytes: number): Uint8Array {
  const content = new Uint8Array(bytes);
  for (let at = 0; at < bytes; at += MIB) content.set(tile.subarray(0, bytes - at), at);
  return content;
}

function put(volumes: readonly Uint8Array[], write: Write | undefined): void {
  if (write) volumes[write.volume]?.set(write.bytes, write.offset);
}

const equal = ({ theirs, ours }: World): boolean =>
  theirs.every((bytes, i) => Buffer.from(bytes).equals(ours[i] ?? new Uint8Array(0)));

test.each(CHECKSUMS)(
  'CR1 CR2: what differs is found and brought over, by %s, and nothing else is sent',
  async (checksum) => {
    const world = new World(1, [3 * MIB + 5000, 4096, 100], checksum);
    for (const at of [0, 4095, 4096, MIB - 1, MIB, 3 * MIB + 4999]) {
      const [first] = world.ours;
      if (first) first[at] = (first[at] ?? 0) ^ 1;
    }
    (world.ours[2] as Uint8Array)[99] = 200;
    expect(equal(world)).toBe(false);
    await world.run(0);
    expect([world.error, world.isDone, equal(world)]).toEqual([null, true, true]);
    // Blocks 0 and 1 are one run, and so are those around the first MiB's end but for the region between them.
    expect(world.imagesSent).toBe(5);
  },
);

test('CR2: one block in a hundred, anywhere: at most 0.85 of the bytes of rsync', async () => {
  const world = new World(8, [64 * MIB]);
  const [ours] = world.ours as [Uint8Array];
  const blocks = ours.length / BLOCK;
  const changed = new Set<number>();
  while (changed.size < blocks / 100) changed.add(world.prng.below(blocks));
  for (const block of changed) ours[block * BLOCK] = (ours[block * BLOCK] ?? 0) ^ 1;
  await world.run(0);
  expect([world.error, world.isDone, equal(world)]).toEqual([null, true, true]);
  // Of 1 GiB by blocks of 4 KiB: sums of 4 and 4 bytes for each block, a token of 4 back, and the blocks that differ.
  const rsync = blocks * 12 + changed.size * BLOCK;
  expect(world.wireBytes).toBeGreaterThan(changed.size * BLOCK);
  expect(world.wireBytes / rsync).toBeLessThanOrEqual(0.85);
}, 60_000);

test('CR4: of what a bitmap names, the blocks of its chunks are compared and nothing else of their regions', async () => {
  const sizes = [20 * MIB + 70_000, 5 * MIB];
  for (let seed = 1; seed <= 20; seed++) {
    const todo = new RegionSet(
      sizes.map((bytes) => ({ bytes })),
      true,
    );
    const world = new World(seed, sizes, 'crc32', todo);
    let marked = 0;
    for (let i = 0; i < 25; i++) {
      const volume = world.prng.below(2);
      const offset = world.prng.below(sizes[volume] ?? 0);
      const [ours] = [world.ours[volume] as Uint8Array];
      ours[offset] = (ours[offset] ?? 0) ^ 1;
      todo.mark(volume, offset, 1);
      marked++;
    }
    await world.run(0);
    expect([seed, world.error, world.isDone, equal(world)]).toEqual([seed, null, true, true]);
    expect([...world.digested.keys()]).toEqual([BLOCK]);
    expect(world.digested.get(BLOCK)).toBeLessThanOrEqual(2 * 16 * marked);
  }
});

test('CR3: equal volumes cost digests alone', async () => {
  const world = new World(2, [2 * MIB]);
  await world.run(0);
  expect([world.isDone, world.imagesSent]).toEqual([true, 0]);
});

test('an empty volume and one of a byte', async () => {
  const world = new World(3, [1]);
  (world.ours[0] as Uint8Array)[0] = 9;
  await world.run(0);
  expect([world.isDone, equal(world)]).toEqual([true, true]);
});

describe('CY4 MI12: while clients write and cuts are applied', () => {
  test('the copy is whole at the end, whatever comes when', async () => {
    let again = 0;
    for (let seed = 1; seed <= 30; seed++) {
      const world = new World(seed, [MIB + 12_345, 300_000]);
      world.damage(1 + world.prng.below(40));
      await world.run(1 + world.prng.below(200));
      expect([seed, world.error, world.isDone, equal(world)]).toEqual([seed, null, true, true]);
      again += world.imagesAgain;
    }
    // Late images did come: else the test shows nothing of them.
    expect(again).toBeGreaterThan(3);
  }, 60_000);
});

describe('what a peer gets wrong ends the comparison', () => {
  const run = (change: Partial<Parameters<typeof encodeRun>[0]>) =>
    encodeRun({ volume: 0, level: COMPARE_LEVEL.images, isLast: false, first: 0, count: 1, ...change });

  test.each([
    ['a volume that there is not', { volume: 1 }],
    ['blocks beyond the end', { first: 255, count: 2 }],
    ['no blocks', { count: 0 }],
    ['regions', { level: COMPARE_LEVEL.regions }],
  ])('the target asks for %s', (_, change) => {
    const world = new World(4, [MIB]);
    world.source.asked(0, run(change));
    expect(world.error?.message).toBe('the target asks for what there is not');
  });

  test('the target says that it has everything before it was told of all', () => {
    const world = new World(5, [MIB]);
    world.source.asked(0, new Uint8Array(0));
    expect(world.error?.message).toBe('the target ends a comparison that is not over');
  });

  test.each([
    ['digests of a volume that there is not', { volume: 1, level: COMPARE_LEVEL.regions }, 12],
    ['digests of regions beyond the end', { first: 1, level: COMPARE_LEVEL.regions }, 12],
    ['digests of blocks beyond the end', { first: 256, level: COMPARE_LEVEL.blocks }, 12],
    ['digests of images', {}, 12],
    ['a run behind digests, and none of it', { level: COMPARE_LEVEL.blocks }, 20],
    ['digests that are cut off', { level: COMPARE_LEVEL.regions }, 11],
  ])('the source sends %s', (_, change, bytes) => {
    const world = new World(6, [MIB]);
    world.target.digests(Buffer.concat([run(change), new Uint8Array(bytes)]));
    expect(world.error?.message).toBe('digests of what there is not');
  });
});
