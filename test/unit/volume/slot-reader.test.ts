import { beforeEach, describe, expect, test } from 'vitest';
import { BATCH, BLOCK_BYTES, SLOT_BYTES_MIN, SLOTS_OFFSET } from '../../../agent/volume/layout.ts';
import { READER_MEMORY_BYTES, SlotReader, type PollResult } from '../../../agent/volume/slot-reader.ts';
import { WRITER } from '../../../agent/volume/slot-writer.ts';
import { MemoryDisk } from '../../support/memory-disk.ts';
import { CLUSTER_KEY, CLUSTER_UUID, incarnationOf, SEALED, slotGeometry, TestWriter } from '../../support/volume.ts';

const PATIENCE_MS = 500;
let disk: MemoryDisk;
let writer: TestWriter;
let reader: SlotReader;
let marks: number[];
let hasRoom: boolean;
let nowMs: number;

beforeEach(() => {
  disk = new MemoryDisk(SLOTS_OFFSET + SLOT_BYTES_MIN);
  writer = new TestWriter(disk, { key: CLUSTER_KEY });
  writer.head();
  const memory = new Uint8Array(READER_MEMORY_BYTES);
  reader = new SlotReader(disk, slotGeometry(0), 0, CLUSTER_UUID, SEALED, memory, PATIENCE_MS);
  reader.accept(incarnationOf(1), 0, 0);
  marks = [];
  hasRoom = true;
  nowMs = 0;
});

const poll = (): PollResult =>
  reader.poll(nowMs, (_, header) => {
    if (hasRoom) marks.push(header.orderMark);
    return hasRoom;
  });

/** Polls until nothing is left; the number of polls is bounded, so that a reader that spins fails. */
function pollAll(): PollResult {
  for (let i = 0; i < 50; i++) {
    const result = poll();
    if (result !== 'batch') return result;
  }
  throw new Error('the reader spins');
}

const frame = (bytes = 10): Uint8Array => new Uint8Array(bytes).fill(3);
const blocks = (count: number): Uint8Array[] => [frame(count * BLOCK_BYTES - 200)];
const at = (position: number): number => SLOTS_OFFSET + (position % SLOT_BYTES_MIN);
const sawHead = (): void => reader.sawHead(writer.writer.position);

/** Lets a bad place be looked at until the reader's patience is over. */
function losePatience(): void {
  expect(poll()).toBe('empty');
  nowMs += PATIENCE_MS - 1;
  expect(poll()).toBe('empty');
  nowMs += 1;
}

describe('good batches', () => {
  test('are handed on in order, of any size, over the end of the ring', () => {
    writer.state[WRITER.position] = SLOT_BYTES_MIN - 6 * BLOCK_BYTES;
    reader.accept(incarnationOf(1), SLOT_BYTES_MIN - 6 * BLOCK_BYTES, 0);
    for (const count of [1, 3, 20, 1, 1]) writer.batch(blocks(count));
    expect(pollAll()).toBe('empty');
    expect(marks).toEqual([1, 2, 4, 5, 6]); // 3 closed the lap
    expect(reader.position).toBe(writer.writer.position);
    expect(reader.counters).toMatchObject({ batches: 6, skipped: 0 });
  });

  test('one for which the consumer has no room comes again', () => {
    writer.batch([frame()]);
    hasRoom = false;
    expect(poll()).toBe('held');
    expect(poll()).toBe('held');
    expect(reader.position).toBe(0);
    hasRoom = true;
    expect(pollAll()).toBe('empty');
    expect(marks).toEqual([1]);
  });

  test('nothing is read before an incarnation is accepted', () => {
    const fresh = new SlotReader(
      disk,
      slotGeometry(0),
      0,
      CLUSTER_UUID,
      SEALED,
      new Uint8Array(READER_MEMORY_BYTES),
      1,
    );
    writer.batch([frame()]);
    expect(fresh.accepting).toBe(false);
    expect(fresh.poll(0, () => true)).toBe('empty');
  });

  test('a disk that answers an error, or too little, is told and tried again', () => {
    writer.batch([frame()]);
    disk.readFault = () => -5;
    expect(poll()).toBe('error');
    expect(reader.lastErrno).toBe(-5);
    disk.readFault = () => 512;
    expect(poll()).toBe('error');
    disk.readFault = () => null;
    expect(pollAll()).toBe('empty');
    expect(reader.lastErrno).toBe(0);
    expect(marks).toEqual([1]);
  });
});

