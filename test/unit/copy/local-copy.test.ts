/** [AG6] What one node writes, on another volume: the production writer on one disk, the copy on a second, a reader on that. */
import { beforeEach, describe, expect, test } from 'vitest';
import { LOCAL_COPY_BYTES, LocalCopy } from '../../../agent/copy/local-copy.ts';
import { CopyState, copyStateBytes } from '../../../agent/queue/copy-state.ts';
import { BLOCK_BYTES, HEAD, HEAD_TABLE_OFFSET, SLOT_BYTES_MIN, SLOTS_OFFSET } from '../../../agent/volume/layout.ts';
import { encodeSuperblock } from '../../../agent/volume/superblock.ts';
import { MemoryDisk } from '../../support/memory-disk.ts';
import { CLUSTER_UUID, slotGeometry, superblockOf } from '../../support/volume.ts';

const BYTES = SLOTS_OFFSET + 2 * SLOT_BYTES_MIN;
const EIO = -5;

let source: MemoryDisk;
let target: MemoryDisk;
let state: CopyState;
let copy: LocalCopy;
let nowMs: number;

beforeEach(() => {
  [source, target] = [new MemoryDisk(BYTES), new MemoryDisk(BYTES)];
  [0, 1].forEach((which) => source.content.set(encodeSuperblock(superblockOf(), which), which * BLOCK_BYTES));
  state = new CopyState(new SharedArrayBuffer(copyStateBytes));
  nowMs = 0;
  copy = makeCopy();
});

const makeCopy = (): LocalCopy =>
  new LocalCopy({
    source,
    target,
    geometry: slotGeometry(0),
    tenant: 0,
    clusterUuid: CLUSTER_UUID,
    state,
    memory: new Uint8Array(LOCAL_COPY_BYTES),
    now: () => nowMs,
  });

/** Until it would sleep; answers the steps. */
function settle(): number {
  for (let steps = 1; ; steps++) if (copy.step() > 0) return steps;
}

/** Bytes of the ring, as a batch would leave them; told as the flush thread tells it. */
function write(position: number, bytes: number, fill: number): void {
  for (let at = position; at < position + bytes; at += BLOCK_BYTES) {
    const place = SLOTS_OFFSET + (at % SLOT_BYTES_MIN);
    source.content.fill(fill, place, place + BLOCK_BYTES);
  }
  state.wrote(position + bytes, false);
}

function writeHead(position: number): void {
  const head = source.content.subarray(HEAD_TABLE_OFFSET, HEAD_TABLE_OFFSET + BLOCK_BYTES);
  const view = new DataView(head.buffer, head.byteOffset);
  view.setUint32(HEAD.at.magic, 0x4441_4548, true);
  view.setUint16(HEAD.at.version, 1, true);
  head.set(CLUSTER_UUID, HEAD.at.clusterUuid);
  view.setUint32(HEAD.at.position, position, true);
  state.wrote(state.written.position, true);
}

const isSame = (from: number, bytes: number): boolean =>
  Buffer.compare(source.content.subarray(from, from + bytes), target.content.subarray(from, from + bytes)) === 0;

test('[AG6] the superblock comes first, before any writer begins, and again when it changes', () => {
  settle();
  expect(isSame(0, 2 * BLOCK_BYTES)).toBe(true);
  const { length } = target.writes;
  nowMs = 1000;
  settle();
  expect(target.writes.length).toBe(length);
  source.content.set(encodeSuperblock(superblockOf({ revision: 2 }), 1), BLOCK_BYTES);
  nowMs = 2000;
  settle();
  expect(isSame(0, 2 * BLOCK_BYTES)).toBe(true);
});

describe('a ring', () => {
  beforeEach(() => {
    state.begin(0);
    settle();
    target.writes = [];
  });

  test('[AG6] only what is new is copied, over the end of the ring too', () => {
    write(0, 3 * BLOCK_BYTES, 1);
    settle();
    expect(target.writes).toEqual([{ offset: SLOTS_OFFSET, length: 3 * BLOCK_BYTES }]);
    write(3 * BLOCK_BYTES, SLOT_BYTES_MIN - BLOCK_BYTES, 2);
    settle();
    expect(copy.isDone).toBe(true);
    expect(state.copied.position).toBe(SLOT_BYTES_MIN + 2 * BLOCK_BYTES);
    expect(isSame(SLOTS_OFFSET, SLOT_BYTES_MIN)).toBe(true);
    expect(state.totals.skippedBytes).toBe(0);
  });

  test('[AG6] a head block is written behind all that it names', () => {
    write(0, 2 * BLOCK_BYTES, 1);
    writeHead(2 * BLOCK_BYTES);
    settle();
    expect(target.writes.map(({ offset }) => offset)).toEqual([SLOTS_OFFSET, HEAD_TABLE_OFFSET]);
    expect(isSame(HEAD_TABLE_OFFSET, BLOCK_BYTES)).toBe(true);
    expect(copy.isDone).toBe(true);
  });

  test('what the ring has written over before it was copied is left out and counted', () => {
    write(0, BLOCK_BYTES, 1);
    write(BLOCK_BYTES, SLOT_BYTES_MIN + 4 * BLOCK_BYTES, 2);
    settle();
    expect(state.totals.skippedBytes).toBe(5 * BLOCK_BYTES);
    expect(isSame(SLOTS_OFFSET, SLOT_BYTES_MIN)).toBe(true);
  });

  test('a volume that fails is tried again, later and later, and nothing is left out', () => {
    target.writeFault = () => EIO;
    write(0, BLOCK_BYTES, 1);
    expect([copy.step(), copy.step(), copy.step()]).toEqual([5, 10, 20]);
    expect([state.errno, state.totals.errors]).toEqual([5, 3]);
    target.writeFault = () => null;
    settle();
    expect([state.errno, copy.isDone]).toEqual([0, true]);
    expect(isSame(SLOTS_OFFSET, BLOCK_BYTES)).toBe(true);
  });

  test('a call that is under way is to be seen', () => {
    nowMs = 5;
    let seenMs = 0;
    target.writeFault = () => {
      seenMs = state.callingMs(nowMs + 3);
      return null;
    };
    write(0, BLOCK_BYTES, 1);
    settle();
    expect([seenMs, state.callingMs(99)]).toEqual([3, 0]);
  });

  test('the next copier goes on where the copy’s own head block says that this one was', () => {
    write(0, 4 * BLOCK_BYTES, 1);
    writeHead(4 * BLOCK_BYTES);
    settle();
    state = new CopyState(new SharedArrayBuffer(copyStateBytes));
    state.begin(6 * BLOCK_BYTES);
    copy = makeCopy();
    target.writes = [];
    settle();
    const ring = target.writes.filter(({ offset }) => offset >= SLOTS_OFFSET);
    expect(ring).toEqual([{ offset: SLOTS_OFFSET + 4 * BLOCK_BYTES, length: 2 * BLOCK_BYTES }]);
  });

  test('a copy that claims more than was written is copied anew', () => {
    write(0, 4 * BLOCK_BYTES, 1);
    writeHead(400 * BLOCK_BYTES);
    settle();
    state = new CopyState(new SharedArrayBuffer(copyStateBytes));
    state.begin(4 * BLOCK_BYTES);
    copy = makeCopy();
    target.content.fill(0, SLOTS_OFFSET);
    settle();
    expect(isSame(SLOTS_OFFSET, SLOT_BYTES_MIN)).toBe(true);
  });
});
