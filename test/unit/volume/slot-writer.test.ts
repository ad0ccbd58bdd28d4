import { beforeEach, describe, expect, test } from 'vitest';
import { openBatch, peekBatch } from '../../../agent/volume/batch.ts';
import { decodeHead, type Head } from '../../../agent/volume/head.ts';
import {
  BATCH_BYTES_MAX,
  BATCH_FLAG,
  BLOCK_BYTES,
  HEAD_STATE,
  HEAD_TABLE_OFFSET,
  SLOT_BYTES_MIN,
  SLOTS_OFFSET,
} from '../../../agent/volume/layout.ts';
import { findStart, WALK_RESERVE, type SlotStart } from '../../../agent/volume/slot-start.ts';
import { isStopped, MARK_RESERVE, WRITER } from '../../../agent/volume/slot-writer.ts';
import { MemoryDisk } from '../../support/memory-disk.ts';
import { CLUSTER_KEY, CLUSTER_UUID, incarnationOf, SEALED, slotGeometry, TestWriter } from '../../support/volume.ts';

const EIO = -5;
let disk: MemoryDisk;
let writer: TestWriter;

beforeEach(() => {
  disk = new MemoryDisk(SLOTS_OFFSET + SLOT_BYTES_MIN);
  writer = new TestWriter(disk, { key: CLUSTER_KEY });
  expect(writer.head()).toBe(0);
});

const start = (): SlotStart =>
  findStart(disk, slotGeometry(0), 0, CLUSTER_UUID, SEALED, new Uint8Array(BATCH_BYTES_MAX));

function headOnDisk(): Head {
  const block = disk.content.slice(HEAD_TABLE_OFFSET, HEAD_TABLE_OFFSET + BLOCK_BYTES);
  const decoded = decodeHead(block, 0, CLUSTER_UUID, SEALED);
  if (!decoded.ok) throw new Error(decoded.fault);
  return decoded.head;
}

/** The batch on the disk at a position, opened. */
function batchOnDisk(position: number, incarnation = incarnationOf(1)) {
  const offset = SLOTS_OFFSET + (position % SLOT_BYTES_MIN);
  const bytes = disk.content.slice(offset, offset + BATCH_BYTES_MAX);
  const peek = peekBatch(bytes, 0, CLUSTER_UUID, position, SLOT_BYTES_MIN - (position % SLOT_BYTES_MIN));
  if (!peek.ok) throw new Error(peek.fault);
  expect(openBatch(bytes, peek.header, SEALED(incarnation, 0, 'batch'))).toBe('ok');
  return peek.header;
}

const frame = (bytes: number): Uint8Array => new Uint8Array(bytes).fill(3);
/** A batch of exactly `blocks` blocks. */
const blocks = (count: number): Uint8Array[] => [frame(count * BLOCK_BYTES - 200)];

const tearHead = (): void => void disk.content.fill(0x55, HEAD_TABLE_OFFSET + 2048, HEAD_TABLE_OFFSET + BLOCK_BYTES);

describe('[ORD2] order marks', () => {
  test('nothing can be sealed before a head block has reserved marks', () => {
    const fresh = new TestWriter(new MemoryDisk(SLOTS_OFFSET + SLOT_BYTES_MIN));
    expect(fresh.writer.hasMarks).toBe(false);
    expect(() => fresh.seal([frame(1)])).toThrow('beyond the reservation');
    fresh.head();
    expect(fresh.writer.hasMarks).toBe(true);
  });

  test('a head block that could not be written reserves nothing', () => {
    const fresh = new TestWriter(disk);
    disk.writeFault = () => EIO;
    expect(fresh.head()).toBe(EIO);
    expect(fresh.writer.hasMarks).toBe(false);
  });

  test('marks rise by one, and the head block names the newest and the reservation', () => {
    for (let i = 0; i < 3; i++) writer.batch([frame(10)]);
    writer.head();
    expect(headOnDisk()).toMatchObject({ orderMark: 3, reservedMark: MARK_RESERVE, position: 3 * BLOCK_BYTES });
    expect([0, 1, 2].map((i) => batchOnDisk(i * BLOCK_BYTES).orderMark)).toEqual([1, 2, 3]);
  });

  test('the last mark of the reservation is never used; the next head extends it', () => {
    writer.state[WRITER.orderMark] = MARK_RESERVE - 3;
    expect(writer.writer.hasMarks).toBe(true);
    writer.batch([frame(1)]);
    expect(writer.writer.hasMarks).toBe(false);
    expect(writer.writer.wantsMarks).toBe(true);
    writer.head();
    expect(headOnDisk().reservedMark).toBe(MARK_RESERVE - 2 + MARK_RESERVE);
    expect(writer.writer.hasMarks).toBe(true);
  });

  test('a head mark is used once, also when its write failed', () => {
    disk.writeFault = () => EIO;
    writer.head();
    disk.writeFault = () => null;
    writer.head();
    expect(headOnDisk().headMark).toBe(3);
  });
});

