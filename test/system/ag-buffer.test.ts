/** [AG1] to [AG4] on the real program: what is queued by which type, what stands in batches, and when they are written. */
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { BULK, CONTROL, DATA, HEARTBEAT } from '../../agent/base/packet-type.ts';
import { dataStream, heartbeatStream, tcpTransfer } from '../../agent/demo/workload.ts';
import { VNET_HEADER_BYTES } from '../../vnic/device.ts';
import { Cluster, eventually, SOON_MS } from '../support/cluster.ts';
import { batchesOf, countByType, type BatchFound } from '../support/slot-content.ts';

const BULK_PORT = 7100;
const THRESHOLD_BYTES = 65_536;
const OVERRIDES = {
  storage: { flush: { thresholdBytes: THRESHOLD_BYTES, deadlineMs: 0.2 } },
  primary: { probe: { stableForMs: 500 } },
  types: [{ type: 'bulk', protocol: 'udp', port: BULK_PORT }],
};

let cluster: Cluster;
beforeAll(async () => {
  cluster = await Cluster.start({ tag: 'buffer' }, OVERRIDES);
});
afterEach(async () => {
  await cluster.lab.heal();
  await cluster.untilPath('network');
});
afterAll(async () => cluster?.close());

const AtoB = { from: 'a', to: 'b' } as const;
const slotOfA = (from?: number): BatchFound[] => batchesOf(cluster.lab.volume.file, 'a', cluster.clusterKey, from);

/** Where a's next batch will lie: what is written from now on is found from here. */
function endOfSlotA(): number | undefined {
  const last = slotOfA().at(-1);
  return last && last.header.position + last.header.batchBytes;
}

/** The UDP target port of an IPv4 frame as the interface gave it. */
const udpPort = (frame: Uint8Array): number =>
  new DataView(frame.buffer, frame.byteOffset).getUint16(VNET_HEADER_BYTES + 22);

async function cut(): Promise<void> {
  await cluster.lab.cut('silent');
  await cluster.untilPath('storage');
}

async function sendSome(): Promise<{ heartbeats: number; data: number; bulk: number }> {
  const streams = await Promise.all([
    heartbeatStream(cluster.lab, { ...AtoB, perSecond: 100 }),
    dataStream(cluster.lab, { ...AtoB, perSecond: 50 }),
    dataStream(cluster.lab, { ...AtoB, perSecond: 20, port: BULK_PORT }),
  ]);
  await delay(1500);
  const results = await Promise.all(streams.map(async (stream) => stream.stop()));
  expect(
    results.map(({ lost, duplicated, disordered, corrupted }) => [lost, duplicated, disordered, corrupted]),
  ).toEqual(Array.from({ length: 3 }, () => [0, 0, 0, 0]));
  const [heartbeats = 0, data = 0, bulk = 0] = results.map(({ sent }) => sent);
  return { heartbeats, data, bulk };
}

test('[AG1] packets are queued by type: the counters of each queue, and each record in the slot bears its type', async () => {
  await cut();
  const before = (await cluster.peer('a')).queues;
  const from = endOfSlotA();
  const sent = await sendSome();
  const after = (await cluster.peer('a')).queues;
  expect(after.heartbeat.sent - before.heartbeat.sent).toBe(sent.heartbeats);
  expect(after.data.sent - before.data.sent).toBe(sent.data);
  expect(after.bulk.sent - before.bulk.sent).toBe(sent.bulk);
  const records = slotOfA(from).flatMap((batch) => batch.records);
  const ports = new Map<number, Set<number>>([HEARTBEAT, DATA, BULK].map((type) => [type, new Set()]));
  for (const { type, frame } of records) ports.get(type)?.add(udpPort(frame));
  expect(Object.fromEntries([...ports].map(([type, set]) => [type, [...set]]))).toEqual({
    [HEARTBEAT]: [5405],
    [DATA]: [7000],
    [BULK]: [BULK_PORT],
  });
});

