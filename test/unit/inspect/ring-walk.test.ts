import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { InspectedVolume } from '../../../agent/inspect/inspected-volume.ts';
import { Openers } from '../../../agent/inspect/openers.ts';
import { merged, RingWalk, type BadPlace, type FoundBatch } from '../../../agent/inspect/ring-walk.ts';
import { readSlotHeads } from '../../../agent/inspect/node-view.ts';
import { BATCH, BLOCK_BYTES, HEAD, HEAD_TABLE_OFFSET } from '../../../agent/volume/layout.ts';
import { WRITER } from '../../../agent/volume/slot-writer.ts';
import { VolumeFile } from '../../support/volume-file.ts';
import { CLUSTER_KEY, incarnationOf, TestWriter } from '../../support/volume.ts';

let file: VolumeFile;
let opened: InspectedVolume[];

beforeEach(async () => {
  file = await VolumeFile.make(CLUSTER_KEY);
  opened = [];
  for (const writer of file.writers) writer.head();
});

afterEach(() => {
  for (const volume of opened) volume.close();
  file.remove();
});

function walkOf(slot = 0, key: Uint8Array | null = CLUSTER_KEY): RingWalk {
  const volume = InspectedVolume.open(file.path);
  opened.push(volume);
  return new RingWalk(volume, slot, new Openers(volume, key && [key]));
}

/** The whole history in short: an order mark, or a fault with its place and length in blocks. */
function history(headPosition: number | null = null, key: Uint8Array | null = CLUSTER_KEY): (number | string)[] {
  const walk = walkOf(0, key);
  return [...walk.history(walk.findEnd(headPosition))].map(short);
}

const short = (place: FoundBatch | BadPlace): number | string =>
  place.kind === 'batch'
    ? place.header.orderMark
    : `${place.fault} ${place.position / BLOCK_BYTES}+${place.bytes / BLOCK_BYTES}`;

const blocks = (count: number): Uint8Array[] => [new Uint8Array(count * BLOCK_BYTES - 200).fill(3)];

function batches(...counts: number[]): void {
  for (const count of counts) file.writer(0).batch(blocks(count));
}

/** Changes bytes of slot 0 at a ring position. */
function change(position: number, bytes: Uint8Array): void {
  const fd = openSync(file.path, 'r+');
  writeSync(fd, bytes, 0, bytes.length, file.offset(0, position));
  closeSync(fd);
}

/** Inverts a byte of slot 0: sealed bytes are random, so a fixed value would change nothing once in 256 runs. */
function alter(position: number): void {
  change(position, Uint8Array.of(~(bytesAt(position, 1)[0] ?? 0)));
}

function bytesAt(position: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  const fd = openSync(file.path, 'r');
  readSync(fd, bytes, 0, length, file.offset(0, position));
  closeSync(fd);
  return bytes;
}

describe('a walk over a ring', () => {
  test('meets every batch from the oldest to the newest, and nothing where nothing was written', () => {
    expect(history()).toEqual([]);
    batches(1, 3, 1);
    expect(history()).toEqual([1, 2, 3]);
  });

  test('goes on behind a head block that is old, and needs none', () => {
    batches(1, 3, 1);
    expect(history(0)).toEqual([1, 2, 3]);
    expect(history(4 * BLOCK_BYTES)).toEqual([1, 2, 3]);
    expect(walkOf().findEnd(null)).toBe(5 * BLOCK_BYTES);
  });

  test('begins, on a later lap, behind what the writer has half overwritten', () => {
    const slotBlocks = file.slotBytes / BLOCK_BYTES;
    while (file.writer(0).writer.position < file.slotBytes) batches(100);
    batches(3);
    const end = file.writer(0).writer.position;
    expect(end).toBeGreaterThan(file.slotBytes);
    const marks = history();
    const newest = file.writer(0).state[WRITER.orderMark] ?? 0;
    expect(marks.at(-1)).toBe(newest);
    // The oldest batch is half overwritten: it is left out and nobody complains.
    expect(marks).toEqual(Array.from({ length: marks.length }, (_, i) => newest - marks.length + 1 + i));
    expect(marks.length).toBeGreaterThan(slotBlocks / 100 - 2);
  });

  test('goes on over a restart of the writer', () => {
    batches(1);
    const successor = new TestWriter(file.device, {
      slot: 0,
      slotBytes: file.slotBytes,
      key: CLUSTER_KEY,
      clusterUuid: file.clusterUuid,
      incarnation: incarnationOf(9),
      start: { incarnationNumber: 2, orderMark: 1000, position: BLOCK_BYTES, head: null },
    });
    successor.head();
    successor.batch(blocks(1));
    expect(history()).toEqual([1, 1001]);
  });
});