describe('batches', () => {
  test('one that could not be written goes out unchanged when tried again', () => {
    writer.seal([frame(10)]);
    const sealed = writer.memory.slice(0, BLOCK_BYTES);
    disk.writeFault = () => EIO;
    expect(writer.writer.writePending()).toBe(EIO);
    expect(writer.writer.position).toBe(0);
    disk.writeFault = (offset, length) => (offset === SLOTS_OFFSET && length === BLOCK_BYTES ? null : EIO);
    expect(writer.writer.writePending()).toBe(0);
    expect(disk.content.slice(SLOTS_OFFSET, SLOTS_OFFSET + BLOCK_BYTES)).toEqual(sealed);
    expect(writer.writer.position).toBe(BLOCK_BYTES);
  });

  test('a short write is a failed write', () => {
    writer.seal(blocks(2));
    disk.writeFault = () => BLOCK_BYTES;
    expect(writer.writer.writePending()).toBe(-5);
    expect(writer.writer.pendingBytes).toBe(2 * BLOCK_BYTES);
  });

  test('one that ends exactly at the end of the ring needs no wrap', () => {
    writer.state[WRITER.position] = SLOT_BYTES_MIN - 2 * BLOCK_BYTES;
    expect(writer.writer.spaceFor(2 * BLOCK_BYTES)).toBe(2 * BLOCK_BYTES);
    writer.batch(blocks(2));
    expect(writer.writer.position).toBe(SLOT_BYTES_MIN);
    expect(batchOnDisk(SLOT_BYTES_MIN - 2 * BLOCK_BYTES).flags & BATCH_FLAG.wrap).toBe(0);
  });

  test('one that would cross it is preceded by a wrap, written first', () => {
    const position = SLOT_BYTES_MIN - 2 * BLOCK_BYTES;
    writer.state[WRITER.position] = position;
    expect(writer.writer.spaceFor(3 * BLOCK_BYTES)).toBe(5 * BLOCK_BYTES);
    disk.writes = [];
    writer.batch(blocks(3));
    expect(disk.writes.map(({ offset }) => offset - SLOTS_OFFSET)).toEqual([position, 0]);
    expect(batchOnDisk(position)).toMatchObject({ orderMark: 1, recordCount: 0 });
    expect(batchOnDisk(position).flags & BATCH_FLAG.wrap).toBe(BATCH_FLAG.wrap);
    expect(batchOnDisk(SLOT_BYTES_MIN)).toMatchObject({ orderMark: 2, recordCount: 1 });
    expect(writer.writer.position).toBe(SLOT_BYTES_MIN + 3 * BLOCK_BYTES);
  });

  test('a wrap that could not be written is written again before its batch', () => {
    writer.state[WRITER.position] = SLOT_BYTES_MIN - BLOCK_BYTES;
    writer.seal(blocks(2));
    disk.writeFault = () => EIO;
    expect(writer.writer.writePending()).toBe(EIO);
    disk.writeFault = () => null;
    disk.writes = [];
    expect(writer.writer.writePending()).toBe(0);
    expect(disk.writes.map(({ offset }) => offset - SLOTS_OFFSET)).toEqual([SLOT_BYTES_MIN - BLOCK_BYTES, 0]);
  });
});

