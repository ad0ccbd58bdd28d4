/** What polling costs with many peers, in operations: counted reads, by a clock that the test moves. */
import { beforeEach, expect, test } from 'vitest';
import { DATA } from '../../../agent/base/packet-type.ts';
import { PATHS, type Path } from '../../../agent/base/paths.ts';
import { Gate, GATE_WORDS } from '../../../agent/core/gate.ts';
import { AGENT, PEER, PEER_TIME, SharedState, sharedStateBytes } from '../../../agent/queue/shared-state.ts';
import { Ring, ringBytes } from '../../../agent/queue/ring.ts';
import { ReaderLoop } from '../../../agent/reader/reader-loop.ts';
import { BLOCK_BYTES, HEAD_TABLE_OFFSET, SLOTS_OFFSET } from '../../../agent/volume/layout.ts';
import { READER_MEMORY_BYTES } from '../../../agent/volume/slot-reader.ts';
import { MemoryDisk } from '../../support/memory-disk.ts';
import { CLUSTER_UUID, incarnationOf, OPEN, TestWriter } from '../../support/volume.ts';

const SLOT_BYTES = 64 * BLOCK_BYTES;
const PACE = { idle: 50, active: 0.2 };
let nowMs: number;
let disk: MemoryDisk;
let state: SharedState;
let loop: ReaderLoop;
let writers: TestWriter[];
/** Reads of the head table, and of each slot's ring. */
let heads: number;
let rings: number[];

/** A volume for `count` nodes, the last of them ours; all others live, on `path`, and have written nothing yet. */
function make(count: number, path: Path): void {
  const peers = count - 1;
  disk = new MemoryDisk(SLOTS_OFFSET + count * SLOT_BYTES);
  state = new SharedState(new SharedArrayBuffer(sharedStateBytes()));
  nowMs = 10_000;
  heads = 0;
  rings = Array.from({ length: peers }, () => 0);
  disk.readFault = (offset) => {
    if (offset === HEAD_TABLE_OFFSET) heads++;
    else rings[Math.floor((offset - SLOTS_OFFSET) / SLOT_BYTES)]!++;
    return null;
  };
  loop = new ReaderLoop(
    disk,
    state,
    {
      reader: 0,
      pace: PACE,
      maxAgeMs: 5000,
      clusterUuid: CLUSTER_UUID,
      ownTenant: peers,
      ownIncarnation: incarnationOf(99),
      beganMs: 0,
      slotCount: count,
      slotBytes: SLOT_BYTES,
      slotsOffset: SLOTS_OFFSET,
      peers: Array.from({ length: peers }, (_, i) => ({ seat: i, since: 1, tenant: i })),
      patienceMs: 500,
    },
    new Ring(new SharedArrayBuffer(ringBytes(65536)), 0, 65536),
    OPEN,
    { deliver: () => true, head: () => {}, bell: () => {} },
    new Uint8Array(ReaderLoop.memoryBytes(count, READER_MEMORY_BYTES)),
    () => nowMs,
  );
  writers = state.peers.slice(0, peers).map(({ words, times, incarnation }, i) => {
    const writer = new TestWriter(disk, { slot: i, slotBytes: SLOT_BYTES, incarnation: incarnationOf(i + 1) });
    writer.monotonicUs = 10_000_000;
    writer.head();
    incarnation.fill(i + 1);
    words[PEER.clockKnown] = 1;
    words[PEER.accepted] = 1;
    words[PEER.live] = 1;
    words[PEER.path] = PATHS.indexOf(path);
    words[PEER.epoch] = 1;
    times[PEER_TIME.startPosition] = 0;
    new Gate(words, PEER.gates + DATA * GATE_WORDS).reset(1);
    return writer;
  });
}

/** Runs for so long; answers reads a second: of the head table, and of all rings together. */
function runFor(ms: number, each: () => void = () => {}): { heads: number; rings: number } {
  const before = { heads, rings: rings.reduce((sum, count) => sum + count, 0) };
  for (const endMs = nowMs + ms; nowMs < endMs;) {
    nowMs += Math.max(0.05, loop.step());
    each();
  }
  const after = rings.reduce((sum, count) => sum + count, 0);
  return { heads: ((heads - before.heads) * 1000) / ms, rings: ((after - before.rings) * 1000) / ms };
}