describe('a batch that is not good is never handed on', () => {
  test('torn: waited for, and taken when the rest comes', () => {
    writer.seal(blocks(3));
    const sealed = writer.memory.slice(0, 3 * BLOCK_BYTES);
    writer.writer.writePending();
    disk.content.fill(0, at(BLOCK_BYTES), at(3 * BLOCK_BYTES));
    sawHead();
    expect(poll()).toBe('empty');
    disk.content.set(sealed, SLOTS_OFFSET);
    expect(pollAll()).toBe('empty');
    expect(marks).toEqual([1]);
    expect(reader.counters).toMatchObject({ torn: 0, skipped: 0 });
  });

  test('torn for good: given up after the patience, and only when the head has passed', () => {
    writer.batch(blocks(3));
    disk.content.fill(0, at(BLOCK_BYTES), at(3 * BLOCK_BYTES));
    nowMs += 10 * PATIENCE_MS;
    expect(poll()).toBe('empty');
    writer.batch([frame()]);
    sawHead();
    losePatience();
    expect(pollAll()).toBe('empty');
    expect(marks).toEqual([2]);
    expect(reader.counters).toMatchObject({ torn: 1, skipped: 1, damaged: 0 });
  });

  test.each<[string, 'damaged' | 'foreign' | 'stale', (block: Uint8Array) => void]>([
    ['altered', 'damaged', (block) => void (block[BATCH.bytes + 3] = 0xff)],
    ['zeroed', 'damaged', (block) => void block.fill(0)],
    ['another cluster’s', 'foreign', (block) => void block.fill(9, BATCH.at.clusterUuid, BATCH.at.incarnation)],
    ['another incarnation’s', 'stale', (block) => void block.fill(9, BATCH.at.incarnation, BATCH.at.orderMark)],
  ])('%s: counted as %s', (_, counter, change) => {
    writer.batch([frame()]);
    writer.batch([frame()]);
    change(disk.content.subarray(SLOTS_OFFSET, SLOTS_OFFSET + BLOCK_BYTES));
    sawHead();
    losePatience();
    expect(pollAll()).toBe('empty');
    expect(marks).toEqual([2]);
    expect(reader.counters[counter]).toBe(1);
    expect(reader.counters.skipped).toBe(1);
  });

  test('[AUTH1] a batch of a former incarnation at the right place is not handed on', () => {
    const former = new TestWriter(disk, { key: CLUSTER_KEY, incarnation: incarnationOf(9) });
    former.head();
    former.batch([frame()]);
    expect(pollAll()).toBe('empty');
    expect(marks).toEqual([]);
  });

  test('replayed: an order mark that is not higher than the last', () => {
    reader.accept(incarnationOf(1), 0, 5);
    writer.batch([frame()]);
    sawHead();
    losePatience();
    pollAll();
    expect(marks).toEqual([]);
    expect(reader.counters.replayed).toBe(1);
  });

  test('[RING1] ahead: overrun, goes on at the writer’s head: what lies behind it is old and the next to go', () => {
    writer.state[WRITER.position] = SLOT_BYTES_MIN;
    writer.batch(blocks(2));
    writer.batch([frame()]);
    sawHead();
    expect(pollAll()).toBe('empty');
    writer.batch([frame()]);
    expect(pollAll()).toBe('empty');
    expect(marks).toEqual([3]);
    expect(reader.counters).toMatchObject({ overruns: 1, skipped: 1 });
  });

  test('[RING1] more than a lap behind the head is overrun too, whatever lies at the place, and needs no patience', () => {
    writer.state[WRITER.position] = 2 * SLOT_BYTES_MIN + 5 * BLOCK_BYTES;
    writer.batch(blocks(2));
    sawHead();
    expect(poll()).toBe('batch');
    expect(reader.position).toBe(writer.writer.position);
    expect(reader.counters).toMatchObject({ overruns: 1, skipped: 1, damaged: 0 });
  });

  test('ahead, and the head block says nothing of it: waits, does not spin, counts nothing', () => {
    writer.state[WRITER.position] = 3 * SLOT_BYTES_MIN;
    writer.batch([frame()]);
    reader.sawHead(0);
    expect(pollAll()).toBe('empty');
    expect(reader.position).toBe(0);
    expect(reader.isOverrun).toBe(true); // so that the heads are read again
    expect(reader.counters).toMatchObject({ overruns: 0, skipped: 0 });
  });

  test('everything up to the head is bad: waits at the head', () => {
    for (let i = 0; i < 4; i++) writer.batch([frame()]);
    disk.content.fill(0, SLOTS_OFFSET, at(4 * BLOCK_BYTES));
    sawHead();
    losePatience();
    expect(pollAll()).toBe('empty');
    expect(reader.position).toBe(4 * BLOCK_BYTES);
    writer.batch([frame()]);
    expect(pollAll()).toBe('empty');
    expect(marks).toEqual([5]);
  });
});