describe('a thread that takes over from a dead one', () => {
  const successor = (): TestWriter => new TestWriter(disk, { key: CLUSTER_KEY, state: writer.state });
  const scratch = (): Uint8Array => new Uint8Array(BATCH_BYTES_MAX);

  test('counts a batch that is whole on the volume', () => {
    writer.seal(blocks(2));
    disk.write(SLOTS_OFFSET, writer.memory.subarray(0, 2 * BLOCK_BYTES));
    const next = successor();
    next.writer.resume(scratch());
    expect(next.writer.position).toBe(2 * BLOCK_BYTES);
    expect(next.writer.pendingBytes).toBe(0);
  });

  test('[ORD2] uses the place of a torn one again, and not its mark', () => {
    writer.seal(blocks(2));
    disk.write(SLOTS_OFFSET, writer.memory.subarray(0, BLOCK_BYTES));
    const next = successor();
    next.writer.resume(scratch());
    expect(next.writer.position).toBe(0);
    next.batch([frame(1)]);
    expect(batchOnDisk(0).orderMark).toBe(2);
  });

  test('writes at the place of a wrap that never came to the volume', () => {
    const position = SLOT_BYTES_MIN - BLOCK_BYTES;
    writer.state[WRITER.position] = position;
    writer.seal(blocks(2));
    const next = successor();
    next.writer.resume(scratch());
    expect(next.writer.position).toBe(position);
    next.batch(blocks(2));
    expect(batchOnDisk(position)).toMatchObject({ orderMark: 3, flags: BATCH_FLAG.wrap | BATCH_FLAG.sealed });
    expect(batchOnDisk(SLOT_BYTES_MIN).orderMark).toBe(4);
  });

  test('goes on behind a wrap that is on the volume, for a reader may have passed it', () => {
    writer.state[WRITER.position] = SLOT_BYTES_MIN - 2 * BLOCK_BYTES;
    writer.seal(blocks(3));
    disk.write(
      SLOTS_OFFSET + SLOT_BYTES_MIN - 2 * BLOCK_BYTES,
      writer.memory.slice(BATCH_BYTES_MAX, BATCH_BYTES_MAX + BLOCK_BYTES),
    );
    const next = successor();
    next.writer.resume(scratch());
    expect(next.writer.position).toBe(SLOT_BYTES_MIN);
    next.batch([frame(1)]);
    expect(batchOnDisk(SLOT_BYTES_MIN).orderMark).toBe(3);
  });

  test('does nothing when none was under way', () => {
    const { reads } = disk;
    successor().writer.resume(scratch());
    expect(disk.reads).toBe(reads);
  });
});