/** Peer `index` sends `everyMs`. */
function sends(index: number, everyMs: number): () => void {
  let dueMs = nowMs;
  let sequence = 1;
  return () => {
    if (nowMs < dueMs) return;
    dueMs += everyMs;
    const writer = writers[index] as TestWriter;
    writer.monotonicUs = Math.round(nowMs * 1000);
    writer.batch([new Uint8Array(100)], { peer: rings.length, sequence: sequence++ });
    writer.head();
  };
}

beforeEach(() => {
  nowMs = 0;
});

test('on the network an idle node reads the head table and no ring, with one peer and with 63', () => {
  const costs = [2, 8, 32, 64].map((nodes) => {
    make(nodes, 'network');
    runFor(1000);
    return runFor(10_000);
  });
  for (const cost of costs) expect(cost).toEqual({ heads: 1000 / PACE.idle, rings: 0 });
});

test('with storage as the only way silent peers together cost what one does', { timeout: 30_000 }, () => {
  const costs = [2, 8, 32, 64].map((nodes) => {
    make(nodes, 'storage');
    runFor(5000);
    const cost = runFor(10_000);
    return cost.heads + cost.rings;
  });
  expect(Math.max(...costs) / Math.min(...costs)).toBeLessThan(1.1);
});

test('a peer that is dead, or was never there, costs nothing', () => {
  make(16, 'isolated');
  for (const { words } of state.peers) words[PEER.live] = 0;
  runFor(1000);
  expect(runFor(5000).rings).toBe(0);
});

test('of 63 peers only the one that sends is read often, on either path', { timeout: 30_000 }, () => {
  for (const path of ['network', 'storage'] as const) {
    make(64, path);
    runFor(3000);
    const before = [...rings];
    runFor(2000, sends(7, 10));
    const counts = rings.map((count, i) => count - (before[i] ?? 0));
    const active = counts.splice(7, 1)[0] ?? 0;
    expect(state.peers[7]?.words[PEER.delivered]).toBeGreaterThan(190);
    expect(active).toBeGreaterThan(400);
    expect(Math.max(...counts)).toBeLessThanOrEqual(path === 'network' ? 0 : 40);
  }
});

test('a silent peer’s first packet is seen with its head block, and the next ones at once', () => {
  make(64, 'storage');
  runFor(5000);
  const delivered = (): number => state.peers[40]?.words[PEER.delivered] ?? 0;
  const send = sends(40, 1e9);
  send();
  runFor(PACE.idle + 1);
  expect(delivered()).toBe(1);
});

test('whom we asked something is looked at for the answer, and no other', () => {
  make(8, 'storage');
  runFor(5000);
  const before = [...rings];
  (state.peers[3] as { times: Float64Array }).times[PEER_TIME.questionMs] = nowMs + 0.01;
  nowMs += 0.01;
  runFor(2.5);
  const counts = rings.map((count, i) => count - (before[i] ?? 0));
  expect(counts[3]).toBeGreaterThan(2);
  expect(counts.filter((_, i) => i !== 3).reduce((sum, count) => sum + count, 0)).toBeLessThanOrEqual(3);
});

test('[RING1] an overrun is told: a head block and a batch for its confirmations are wanted, and the heads are read again', () => {
  make(2, 'network');
  runFor(200);
  const [writer] = writers as [TestWriter];
  writer.monotonicUs = Math.round(nowMs * 1000);
  for (let i = 0; i < 90; i++) writer.batch([new Uint8Array(100)], { peer: 1, sequence: i + 1 });
  writer.head();
  const { words } = state;
  Atomics.store(words, AGENT.headWanted, 0);
  runFor(60);
  expect(state.peers[0]?.times[PEER_TIME.readPosition]).toBe(writer.writer.position);
  expect([words[AGENT.headWanted], words[AGENT.acknowledgeWanted]]).toEqual([1, 1]);
  expect(state.peers[0]?.words[PEER.skips]).toBe(1);
});