test('[AG2] with a healthy network data never stands in a batch, heartbeats do; no control packet ever does', async () => {
  const from = endOfSlotA();
  const sent = await sendSome();
  const counts = countByType(slotOfA(from));
  expect(counts[HEARTBEAT]).toBe(sent.heartbeats);
  expect([counts[CONTROL], counts[DATA], counts[BULK]]).toEqual([0, 0, 0]);
});

test('[AG2] with the network cut data goes to the write buffer too, and back on the network no more', async () => {
  await cut();
  const from = endOfSlotA();
  const sent = await sendSome();
  const counts = countByType(slotOfA(from));
  expect(counts[HEARTBEAT]).toBe(sent.heartbeats);
  expect(counts[DATA]).toBeGreaterThanOrEqual(sent.data);
  expect(counts[BULK]).toBeGreaterThanOrEqual(sent.bulk);
  expect(counts[CONTROL]).toBe(0);
  await cluster.lab.heal();
  await cluster.untilPath('network');
  const healed = endOfSlotA();
  await sendSome();
  expect(countByType(slotOfA(healed))[DATA]).toBe(0);
});

test('[AG3] the switch submits, the flush thread takes out: everything submitted leaves the buffer, in order', async () => {
  await cut();
  const from = endOfSlotA();
  const transfer = await tcpTransfer(cluster.lab, { ...AtoB, bytesPerSecond: 10e6 });
  await delay(1000);
  expect(await transfer.stop()).toMatchObject({ survived: true, corrupted: 0 });
  await eventually('the write buffer is empty', SOON_MS, async () => {
    const queues = (await cluster.lab.status('a')) as unknown as { queues: Record<string, number> };
    return Object.values(queues.queues).every((bytes) => bytes === 0);
  });
  const batches = slotOfA(from);
  const marks = batches.map(({ header }) => header.orderMark);
  expect(marks).toEqual(marks.toSorted((a, b) => a - b));
  expect(new Set(marks).size).toBe(marks.length);
  // A lane's numbers rise, save where the sender went back to what was not confirmed.
  const sequences = batches
    .flatMap(({ records }) => records.filter(({ type }) => type === DATA))
    .map((r) => r.sequence);
  const distinct = new Set(sequences);
  expect(Math.max(...distinct) - Math.min(...distinct) + 1).toBe(distinct.size);
});

test('[AG4] filling to the set point wakes: under load a write carries many frames and is as large as the threshold', async () => {
  await cut();
  const before = await cluster.status('a');
  const transfer = await tcpTransfer(cluster.lab, AtoB);
  await delay(1000);
  const after = await cluster.status('a');
  expect((await transfer.stop()).corrupted).toBe(0);
  const batches = after.storage.batches - before.storage.batches;
  const frames = (after.peers[0]?.queues.data.sent ?? 0) - (before.peers[0]?.queues.data.sent ?? 0);
  expect(batches).toBeGreaterThan(20);
  expect(frames).toBeGreaterThan(batches * 1.2);
  expect((after.storage.bytesWritten - before.storage.bytesWritten) / batches).toBeGreaterThan(THRESHOLD_BYTES);
});

test('[AG4] a lone heartbeat is not kept waiting for a full buffer, and the thread sleeps again', async () => {
  const before = await cluster.status('a');
  const stream = await heartbeatStream(cluster.lab, { ...AtoB, perSecond: 5 });
  await delay(2000);
  const { sent, lost } = await stream.stop();
  const after = await cluster.status('a');
  expect(lost).toBe(0);
  // Each on its own: a batch for every heartbeat, soon after it came.
  expect(after.storage.batches - before.storage.batches).toBeGreaterThanOrEqual(sent);
  const lone = slotOfA().flatMap(({ records }) => records);
  expect(Math.max(...lone.slice(-sent).map(({ ageMs }) => ageMs))).toBeLessThan(1000);
  // Asleep: it wakes for its own bound of 100 ms and for beacons, and writes no batch.
  const asleep = await cluster.status('a');
  await delay(2000);
  const later = await cluster.status('a');
  expect(later.storage.batches).toBe(asleep.storage.batches);
  expect(later.storage.flushWakes - asleep.storage.flushWakes).toBeLessThan(100);
  expect(later.storage.writes - asleep.storage.writes).toBeLessThan(15);
});
