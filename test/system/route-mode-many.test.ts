/** `mode: route` among three nodes, while peers come and go, and with two agents on one host. */
import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { CLI_PATH } from '../../agent/demo/lab.ts';
import { run } from '../../agent/demo/shell.ts';
import { tcpTransfer } from '../../agent/demo/workload.ts';
import { Cluster, eventually, SOON_MS } from '../support/cluster.ts';
import { kernelState, wayOf } from '../support/kernel-state.ts';

const PORT = 7001;
const OVERRIDES = {
  primary: { mode: 'route', probe: { stableForMs: 500, stableForMaxMs: 500 } },
  types: [{ type: 'bulk', protocol: 'tcp', port: PORT }],
};

let cluster: Cluster;
beforeAll(async () => {
  cluster = await Cluster.prepare({ nodes: ['a', 'b', 'c'], tag: 'routes' });
  await cluster.startAgents(OVERRIDES);
  for (const [node, peer] of ['ab', 'ac', 'ba', 'bc', 'ca', 'cb'].map((pair) => pair.split(''))) {
    await untilWay(node ?? '', peer ?? '', 'eth0');
  }
});
afterAll(async () => cluster?.close());

async function untilWay(node: string, peer: string, way: string): Promise<void> {
  const { lab } = cluster;
  await eventually(`${node} reaches ${peer} by ${way}`, SOON_MS, async () => {
    return (await wayOf(lab, node, lab.vnicAddress(peer), PORT)) === way;
  });
}

const ways = async (node: string, peers: readonly string[]): Promise<string[]> =>
  Promise.all(peers.map(async (peer) => wayOf(cluster.lab, node, cluster.lab.vnicAddress(peer), PORT)));

test('one pair is cut: its connection goes through the storage, the other pairs stay past the agents', async () => {
  const { lab } = cluster;
  const transfer = await tcpTransfer(lab, { from: 'a', to: 'b', port: PORT, bytesPerSecond: 4e6 });
  await lab.cut('silent', { between: ['a', 'b'] });
  await untilWay('a', 'b', 'sb0');
  await untilWay('b', 'a', 'sb0');
  const from = transfer.progress.bytes;
  await eventually('the connection goes on', SOON_MS, () => transfer.progress.bytes > from + 2e6);
  expect([await ways('a', ['c']), await ways('b', ['c']), await ways('c', ['a', 'b'])].flat()).toEqual(
    Array.from({ length: 4 }, () => 'eth0'),
  );
  await lab.heal();
  await untilWay('a', 'b', 'eth0');
  await untilWay('b', 'a', 'eth0');
  expect(await transfer.stop()).toMatchObject({ survived: true, corrupted: 0 });
});

test('a peer that goes and comes by SIGHUP takes its routes along, and nobody else’s', async () => {
  const { lab } = cluster;
  const { incarnation } = await cluster.status('a');
  const tableOf = async () => (await lab.exec('a', ['ip', 'route', 'show', 'table', 'all', 'proto', '119'])).stdout;
  expect(await tableOf()).toContain(`${lab.vnicAddress('c')} `);
  const b = { node: 'b', address: lab.vnicAddress('b'), primary: `${lab.network.address('b')}:7788` };
  lab.writeSettings('a', { ...OVERRIDES, peers: [b] });
  process.kill(lab.agentPid('a'), 'SIGHUP');
  await eventually('nothing leads to c', SOON_MS, async () => !(await tableOf()).includes(`${lab.vnicAddress('c')} `));
  expect(await ways('a', ['b'])).toEqual(['eth0']);
  lab.writeSettings('a', OVERRIDES);
  process.kill(lab.agentPid('a'), 'SIGHUP');
  await untilWay('a', 'c', 'eth0');
  await untilWay('a', 'b', 'eth0');
  expect((await cluster.status('a')).incarnation).toBe(incarnation);
});

test('two agents on one host do not meet: when one ends, what the other needs stays', async () => {
  const { lab } = cluster;
  const before = await kernelState(lab, 'a');
  const second = await lab.addVolume('second', 16 * 1024 * 1024);
  const format = [process.execPath, CLI_PATH, 'format', second.path, '--cluster', 'other', '--nodes', 'a,b'];
  expect((await run(format)).status).toBe(0);
  const config = join(lab.directory, 'second.yaml');
  const socket = join(lab.directory, 'second.sock');
  lab.writeSettings('a', {
    ...OVERRIDES,
    cluster: 'other',
    vnic: { name: 'sb1', address: '10.78.0.1/24' },
    storage: { send: { volume: second.path } },
    primary: { ...OVERRIDES.primary, listen: `${lab.network.address('a')}:7789` },
    peers: [{ node: 'b', address: '10.78.0.2', primary: `${lab.network.address('b')}:7789` }],
    control: { socket },
  });
  copyFileSync(lab.settingsPath('a'), config);
  lab.writeSettings('a', OVERRIDES);
  const child = lab.spawn('a', [process.execPath, CLI_PATH, 'run', '--config', config], { stdio: 'ignore' });
  await eventually('the second one runs', SOON_MS, async () => {
    return (await lab.stillbeat('a', ['status', '--socket', socket])).status === 0;
  });
  expect((await lab.exec('a', ['ip', 'rule', 'show'])).stdout).toMatch(/10\.77\.0\.1\/24[^]*10\.78\.0\.1\/24/);
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  expect(await ended).toBe(0);
  expect(await kernelState(lab, 'a')).toBe(before);
  expect(await ways('a', ['b', 'c'])).toEqual(['eth0', 'eth0']);
});