describe('a place that cannot be read', () => {
  beforeEach(() => {
    for (let i = 0; i < 3; i++) writer.batch(blocks(1));
    sawHead();
    expect(poll()).toBe('batch');
    disk.readFault = (offset, length) => (offset <= at(BLOCK_BYTES) && offset + length > at(BLOCK_BYTES) ? -5 : null);
  });

  test('is passed over once the head block has been read anew and the writer is behind it', () => {
    expect(poll()).toBe('error');
    sawHead();
    nowMs += PATIENCE_MS - 1;
    expect(poll()).toBe('error');
    nowMs += 1;
    expect(pollAll()).toBe('empty');
    expect(marks).toEqual([1, 3]);
    expect(reader.counters).toMatchObject({ damaged: 1, skipped: 1 });
  });

  test('is waited for while nothing says that the rest of the disk answers', () => {
    expect(poll()).toBe('error');
    nowMs += 10 * PATIENCE_MS;
    expect(poll()).toBe('error');
    disk.readFault = () => null;
    expect(pollAll()).toBe('empty');
    expect(marks).toEqual([1, 2, 3]);
  });

  test('does not hide a good batch before it from a reader that reads far', () => {
    disk.readFault = () => null;
    writer.batch(blocks(8));
    writer.batch(blocks(1));
    writer.batch(blocks(1));
    for (let i = 0; i < 3; i++) expect(poll()).toBe('batch');
    const bad = at(12 * BLOCK_BYTES);
    disk.readFault = (offset, length) => (offset <= bad && offset + length > bad ? -5 : null);
    expect(poll()).toBe('error');
    expect(poll()).toBe('batch');
    expect(marks).toEqual([1, 2, 3, 4, 5]);
  });
});

describe('batches for others', () => {
  beforeEach(() => {
    const memory = new Uint8Array(READER_MEMORY_BYTES);
    reader = new SlotReader(disk, slotGeometry(0), 0, CLUSTER_UUID, SEALED, memory, PATIENCE_MS, 5);
    reader.accept(incarnationOf(1), 0, 0);
  });

  test('are passed over with one read of a block each; those for us, and for all, are handed on', () => {
    writer.batch(blocks(20), { peer: 4 });
    writer.batch(blocks(20), { peer: 5 });
    writer.batch(blocks(20), { peer: 4 });
    writer.batch([]);
    // Tenants of a slot that had other nodes before share its bit.
    writer.batch(blocks(1), { peer: 64 + 5 });
    const lengths: number[] = [];
    disk.readFault = (_, bytes) => {
      lengths.push(bytes);
      return null;
    };
    expect(pollAll()).toBe('empty');
    expect(marks).toEqual([2, 4, 5]);
    expect(reader.position).toBe(writer.writer.position);
    expect(reader.passedOverBytes).toBe(40 * BLOCK_BYTES);
    expect(lengths[0]).toBe(BLOCK_BYTES);
  });

  test('[AUTH1] say nothing but their length: a forged mark does not make the next one look old', () => {
    writer.batch(blocks(1), { peer: 4 });
    writer.batch(blocks(1), { peer: 5 });
    disk.content.fill(0x1f, at(0) + BATCH.at.orderMark, at(0) + BATCH.at.orderMark + 6);
    expect(pollAll()).toBe('empty');
    expect(marks).toEqual([2]);
  });

  test('with a wrong length: the way back is found as behind any damage', () => {
    writer.batch(blocks(3), { peer: 4 });
    writer.batch(blocks(1), { peer: 5 });
    disk.content.set([0, 0x20, 0, 0], at(0) + BATCH.at.batchBytes);
    disk.content.set([0, 1, 0, 0], at(0) + BATCH.at.payloadBytes);
    sawHead();
    expect(poll()).toBe('batch');
    losePatience();
    expect(pollAll()).toBe('empty');
    expect(marks).toEqual([2]);
  });
});
