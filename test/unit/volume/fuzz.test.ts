/**
 * What reads volumes, given anything: it never throws, never reads outside, and never hands on what was not sealed. One
 * seed, the same inputs each time; together with wire/fuzz.test.ts more than a million.
 */
import { describe, expect, test } from 'vitest';
import { dataView, sameBytes } from '../../../agent/base/bytes.ts';
import { crc32 } from '../../../agent/base/crc32.ts';
import { acknowledgements, openBatch, peekBatch, recordSpan, type BatchHeader } from '../../../agent/volume/batch.ts';
import { decodeHead, parseHead } from '../../../agent/volume/head.ts';
import {
  BATCH,
  BATCH_BYTES_MAX,
  BLOCK_BYTES,
  HEAD,
  HEAD_TABLE_OFFSET,
  SLOT_BYTES_MIN,
  SLOTS_OFFSET,
  SUPERBLOCK,
} from '../../../agent/volume/layout.ts';
import { READER_MEMORY_BYTES, SlotReader } from '../../../agent/volume/slot-reader.ts';
import { findSignature } from '../../../agent/volume/signatures.ts';
import { decodeSuperblock, encodeSuperblock } from '../../../agent/volume/superblock.ts';
import { walkRecords } from '../../../agent/wire/record.ts';
import { CrcSeal } from '../../../agent/wire/seal.ts';
import { MemoryDisk } from '../../support/memory-disk.ts';
import { Mutator } from '../../support/mutator.ts';
import {
  CLUSTER_KEY,
  CLUSTER_UUID,
  FIRST_START,
  incarnationOf,
  OPEN,
  SEALED,
  slotGeometry,
  superblockOf,
  TestWriter,
} from '../../support/volume.ts';

const NONE = new Uint8Array(0);
/** Where the first batch lies, not at the very beginning, so that a damaged position can be lower too. */
const POSITION = 8 * BLOCK_BYTES;
const BATCH_OFFSET = SLOTS_OFFSET + POSITION;
const TIMEOUT = { timeout: 60_000 };

/** A volume with a head of some entries and two batches of several records. */
function written(key: Uint8Array | null): MemoryDisk {
  const disk = new MemoryDisk(SLOTS_OFFSET + SLOT_BYTES_MIN);
  const writer = new TestWriter(disk, { key, start: { ...FIRST_START, position: POSITION } });
  const entry = {
    peerIndex: 1,
    flags: 3,
    path: 2,
    nextData: 1,
    nextBulk: 2,
    floorHeartbeat: 3,
    floorData: 4,
    floorBulk: 5,
  };
  const echo = { echoIncarnation: incarnationOf(4), echoMonotonicUs: 5, echoDelayUs: 6, readPosition: 7 };
  writer.head(1, [{ ...entry, ...echo }, { ...entry, ...echo, peerIndex: 2 }]); // prettier-ignore
  writer.batch([10, 1400, 60, 900].map((length) => new Uint8Array(length).fill(length & 0xff)));
  return disk;
}

