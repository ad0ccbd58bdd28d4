/** [HI11] The log of what a target shows: what it believes, what it holds of the ring, and what breaks it. */
import { beforeEach, expect, test } from 'vitest';
import { Prng } from '../../../../agent/base/prng.ts';
import { fileOffset } from '../../../../agent/mirror/store/ring.ts';
import type { HeldArrival } from '../../../../agent/mirror/target/recover.ts';
import { ShownLog } from '../../../../agent/mirror/target/shown-log.ts';
import { decodeEntry, encodeEntry, ENTRY, ENTRY_KIND } from '../../../../agent/mirror/wire/entry.ts';
import { JOURNAL_RING_OFFSET } from '../../../../agent/mirror/wire/layout.ts';
import { SourceModel, type ModelEntry } from '../../../support/source-model.ts';
import { SIZE } from '../store/journal-world.ts';

const VOLUMES = [65_536];
let disk: Uint8Array;
let head: number;
let model: SourceModel;
let said: string[];

beforeEach(() => {
  disk = new Uint8Array(JOURNAL_RING_OFFSET + SIZE.ringBytes);
  head = 0;
  model = new SourceModel(new Prng(3), VOLUMES, 3000);
  said = [];
});

const readFile = async (offset: number, into: Uint8Array): Promise<void> => {
  into.set(disk.subarray(offset, offset + into.length));
};

/** Into the ring, as an arrival. */
function arrived({ mark, cycle, kind, chain, bytes, volume, offset, length }: ModelEntry): HeldArrival {
  const decoded = decodeEntry(bytes, 0);
  if (!decoded.ok) throw new Error('no entry');
  const placed = bytes.slice();
  encodeEntry({ ...decoded.entry, position: head }, model.point(mark - 1).chain, placed, 0);
  disk.set(placed, fileOffset(head, SIZE));
  const [position, end] = [head, head + bytes.length];
  head = end;
  const header = placed.slice(0, ENTRY.bytes);
  const isSeal = kind === ENTRY_KIND.seal;
  return { isImage: false, mark, cycle, isSeal, chain, position, end, header, time: 0n, volume, offset, length };
}

const some = (count: number): ModelEntry[] =>
  Array.from({ length: count }, (_, i) => (i === count - 1 ? model.seal() : model.append()));
const cutAt = (mark: number) => ({ ...model.point(mark), time: 0n });
function followed(...of: ConstructorParameters<typeof ShownLog>): ShownLog {
  const log = new ShownLog(...of);
  log.follow({
    note: (volume, offset, length) => said.push(`note ${volume} ${offset} ${length}`),
    shown: () => said.push('shown'),
    broken: (_, isJump) => said.push(isJump ? 'jump' : 'turn'),
  });
  return log;
}
async function marksFrom(log: ShownLog, mark: number): Promise<number[]> {
  const cursor = log.find(model.point(mark));
  const marks: number[] = [];
  for (let batch = await cursor?.load(4000); batch; batch = await cursor?.load(4000)) {
    for (let at = 0; at < batch.bytes.length;) {
      const decoded = decodeEntry(batch.bytes, at);
      if (!decoded.ok) throw new Error('no entry');
      marks.push(decoded.entry.mark);
      at += model.entries[decoded.entry.mark - 1]?.bytes.length ?? Infinity;
    }
  }
  return marks;
}

test('[HI11] entries are in it once a cut that covers them is durable, in the order of their marks, wherever they lie', async () => {
  const log = followed(SIZE, readFile, cutAt(0));
  const coming = some(9).toReversed().map(arrived).toReversed();
  log.add(coming);
  expect(log.tail(head)).toBe(0);
  expect([log.end.mark, await marksFrom(log, 0)]).toEqual([0, []]);
  log.shown(cutAt(9));
  expect(await marksFrom(log, 0)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
  expect(await marksFrom(log, 6)).toEqual([7, 8, 9]);
  expect(said.filter((word) => word.startsWith('note'))).toHaveLength(8);
  // The oldest mark lies last in the ring: what is freed gives no room before it has gone.
  const third = log.find(model.point(3))?.place.position ?? 0;
  log.free(third);
  expect(log.find(model.point(2))).toBeNull();
  expect(log.tail(head)).toBe(coming[8]?.position);
  log.free(Infinity);
  expect([log.tail(head), await marksFrom(log, 9)]).toEqual([head, []]);
  expect(log.find({ mark: 9, chain: 5n })).toBeNull();
});

test('[HI11] a start believes the chain alone: what was dropped, and its mark brought again, is not taken for it', async () => {
  const kept = some(3).map(arrived);
  const dropped = some(4).map(arrived);
  model.loseBehind(3);
  const again = some(5).map(arrived);
  // The later one first: where they lie says nothing.
  for (const passed of [
    [...kept, ...dropped, ...again],
    [...again, ...dropped, ...kept],
  ]) {
    const log = followed(SIZE, readFile, cutAt(8), passed);
    expect(await marksFrom(log, 0)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect(log.find({ mark: 5, chain: dropped[1]?.chain ?? 0n })).toBeNull();
  }
  // One is missing: before it nothing is known.
  const log = followed(SIZE, readFile, cutAt(8), [...kept, ...dropped, ...again.slice(1)]);
  expect([log.find(model.point(3)), await marksFrom(log, 4)]).toEqual([null, [5, 6, 7, 8]]);
});

test('[HI11] what was written over meanwhile is an error, never other bytes', async () => {
  const log = followed(SIZE, readFile, cutAt(0));
  const coming = some(4).map(arrived);
  log.add(coming);
  log.shown(cutAt(4));
  const [, second] = coming;
  const at = fileOffset((second?.end ?? 0) - 1, SIZE);
  const header = fileOffset((second?.position ?? 0) + ENTRY.at.mark, SIZE);
  disk[at] = (disk[at] ?? 0) ^ 1;
  disk[header] = (disk[header] ?? 0) ^ 1;
  await expect(log.find(model.point(0))?.load(1e6)).rejects.toThrow(/does not hold mark 2/);
});

test('[HI11] a jump forgets all and says so; another generation forgets what is held, and what is coming is still shown', async () => {
  const log = followed(SIZE, readFile, cutAt(0));
  log.add(some(3).map(arrived));
  log.shown(cutAt(3));
  log.add(some(3).map(arrived));
  log.turn();
  expect(log.find(model.point(2))).toBeNull();
  log.shown(cutAt(6));
  expect(await marksFrom(log, 3)).toEqual([4, 5, 6]);
  log.breaks('compared');
  expect([log.isWhole, log.tail(head)]).toEqual([false, head]);
  log.add(some(3).map(arrived));
  expect(log.tail(head)).toBe(head);
  log.begin(cutAt(9));
  expect([log.isWhole, log.find(model.point(6)), await marksFrom(log, 9)]).toEqual([true, null, []]);
  // What does not go on behind the end is no log either.
  some(2);
  log.add(some(2).map(arrived));
  log.shown(cutAt(13));
  expect([log.end.mark, log.find(model.point(9))]).toEqual([13, null]);
  expect(said.filter((word) => word === 'jump' || word === 'turn')).toEqual(['turn', 'jump', 'jump', 'jump']);
});