describe('a walk tells bad places, each with its reason and length', () => {
  beforeEach(() => batches(1, 3, 1, 1));

  test('altered', () => {
    alter(BLOCK_BYTES + 2000);
    expect(history()).toEqual([1, 'damaged 1+3', 3, 4]);
  });

  test.each(['version', 'nodeIndex', 'clusterUuid'] as const)('altered where it says whose it is: %s', (field) => {
    alter(BLOCK_BYTES + BATCH.at[field]);
    alter(5 * BLOCK_BYTES + BATCH.at[field]);
    expect(history(6 * BLOCK_BYTES)).toEqual([1, 'damaged 1+3', 3, 'damaged 5+1']);
  });

  test.each(['version', 'nodeIndex', 'clusterUuid'] as const)(
    'a head altered where it says whose it is: %s',
    (field) => {
      const at = HEAD_TABLE_OFFSET + HEAD.at[field] - file.offset(0, 0);
      alter(at);
      const volume = InspectedVolume.open(file.path);
      opened.push(volume);
      const [head] = readSlotHeads(volume, volume.readHeads(), new Openers(volume, [CLUSTER_KEY]));
      expect(head?.state).toBe('damaged');
    },
  );

  test('torn', () => {
    alter(4 * BLOCK_BYTES - 8);
    expect(history()).toEqual([1, 'torn 1+3', 3, 4]);
  });

  test('lost', () => {
    change(BLOCK_BYTES, new Uint8Array(3 * BLOCK_BYTES));
    expect(history()).toEqual([1, 'absent 1+3', 3, 4]);
  });

  test('misdirected, within the history and behind its end', () => {
    const foreign = bytesAt(0, BLOCK_BYTES);
    foreign[BATCH.at.nodeIndex] = 1;
    change(4 * BLOCK_BYTES, foreign);
    change(50 * BLOCK_BYTES, foreign);
    expect(history(6 * BLOCK_BYTES)).toEqual([1, 2, 'foreign 4+1', 4, 'foreign 50+1']);
  });

  test('an old copy put back', () => {
    change(4 * BLOCK_BYTES, bytesAt(0, BLOCK_BYTES));
    expect(history(6 * BLOCK_BYTES)).toEqual([1, 2, 'stale 4+1', 4]);
  });

  test('at the very end, up to where the head block says', () => {
    alter(5 * BLOCK_BYTES + 500);
    expect(history(6 * BLOCK_BYTES)).toEqual([1, 2, 3, 'damaged 5+1']);
  });

  test('without the key: order and torn writes can be told, alterations cannot', () => {
    alter(BLOCK_BYTES + 2000);
    alter(5 * BLOCK_BYTES - 8);
    expect(history(null, null)).toEqual([1, 2, 'torn 4+1', 4]);
  });
});

test('several rings are merged by time mark', () => {
  for (let i = 0; i < 3; i++) {
    file.writer(1).batch(blocks(1));
    file.writer(0).batch(blocks(1));
  }
  const walks = [walkOf(0), walkOf(1)];
  const places = [...merged(walks.map((walk) => walk.history(walk.findEnd(null))))];
  expect(places.map(({ slot }) => slot)).toEqual([0, 1, 0, 1, 0, 1]);
});