describe('anything given to the decoders of a volume', () => {
  test('superblock: 150,000 blocks, half of them with a right checksum', TIMEOUT, () => {
    const mutator = new Mutator(1);
    const good = encodeSuperblock(superblockOf(), 0);
    const block = new Uint8Array(BLOCK_BYTES);
    let decoded = 0;
    for (let i = 0; i < 150_000; i++) {
      block.set(good);
      if (i % 50 === 0) mutator.random(block.subarray(8));
      else mutator.damage(block, 128);
      if (i % 2 === 0)
        dataView(block).setUint32(SUPERBLOCK.at.crc32, crc32(block.subarray(0, SUPERBLOCK.at.copy)), true);
      const result = decodeSuperblock(block);
      if (!result.ok) continue;
      decoded++;
      const { slotCount, slotBytes, volumeBytes, nodes, createdWallMs } = result.superblock;
      const sane = SLOTS_OFFSET + slotCount * slotBytes <= volumeBytes && nodes.length === slotCount;
      if (!sane || !Number.isSafeInteger(volumeBytes)) throw new Error(`input ${i}: impossible sizes`);
      new Date(createdWallMs).toISOString();
    }
    expect(decoded).toBeGreaterThan(1000);
  });

  test('head block: 120,000 blocks, sealed and open, some with a right checksum', TIMEOUT, () => {
    const mutator = new Mutator(2);
    let decoded = 0;
    for (const seals of [SEALED, OPEN]) {
      const good = written(seals === SEALED ? CLUSTER_KEY : null).content.slice(
        HEAD_TABLE_OFFSET,
        HEAD_TABLE_OFFSET + BLOCK_BYTES,
      );
      const block = new Uint8Array(BLOCK_BYTES);
      for (let i = 0; i < 60_000; i++) {
        block.set(good);
        if (i % 50 === 0) mutator.random(block.subarray(24));
        else mutator.damage(block, 300);
        if (i % 2 === 0) new CrcSeal().seal(0, block.subarray(0, HEAD.at.tag), NONE, block.subarray(HEAD.at.tag));
        parseHead(block);
        const result = decodeHead(block, 0, CLUSTER_UUID, seals);
        if (!result.ok) continue;
        decoded++;
        if (seals === SEALED && !sameBytes(block, 0, good, 0, BLOCK_BYTES)) throw new Error(`input ${i}: forged`);
        if (Object.values(result.head).includes(Infinity)) throw new Error(`input ${i}: an impossible number`);
      }
    }
    expect(decoded).toBeGreaterThan(1000);
  });

  test('batch: 200,000, sealed and open, some with a right checksum', TIMEOUT, () => {
    const mutator = new Mutator(3);
    const counts: Record<string, number> = {};
    for (const seals of [SEALED, OPEN]) {
      const good = written(seals === SEALED ? CLUSTER_KEY : null).content.slice(
        BATCH_OFFSET,
        BATCH_OFFSET + BLOCK_BYTES,
      );
      const bytes = new Uint8Array(BLOCK_BYTES);
      for (let i = 0; i < 100_000; i++) {
        bytes.set(good);
        if (i % 50 === 0) mutator.random(bytes.subarray(24));
        else mutator.damage(bytes, 400);
        const verdict = judge(bytes, good, seals, i % 2 === 0);
        counts[verdict] = (counts[verdict] ?? 0) + 1;
      }
    }
    for (const verdict of ['absent', 'version', 'foreign', 'stale', 'ahead', 'torn', 'damaged', 'ok']) {
      expect(counts[verdict], verdict).toBeGreaterThan(100);
    }
  });

  /** Opens and walks a batch; throws when something is believed that was not sealed. */
  function judge(bytes: Uint8Array, good: Uint8Array, seals: typeof SEALED, repair: boolean): string {
    const peek = peekBatch(bytes, 0, CLUSTER_UUID, POSITION, BLOCK_BYTES);
    if (!peek.ok) return peek.fault;
    const { header } = peek;
    const { payloadBytes, incarnation } = header;
    if (repair) {
      const body = bytes.subarray(BATCH.bytes, BATCH.bytes + payloadBytes);
      new CrcSeal().seal(0, bytes.subarray(0, BATCH.at.tag), body, bytes.subarray(BATCH.at.tag, BATCH.bytes));
    }
    const before = bytes.slice(0, BATCH.bytes + payloadBytes);
    const opened = openBatch(bytes, header, seals(incarnation, 0, 'batch'));
    if (opened !== 'ok') return opened;
    if (seals === SEALED && !sameBytes(before, 0, good, 0, before.length)) throw new Error('forged');
    for (const { readPosition } of acknowledgements(bytes, header)) {
      if (!Number.isSafeInteger(readPosition)) throw new Error('an impossible position');
    }
    const [start, end] = recordSpan(header);
    walkRecords(bytes, start, end, (record, offset) => {
      if (offset < start || offset + record.frameBytes > end) throw new Error('a frame outside its batch');
    });
    return 'ok';
  }

  test('records: 150,000 payloads', TIMEOUT, () => {
    const mutator = new Mutator(4);
    const good = written(null).content.slice(BATCH_OFFSET + BATCH.bytes + 24, BATCH_OFFSET + BATCH.bytes + 24 + 2450);
    const bytes = new Uint8Array(good.length);
    let whole = 0;
    for (let i = 0; i < 150_000; i++) {
      bytes.set(good);
      if (i % 10 === 0) mutator.random(bytes);
      else mutator.damage(bytes, 64);
      const start = 8 * mutator.prng.below(4);
      const end = bytes.length - mutator.prng.below(100);
      let visited = 0;
      const isWhole = walkRecords(bytes, start, end, (record, offset) => {
        visited++;
        if (offset < start || offset + record.frameBytes > end) throw new Error(`input ${i}: a frame outside`);
      });
      if (visited > good.length / 16) throw new Error(`input ${i}: too many records`);
      if (isWhole) whole++;
    }
    expect(whole).toBeGreaterThan(0);
  });

  test('signatures: 20,000 beginnings of a device', TIMEOUT, () => {
    const mutator = new Mutator(5);
    const device = new Uint8Array(128 * 1024);
    device.set(encodeSuperblock(superblockOf(), 0));
    for (let i = 0; i < 20_000; i++) {
      mutator.damage(device, 8192);
      findSignature((offset, length) => device.subarray(offset, offset + length), device.length, 'lab');
    }
  });
});

