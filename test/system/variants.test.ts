/** Other hosts than the usual one: sectors of 4096 bytes, a file that takes no O_DIRECT, no primary network at all. */
import { mkdirSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { run, tool } from '../../agent/demo/shell.ts';
import { dataStream, heartbeatStream, tcpTransfer } from '../../agent/demo/workload.ts';
import { Cluster, eventually, SOON_MS } from '../support/cluster.ts';

const OVERRIDES = { primary: { probe: { stableForMs: 500 } } };

/** Heartbeats and a TCP connection through the storage. */
async function carriesTraffic(cluster: Cluster): Promise<void> {
  const ends = { from: 'a', to: 'b' } as const;
  const heartbeats = await heartbeatStream(cluster.lab, { ...ends, perSecond: 100 });
  const data = await dataStream(cluster.lab, { ...ends, perSecond: 50 });
  const transfer = await tcpTransfer(cluster.lab, { from: 'b', to: 'a', bytesPerSecond: 5e6 });
  await eventually('traffic flows', SOON_MS, () => heartbeats.progress.received > 100 && transfer.progress.bytes > 1e6);
  expect(await transfer.stop()).toMatchObject({ survived: true, corrupted: 0 });
  for (const stream of [heartbeats, data]) {
    expect(await stream.stop()).toMatchObject({ lost: 0, duplicated: 0, disordered: 0, corrupted: 0 });
  }
}

test('a device with sectors of 4096 bytes: formatted, run and read like any other, and shown in the status', async () => {
  const cluster = await Cluster.start({ tag: 'sector', volumeBytes: 16 << 20, sectorBytes: 4096 }, OVERRIDES);
  try {
    expect((await cluster.status('a')).storage).toMatchObject({ sectorBytes: 4096, direct: true });
    await cluster.lab.cut('silent');
    await cluster.untilPath('storage');
    await carriesTraffic(cluster);
  } finally {
    await cluster.close();
  }
});

test('mode: none: there is no primary network, everything takes the storage, and no port is opened', async () => {
  const cluster = await Cluster.start({ tag: 'none', volumeBytes: 16 << 20, withPrimary: false });
  try {
    expect((await cluster.status('a')).primary).toMatchObject({ mode: 'none', carrier: null });
    expect((await cluster.lab.exec('a', ['ss', '-Hlun'])).stdout).toBe('');
    await carriesTraffic(cluster);
    expect((await cluster.peer('a')).path).toBe('storage');
  } finally {
    await cluster.close();
  }
});

describe('a file as volume', () => {
  /** A lab whose volume is a file at `make(directory)`. */
  async function onFile(tag: string, make: (directory: string) => Promise<string>): Promise<Cluster> {
    const cluster = await Cluster.prepare({ tag, volumeBytes: 16 << 20 });
    const file = await make(cluster.lab.directory);
    writeFileSync(file, '');
    truncateSync(file, 16 << 20);
    Object.assign(cluster.lab, { volume: { path: file, kind: 'file', file, note: '' } });
    await cluster.lab.format();
    await cluster.startAgents(OVERRIDES);
    return cluster;
  }

  test('where the file system refuses O_DIRECT the status and the log say so, and it works', async () => {
    let mounted = '';
    const cluster = await onFile('file', async (directory) => {
      mounted = join(directory, 'undirect');
      mkdirSync(mounted);
      // The one file system of every kernel that has no O_DIRECT.
      await tool(['mount', '-t', 'ramfs', 'none', mounted]);
      return join(mounted, 'volume');
    });
    try {
      const { storage } = await cluster.status('a');
      const text = await cluster.lab.stillbeat('a', ['status', '--socket', cluster.lab.socketPath('a')]);
      expect(storage.direct).toBe(false);
      expect(text.stdout).toContain('not O_DIRECT');
      expect(cluster.lab.agentLog('a')).toMatch(/O_DIRECT/);
      await cluster.lab.cut('silent');
      await cluster.untilPath('storage');
      await carriesTraffic(cluster);
    } finally {
      await Promise.all(cluster.lab.nodes.map(async (node) => cluster.lab.stopAgent(node)));
      await run(['umount', mounted]);
      await cluster.close();
    }
  });
});