describe('findStart', () => {
  test('a slot that was never written', () => {
    disk.content.fill(0);
    expect(start()).toEqual({ incarnationNumber: 1, orderMark: 0, position: 0, head: null });
  });

  test('[ORD2] behind the reservation, at the head block’s position', () => {
    writer.batch([frame(10)]);
    writer.head(HEAD_STATE.stopped);
    const found = start();
    expect(found).toMatchObject({ incarnationNumber: 2, orderMark: MARK_RESERVE, position: BLOCK_BYTES });
    expect(found.head && isStopped(found.head)).toBe(true);
  });

  test('behind batches that a crash left newer than the head block', () => {
    writer.batch([frame(10)]);
    writer.head();
    writer.batch(blocks(3));
    writer.batch([frame(10)]);
    expect(start()).toMatchObject({ position: 5 * BLOCK_BYTES, orderMark: MARK_RESERVE });
  });

  test.each([
    ['with a wrap', 3],
    ['without one', 2],
  ])('also when those go over the end of the ring %s', (_, count) => {
    writer.state[WRITER.position] = SLOT_BYTES_MIN - 2 * BLOCK_BYTES;
    writer.head();
    writer.batch(blocks(count));
    writer.batch([frame(10)]);
    expect(start().position).toBe(writer.writer.position);
  });

  test('not behind a batch of a lap ago that happens to follow', () => {
    for (let i = 0; i < 4; i++) writer.batch([frame(10)]);
    writer.state[WRITER.position] = SLOT_BYTES_MIN;
    writer.batch([frame(10)]);
    writer.head();
    expect(start().position).toBe(SLOT_BYTES_MIN + BLOCK_BYTES);
  });

  test('[ORD2] a torn head block: the whole ring is walked, many reservations are left out', () => {
    writer.state[WRITER.position] = SLOT_BYTES_MIN - 2 * BLOCK_BYTES;
    writer.batch(blocks(3));
    writer.batch([frame(10)]);
    tearHead();
    expect(start()).toEqual({
      incarnationNumber: WALK_RESERVE / MARK_RESERVE + 1,
      orderMark: 3 + WALK_RESERVE,
      position: SLOT_BYTES_MIN + 4 * BLOCK_BYTES,
      head: null,
    });
  });

  test('[ORD2] a head block of zeros over a ring with content: the same', () => {
    writer.batch([frame(10)]);
    disk.content.fill(0, HEAD_TABLE_OFFSET, SLOTS_OFFSET);
    expect(start()).toMatchObject({ orderMark: 1 + WALK_RESERVE, position: BLOCK_BYTES });
    disk.readFault = (offset) => (offset === SLOTS_OFFSET ? EIO : null);
    expect(start()).toMatchObject({ orderMark: WALK_RESERVE });
  });

  test('a new volume is not walked', () => {
    disk.content.fill(0);
    const { reads } = disk;
    start();
    expect(disk.reads - reads).toBe(2);
  });

  test('that walk costs a read for each block, not a longest batch', () => {
    tearHead();
    let bytes = 0;
    disk.readFault = (_, length) => ((bytes += length), null);
    start();
    expect(bytes).toBeLessThanOrEqual(SLOT_BYTES_MIN + BLOCK_BYTES);
  });

  test('[AUTH1] that walk believes no batch that was altered or lies elsewhere', () => {
    writer.batch([frame(10)]);
    const batch = disk.content.slice(SLOTS_OFFSET, SLOTS_OFFSET + BLOCK_BYTES);
    disk.content.set(batch, SLOTS_OFFSET + 7 * BLOCK_BYTES);
    disk.content[SLOTS_OFFSET + 60] = 0xff;
    tearHead();
    expect(start()).toMatchObject({ position: 0, orderMark: WALK_RESERVE });
  });

  test('[ORD2] a head block that cannot be read is no start: marks that were used are not known', () => {
    disk.readFault = () => EIO;
    expect(start).toThrow('head block of slot 0 cannot be read');
  });

  test('a ring place that cannot be read does not end the walk', () => {
    writer.batch([frame(10)]);
    writer.batch([frame(10)]);
    tearHead();
    disk.readFault = (offset) => (offset === SLOTS_OFFSET ? EIO : null);
    expect(start().position).toBe(2 * BLOCK_BYTES);
  });
});

describe('[ONE1] ownsHead', () => {
  test('is false when another incarnation wrote the head block, and says nothing when it cannot be read', () => {
    expect(writer.writer.ownsHead()).toBe(true);
    disk.readFault = () => EIO;
    expect(writer.writer.ownsHead()).toBe(true);
    disk.readFault = () => null;
    new TestWriter(disk, { key: CLUSTER_KEY, incarnation: incarnationOf(2) }).head();
    expect(writer.writer.ownsHead()).toBe(false);
  });

  test('is false when a successor began after a torn head block, however many starts there had been', () => {
    writer.state[WRITER.incarnationNumber] = 9000;
    writer.head();
    tearHead();
    new TestWriter(disk, { key: CLUSTER_KEY, incarnation: incarnationOf(2), start: start() }).head();
    expect(writer.writer.ownsHead()).toBe(false);
  });

  test('says nothing when a late copy shows the predecessor', () => {
    const block = disk.content.slice(HEAD_TABLE_OFFSET, HEAD_TABLE_OFFSET + BLOCK_BYTES);
    const next = new TestWriter(disk, { key: CLUSTER_KEY, incarnation: incarnationOf(2), start: start() });
    next.head();
    expect(next.writer.ownsHead()).toBe(true);
    disk.content.set(block, HEAD_TABLE_OFFSET);
    expect(next.writer.ownsHead()).toBe(true);
    expect(writer.writer.ownsHead()).toBe(true);
  });
});