/** A ring of sealed batches, each with one record that repeats its order mark. */
function ringOf(batches: number): { disk: MemoryDisk; end: number } {
  const disk = new MemoryDisk(SLOTS_OFFSET + SLOT_BYTES_MIN);
  const writer = new TestWriter(disk, { key: CLUSTER_KEY });
  const { prng } = new Mutator(6);
  writer.head();
  for (let mark = 1; mark <= batches; mark++) {
    const frame = new Uint8Array(prng.chance(1, 10) ? prng.between(4000, 40_000) : prng.between(4, 3000));
    new Uint32Array(frame.buffer, 0, Math.floor(frame.length / 4)).fill(mark);
    writer.batch([frame], { sequence: mark });
  }
  return { disk, end: writer.writer.position };
}

test('[AUTH1] a reader on a damaged ring: 150,000 polls, nothing is handed on that was not sealed', TIMEOUT, () => {
  const mutator = new Mutator(7);
  const { prng } = mutator;
  const { disk, end } = ringOf(600);
  const pristine = disk.content.slice();
  disk.readFault = (offset, length) => {
    const inside = offset >= SLOTS_OFFSET && offset + length <= SLOTS_OFFSET + SLOT_BYTES_MIN;
    if (!inside || length > BATCH_BYTES_MAX) throw new Error(`read outside the slot: ${offset}, ${length}`);
    return prng.chance(1, 200) ? -5 : null;
  };
  let handedOn = 0;
  const sink = (bytes: Uint8Array, header: BatchHeader): boolean => {
    const [start, stop] = recordSpan(header);
    const whole = walkRecords(bytes, start, stop, (record, offset) => {
      const mark = dataView(bytes).getUint32(offset, true);
      if (mark !== header.orderMark || record.sequence !== mark)
        throw new Error(`mark ${header.orderMark} bears ${mark}`);
    });
    if (!whole) throw new Error('a record outside its batch');
    if (prng.chance(1, 20)) return false;
    handedOn++;
    return true;
  };
  let polls = 0;
  for (let round = 0; polls < 150_000; round++) {
    for (let i = 0; i < 8; i++) {
      const block = SLOTS_OFFSET + BLOCK_BYTES * prng.below(Math.ceil(end / BLOCK_BYTES));
      if (prng.chance(1, 3)) disk.content.copyWithin(block, SLOTS_OFFSET, SLOTS_OFFSET + BLOCK_BYTES);
      else mutator.damage(disk.content.subarray(block, block + BLOCK_BYTES), BATCH.bytes);
    }
    const reader = new SlotReader(
      disk,
      slotGeometry(0),
      0,
      CLUSTER_UUID,

      SEALED,
      new Uint8Array(READER_MEMORY_BYTES),
      5,
    );
    reader.accept(incarnationOf(1), prng.chance(1, 2) ? 0 : BLOCK_BYTES * prng.below(end / BLOCK_BYTES), 0);
    let last = -1;
    for (let i = 0; i < 1000; i++, polls++) {
      if (i % 10 === 0) reader.sawHead(prng.chance(1, 10) ? BLOCK_BYTES * prng.below((2 * end) / BLOCK_BYTES) : end);
      reader.poll(i, sink);
      if (reader.position < last) throw new Error('the reader went back');
      last = reader.position;
    }
    if (round % 4 === 3) disk.content.set(pristine);
  }
  expect(handedOn).toBeGreaterThan(5000);
});
