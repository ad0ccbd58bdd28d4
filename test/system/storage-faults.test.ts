/**
 * Storage that hangs and returns, that fails and recovers, and a disk that is full: what an agent does meanwhile, and that
 * nothing old comes out afterwards. The volume is a real loop device over a disk that fails on command.
 */
import { existsSync, mkdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { DATA } from '../../agent/base/packet-type.ts';
import { tool } from '../../agent/demo/shell.ts';
import { dataStream, heartbeatStream } from '../../agent/demo/workload.ts';
import { Cluster, eventually, SOON_MS } from '../support/cluster.ts';
import { EIO, FaultDisk } from '../support/fault-disk.ts';
import { batchesOf, countByType } from '../support/slot-content.ts';

const MAX_AGE_MS = 2000;
/** An arrival is noted by another process on a busy machine: this much later than it was delivered, at most. */
const NOTED_LATE_MS = 500;
/** Several times maxAgeMs, and the limits of judgement and supervision. */
const HANG_MS = 12_000;
const OVERRIDES = { storage: { maxAgeMs: MAX_AGE_MS }, primary: { probe: { stableForMs: 500 } } };
const AtoB = { from: 'a', to: 'b' } as const;

describe('a disk that hangs or fails', () => {
  let cluster: Cluster;
  let disk: FaultDisk;
  beforeAll(async () => {
    cluster = await Cluster.prepare({ tag: 'disk', volumeBytes: 16 << 20 });
    disk = await FaultDisk.inLab(cluster.lab);
    await cluster.lab.format();
    await cluster.startAgents(OVERRIDES);
  });
  afterEach(async () => {
    await disk.heal();
    await cluster.lab.heal();
    await cluster.untilPath('network');
    await eventually('the storage works, and that is told', SOON_MS, async () => {
      const { storage, events } = await cluster.status('a');
      const told = events.filter(({ kind }) => kind === 'storage-error' || kind === 'storage-good').at(-1);
      return storage.available && told?.kind !== 'storage-error';
    });
  });
  afterAll(async () => {
    await disk?.close();
    await cluster?.close();
  });

  const counted = async (node: string): Promise<number> => {
    const { peers, storage } = await cluster.status(node);
    const [peer] = peers;
    return (
      (peer?.tooOld ?? 0) + storage.expired + (peer?.queues.data.expired ?? 0) + (peer?.queues.heartbeat.expired ?? 0)
    );
  };

  test('hanging while the network is cut: the node looks dead, and when it returns nothing older than maxAgeMs comes', async () => {
    const { lab } = cluster;
    await lab.cut('silent');
    await cluster.untilPath('storage');
    const heartbeats = await heartbeatStream(lab, { ...AtoB, perSecond: 100 });
    const data = await dataStream(lab, { ...AtoB, perSecond: 50 });
    await eventually(
      'both streams arrive',
      SOON_MS,
      () => heartbeats.progress.received > 50 && data.progress.received > 25,
    );
    const before = (await counted('a')) + (await counted('b'));
    await disk.fault('hang', 'hang');
    const hangs = performance.now();
    await cluster.untilPath('isolated');
    const arrived = heartbeats.progress.received + data.progress.received;
    expect(await cluster.ping('a', 'b')).toBe(false);
    expect(await cluster.ping('b', 'a')).toBe(false);
    await delay(HANG_MS - (performance.now() - hangs));
    expect(heartbeats.progress.received + data.progress.received).toBe(arrived);
    const status = await cluster.status('a');
    expect(status.storage).toMatchObject({ available: false, writing: true });
    expect(status.events.filter(({ kind }) => kind === 'thread-stalled').map(({ thread }) => thread)).toContain(
      'flush',
    );
    await disk.heal();
    await cluster.untilPath('storage');
    expect(await cluster.ping('a', 'b', 5)).toBe(true);
    const after = heartbeats.progress.received;
    await eventually('heartbeats arrive again', SOON_MS, () => heartbeats.progress.received > after + 50);
    for (const result of [await heartbeats.stop(), await data.stop()]) {
      expect(result).toMatchObject({ duplicated: 0, disordered: 0, corrupted: 0 });
      expect(result.latencyMs.max).toBeLessThan(MAX_AGE_MS + NOTED_LATE_MS);
      expect(result.lost).toBeGreaterThan(0);
    }
    expect((await counted('a')) + (await counted('b'))).toBeGreaterThan(before + 100);
    await eventually('the threads are told to move again', SOON_MS, async () => {
      return (await cluster.events('a', 'thread-moves')).some(({ thread }) => thread === 'flush');
    });
  });

  test('hanging while the network is healthy: heartbeats go on without loss, and the standstill is reported', async () => {
    const { lab } = cluster;
    const heartbeats = await heartbeatStream(lab, { ...AtoB, perSecond: 200 });
    const from = Date.now();
    await disk.fault('none', 'hang');
    await eventually('a reports its flush thread and its storage', SOON_MS, async () => {
      const stalled = await cluster.events('a', 'thread-stalled', from);
      return (
        stalled.some(({ thread }) => thread === 'flush') &&
        (await cluster.events('a', 'storage-error', from)).length > 0
      );
    });
    expect((await cluster.status('a')).storage.available).toBe(false);
    expect((await cluster.peer('a')).path).toBe('network');
    const text = await lab.stillbeat('a', ['status', '--config', lab.settingsPath('a')]);
    expect(text.stdout).toContain('NOT AVAILABLE');
    await disk.heal();
    await eventually('the storage works', SOON_MS, async () => (await cluster.status('a')).storage.available);
    const result = await heartbeats.stop();
    expect(result).toMatchObject({ lost: 0, duplicated: 0, disordered: 0 });
    expect(result.latencyMs.max).toBeLessThan(MAX_AGE_MS + NOTED_LATE_MS);
  });

  test('SIGTERM while it hangs: interface and sockets are given back, it says what it waits for, and ends with the storage', async () => {
    const { lab } = cluster;
    await disk.fault('hang', 'hang');
    await eventually('b tells of it', SOON_MS, async () => !(await cluster.status('b')).storage.available);
    process.kill(lab.agentPid('b'), 'SIGTERM');
    await eventually('the last line', SOON_MS, () => /"message":"stopped"/.test(lab.agentLog('b')));
    expect(lab.agentLog('b')).toMatch(/a thread hangs in its storage: the process is gone when that answers/);
    await eventually('the socket is gone', SOON_MS, () => !existsSync(lab.socketPath('b')));
    expect((await lab.exec('b', ['ip', 'link', 'show', 'sb0'])).status).not.toBe(0);
    // No process can leave such a call, not even for SIGKILL.
    expect(lab.agentEnded('b')).toBeNull();
    await disk.heal();
    await eventually('it ends', SOON_MS, () => lab.agentEnded('b') !== null);
    expect(lab.agentEnded('b')).toBe(0);
    await lab.startAgent('b', OVERRIDES);
  });

  test('EIO: the storage counts as unavailable and the error is shown; when it recovers, traffic goes on', async () => {
    const { lab } = cluster;
    await lab.cut('silent');
    await cluster.untilPath('storage');
    const from = Date.now();
    const heartbeats = await heartbeatStream(lab, { ...AtoB, perSecond: 100 });
    await disk.fault(EIO, EIO);
    await cluster.untilPath('isolated');
    const status = await cluster.status('a');
    expect(status.storage).toMatchObject({ available: false, writeError: 'EIO', readError: 'EIO' });
    expect(status.storage.writeErrors).toBeGreaterThan(0);
    expect(
      (
        await eventually(
          'the error is told',
          SOON_MS,
          async () => (await cluster.events('a', 'storage-error', from))[0],
        )
      )['errno'],
    ).toBe('EIO');
    await disk.heal();
    await cluster.untilPath('storage');
    expect((await cluster.status('a')).storage).toMatchObject({ available: true, writeError: null, readError: null });
    expect(await cluster.ping('a', 'b', 5)).toBe(true);
    const result = await heartbeats.stop();
    expect(result).toMatchObject({ duplicated: 0, disordered: 0, corrupted: 0 });
    expect(result.latencyMs.max).toBeLessThan(MAX_AGE_MS + NOTED_LATE_MS);
    await eventually(
      'the return is told',
      SOON_MS,
      async () => (await cluster.events('a', 'storage-good', from)).length > 0,
    );
  });

  test('[AG2] while the storage is not available nothing enters the write buffer, though the network is cut', async () => {
    const { lab } = cluster;
    await lab.cut('silent');
    await cluster.untilPath('storage');
    await disk.fault('none', EIO);
    await cluster.untilPath('isolated', SOON_MS, ['a']);
    const records = () => countByType(batchesOf(disk.file, 'a', cluster.clusterKey));
    const before = records();
    const heartbeats = await heartbeatStream(lab, { ...AtoB, perSecond: 100 });
    const data = await dataStream(lab, { ...AtoB, perSecond: 100 });
    await eventually('both are sent', SOON_MS, () => data.progress.sent > 100 && heartbeats.progress.sent > 100);
    const { queues } = (await lab.status('a')) as unknown as { queues: Record<string, number> };
    expect(queues).toMatchObject({ heartbeat: 0, data: 0 });
    await heartbeats.stop();
    await data.stop();
    expect(records()[DATA]).toBe(before[DATA]);
  });
});

describe('a full disk under a file volume', () => {
  let cluster: Cluster;
  let mounted: string;
  beforeAll(async () => {
    cluster = await Cluster.prepare({ tag: 'full', volumeBytes: 16 << 20 });
    mounted = join(cluster.lab.directory, 'small');
    mkdirSync(mounted);
    await tool(['mount', '-t', 'tmpfs', '-o', 'size=16m', 'none', mounted]);
    const file = join(mounted, 'volume');
    writeFileSync(file, '');
    truncateSync(file, 64 << 20); // with holes: the disk below has not the room for all of it
    Object.assign(cluster.lab, { volume: { path: file, kind: 'file', file, note: '' } });
    await cluster.lab.format();
    await cluster.startAgents(OVERRIDES);
  });
  afterAll(async () => {
    await Promise.all(cluster.lab.nodes.map(async (node) => cluster.lab.stopAgent(node)));
    await tool(['umount', mounted]);
    await cluster?.close();
  });

  test('ENOSPC: told by name, the other way carries on; with room again the storage is used again', async () => {
    const { lab } = cluster;
    const ballast = join(mounted, 'ballast');
    await tool(['fallocate', '-l', '15M', ballast]);
    const heartbeats = await heartbeatStream(lab, { ...AtoB, perSecond: 500, bytes: 1000 });
    await eventually('a tells of the full disk, and takes the storage for unavailable', 60_000, async () => {
      const { storage } = await cluster.status('a');
      return storage.writeError === 'ENOSPC' && !storage.available;
    });
    expect((await cluster.peer('a')).path).toBe('network');
    rmSync(ballast);
    await eventually('the storage is available', SOON_MS, async () => {
      const { storage } = await cluster.status('a');
      return storage.available && storage.writeError === null;
    });
    expect(await heartbeats.stop()).toMatchObject({ lost: 0, duplicated: 0, disordered: 0, corrupted: 0 });
    await lab.cut('silent');
    await cluster.untilPath('storage');
    expect(await cluster.ping('a', 'b', 5)).toBe(true);
  });
});
