/**
 * A volume that fails and comes back as another device, under the same path: node a names its volume by a link, as udev
 * makes them, and reaches it through a disk that fails on command. The other node's way to it is good all the time.
 */
import { renameSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Cluster, eventually, SOON_MS } from '../support/cluster.ts';
import { EIO, FaultDisk } from '../support/fault-disk.ts';

let cluster: Cluster;
let disk: FaultDisk;
let link: string;
beforeEach(async () => {
  cluster = await Cluster.prepare({ tag: 'device', volumeBytes: 16 << 20 });
  const { lab } = cluster;
  disk = await FaultDisk.over(lab, lab.volume.file);
  link = join(lab.directory, 'disk');
  pointAt(disk.path);
});
const end = async (): Promise<void> => {
  // Whoever waits in a call to it has to go on before the agents can end.
  await disk?.heal();
  for (const node of ['a', 'b']) await cluster?.lab.stopAgent(node);
  await disk?.close();
  await cluster?.close();
};
afterEach(end);

function pointAt(device: string): void {
  symlinkSync(device, `${link}.new`);
  renameSync(`${link}.new`, link);
}

async function fails(volumes: { send: string; receive?: Record<string, string> }): Promise<void> {
  const { lab } = cluster;
  lab.useVolumes('a', volumes);
  await cluster.startAgents();
  await disk.fault(EIO, EIO);
  await eventually('a cannot read it', SOON_MS, async () => (await cluster.status('a')).storage.readError === 'EIO');
}

const hangUp = (): boolean => process.kill(cluster.lab.agentPid('a'), 'SIGHUP');

test('SIGHUP: the send volume’s path names another device, and the agent starts anew in place with that one', async () => {
  const { lab } = cluster;
  await fails({ send: link, receive: { b: link } });
  await eventually('nor write', SOON_MS, async () => !(await cluster.status('a')).storage.available);
  const { incarnation, pid } = await cluster.status('a');
  pointAt(lab.volume.path);
  hangUp();
  await eventually('a writes and reads again', SOON_MS, async () => {
    const { storage } = await cluster.status('a');
    return storage.available && storage.writeError === null && storage.readError === null;
  });
  const after = await cluster.status('a');
  expect(after.pid).toBe(pid);
  expect(after.incarnation).not.toBe(incarnation);
  expect((await cluster.events('a', 'restarting')).at(-1)?.['reason']).toMatch(/send volume, which is another device/);
  await lab.cut('silent');
  await cluster.untilPath('storage');
  expect(await cluster.ping('a', 'b', 5)).toBe(true);
  // Once more changes nothing: it is the device that is open.
  const { incarnation: running } = await cluster.status('a');
  hangUp();
  await eventually('the settings hold', SOON_MS, async () => (await cluster.events('a', 'settings')).length > 0);
  expect((await cluster.status('a')).incarnation).toBe(running);
});

test('SIGHUP: a receive volume’s path names another device, which is read without a start in place', async () => {
  const { lab } = cluster;
  await fails({ send: lab.volume.path, receive: { b: link } });
  const { incarnation } = await cluster.status('a');
  pointAt(lab.volume.path);
  hangUp();
  await eventually('a reads again', SOON_MS, async () => {
    const { storage, peers } = await cluster.status('a');
    return storage.readError === null && peers[0]?.storage.fresh === true;
  });
  expect((await cluster.status('a')).incarnation).toBe(incarnation);
  await lab.cut('silent');
  await cluster.untilPath('storage');
  expect(await cluster.ping('a', 'b', 5)).toBe(true);
});
