/**
 * `mode: route` on the real program: bulk TCP goes past the agents while the network is healthy, through them when it is
 * not, and nothing of it is left behind. Both nodes have the strict reverse-path filter, and an interface of a larger MTU
 * than the network's.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { heartbeatStream, tcpTransfer, type TcpTransfer } from '../../agent/demo/workload.ts';
import { Cluster, eventually, SOON_MS } from '../support/cluster.ts';
import { kernelState, sentBytes, TCP, UDP, wayOf } from '../support/kernel-state.ts';

const BULK_PORT = 7100;
const BULK_PORT_LAST = 7199;
const STABLE_MS = 500;
const OVERRIDES = {
  vnic: { mtu: 9000 },
  primary: { mode: 'route', probe: { stableForMs: STABLE_MS, stableForMaxMs: STABLE_MS } },
  types: [{ type: 'bulk', protocol: 'tcp', port: `${BULK_PORT}-${BULK_PORT_LAST}` }],
};
const NODES = ['a', 'b'] as const;
const RATE = { bytesPerSecond: 4e6 };

let cluster: Cluster;
const before = new Map<string, string>();

beforeAll(async () => {
  cluster = await Cluster.prepare({ tag: 'route' });
  for (const node of NODES) {
    const strict = ['net.ipv4.conf.all.rp_filter=1', 'net.ipv4.conf.eth0.rp_filter=1'];
    await cluster.lab.exec(node, ['sysctl', '-q', '-w', ...strict]);
    await eventually('the kernel has its own link-local address', SOON_MS, async () => {
      return (await kernelState(cluster.lab, node)).includes('local fe80');
    });
    before.set(node, await kernelState(cluster.lab, node));
  }
  await cluster.startAgents(OVERRIDES);
  await untilBypass(true);
});
afterAll(async () => cluster?.close());

async function untilBypass(active: boolean, nodes: readonly string[] = NODES): Promise<void> {
  for (const node of nodes) {
    await eventually(`${node}: bypass ${active ? 'active' : 'not active'}`, SOON_MS, async () => {
      return (await cluster.peer(node)).bypass.active === active;
    });
  }
}

let port = BULK_PORT;
/** One bulk connection, checked byte by byte, on a port of its own. */
async function bulkTransfer(from: string, to: string, more: { family?: 4 | 6; bytesPerSecond?: number } = RATE) {
  return tcpTransfer(cluster.lab, { from, to, port: port++, seed: port, ...more });
}

const way = async (node: string, port = BULK_PORT): Promise<string> =>
  wayOf(cluster.lab, node, cluster.lab.vnicAddress(node === 'a' ? 'b' : 'a'), port);

async function grows(transfer: TcpTransfer, bytes = 2e6, boundMs = SOON_MS): Promise<void> {
  const from = transfer.progress.bytes;
  await eventually('the stream goes on', boundMs, () => transfer.progress.bytes >= from + bytes);
}

/** How many bytes a node sent by its interface and by the primary one during `work`. */
async function sentDuring(node: string, work: () => Promise<unknown>): Promise<{ inside: number; past: number }> {
  const { lab } = cluster;
  const start = [await sentBytes(lab, node, 'sb0'), await sentBytes(lab, node, 'eth0')] as const;
  await work();
  return {
    inside: (await sentBytes(lab, node, 'sb0')) - start[0],
    past: (await sentBytes(lab, node, 'eth0')) - start[1],
  };
}

test('healthy: bulk goes past the agent, heartbeats and everything else enter the interface', async () => {
  const { lab } = cluster;
  expect([await way('a'), await way('a', BULK_PORT - 1), await way('b')]).toEqual(['eth0', 'sb0', 'eth0']);
  const bulk = await bulkTransfer('a', 'b', {});
  const heartbeats = await heartbeatStream(lab, { from: 'a', to: 'b', perSecond: 100 });
  const sent = await sentDuring('a', async () => {
    // What is known of it may be from before: of the first report that comes now all growth is in here.
    await grows(bulk);
    await grows(bulk, 210e6);
    await eventually('heartbeats', SOON_MS, () => heartbeats.progress.received > 20);
  });
  expect(sent.past).toBeGreaterThan(200e6);
  expect(sent.inside).toBeLessThan(1e6);
  expect((await cluster.peer('a')).queues.bulk.sent).toBe(0);
  expect(await heartbeats.stop()).toMatchObject({ lost: 0, duplicated: 0 });
  expect((await cluster.peer('a')).queues.heartbeat.sent).toBeGreaterThan(20);
  expect(await bulk.stop()).toMatchObject({ survived: true, corrupted: 0 });
});

test('a silent cut and the return: the same connections go on, through the storage and past the agents again', async () => {
  const { lab } = cluster;
  const both = [await bulkTransfer('a', 'b'), await bulkTransfer('b', 'a')];
  await lab.cut('silent');
  await cluster.untilPath('storage');
  await untilBypass(false);
  for (const transfer of both) await grows(transfer);
  expect((await cluster.peer('a')).queues.bulk.sent).toBeGreaterThan(0);
  // One that began while only the interface was a way: its segments are larger than the network takes.
  const late = await bulkTransfer('a', 'b');
  await grows(late);
  await lab.heal();
  await cluster.untilPath('network');
  await untilBypass(true);
  const sent = await sentDuring('a', async () => {
    for (const transfer of [...both, late]) await grows(transfer, 4e6);
  });
  expect(sent.past).toBeGreaterThan(4e6);
  expect(sent.inside).toBeLessThan(2e6);
  for (const transfer of [...both, late]) expect(await transfer.stop()).toMatchObject({ survived: true, corrupted: 0 });
});

test('a lost carrier is handled by the kernel alone: the way turns while the agent stands still', async () => {
  const { lab } = cluster;
  process.kill(lab.agentPid('a'), 'SIGSTOP');
  try {
    await lab.cut('carrier', 'a');
    await eventually('the kernel leaves the dead interface', SOON_MS, async () => (await way('a')) === 'sb0');
    await lab.heal();
    await eventually('the kernel is back on it', SOON_MS, async () => (await way('a')) === 'eth0');
  } finally {
    process.kill(lab.agentPid('a'), 'SIGCONT');
  }
  await cluster.untilPath('network');
  await untilBypass(true);
});

test('a lost carrier: the connection goes on through the storage, and returns', async () => {
  const { lab } = cluster;
  const bulk = await bulkTransfer('a', 'b');
  await grows(bulk);
  await lab.cut('carrier', 'a');
  await cluster.untilPath('storage');
  await untilBypass(false);
  await grows(bulk);
  await lab.heal();
  await cluster.untilPath('network');
  await untilBypass(true);
  await grows(bulk);
  expect(await bulk.stop()).toMatchObject({ survived: true, corrupted: 0 });
});

test('a killed agent, and then both, leave the healthy path working; the next start takes over without a break', async () => {
  const { lab } = cluster;
  const both = [await bulkTransfer('a', 'b'), await bulkTransfer('b', 'a')];
  await grows(both[0]!);
  await lab.stopAgent('a', 'SIGKILL');
  // Long enough for b to judge its peer's network failed, and its storage silent.
  await cluster.untilPath('isolated', SOON_MS, ['b']);
  for (const transfer of both) await grows(transfer);
  expect((await cluster.peer('b')).bypass.active).toBe(true);
  expect((await cluster.events('b', 'bypass')).at(-1)).toMatchObject({ active: true });
  await lab.stopAgent('b', 'SIGKILL');
  for (const transfer of both) await grows(transfer);
  // Nobody but the packets themselves asks for hardware addresses now, and the reverse-path filter is strict.
  for (const node of NODES) await lab.exec(node, ['ip', 'neighbour', 'flush', 'all']);
  const fresh = await bulkTransfer('a', 'b');
  await grows(fresh);
  await cluster.startAgents(OVERRIDES);
  await untilBypass(true);
  const results = await Promise.all([...both, fresh].map(async (transfer) => transfer.stop()));
  for (const result of results) {
    expect(result).toMatchObject({ survived: true, corrupted: 0 });
    expect(result.longestSilenceMs).toBeLessThan(2000);
  }
});

test('a stopped agent is told from a dead network: the connection stays past the agents', async () => {
  const { lab } = cluster;
  const bulk = await bulkTransfer('b', 'a');
  const changes = (await cluster.events('b', 'bypass')).length;
  process.kill(lab.agentPid('a'), 'SIGSTOP');
  try {
    await cluster.untilPath('isolated', SOON_MS, ['b']);
    await grows(bulk);
  } finally {
    process.kill(lab.agentPid('a'), 'SIGCONT');
  }
  await cluster.untilPath('network');
  expect((await cluster.events('b', 'bypass')).length).toBe(changes);
  expect(await bulk.stop()).toMatchObject({ survived: true, corrupted: 0 });
});

test('an override to storage takes the bypass away on both sides, auto gives it back', async () => {
  const { lab } = cluster;
  const bulk = await bulkTransfer('b', 'a');
  await lab.ask('a', { command: 'path', peer: 'b', to: 'storage' });
  await untilBypass(false);
  expect([await way('a'), await way('b')]).toEqual(['sb0', 'sb0']);
  await grows(bulk);
  await lab.ask('a', { command: 'path', peer: 'b', to: 'auto' });
  await untilBypass(true);
  await grows(bulk);
  expect(await bulk.stop()).toMatchObject({ survived: true, corrupted: 0 });
});

test('bypass: [bulk, data] takes everything but heartbeats, over IPv6 too', async () => {
  const { lab } = cluster;
  const primary = (node: string) => `[fd50::${node === 'a' ? 1 : 2}]:7788`;
  for (const node of NODES) {
    await lab.exec(node, ['ip', 'address', 'add', `fd50::${node === 'a' ? 1 : 2}/64`, 'dev', 'eth0', 'nodad']);
    await lab.stopAgent(node);
  }
  for (const node of NODES) {
    const other = node === 'a' ? 'b' : 'a';
    const addresses = [lab.vnicAddress(other), lab.vnicAddress(other, 6)];
    await lab.startAgent(node, {
      ...OVERRIDES,
      primary: { ...OVERRIDES.primary, bypass: ['bulk', 'data'], listen: primary(node) },
      peers: [{ node: other, address: addresses, primary: primary(other), receive: { volume: lab.volume.path } }],
    });
  }
  await cluster.untilPath('network');
  await untilBypass(true);
  const ways = async (address: string) =>
    Promise.all(
      [
        [TCP, 22],
        [UDP, 4000],
        [UDP, 5405],
        [UDP, 694],
      ].map(async ([protocol = TCP, port = 0]) => wayOf(lab, 'a', address, port, protocol)),
    );
  const wanted = ['eth0', 'eth0', 'sb0', 'sb0'];
  expect(await ways(lab.vnicAddress('b'))).toEqual(wanted);
  expect(await ways(lab.vnicAddress('b', 6))).toEqual(wanted);
  const transfers = [await bulkTransfer('a', 'b'), await bulkTransfer('b', 'a', { ...RATE, family: 6 })];
  for (const transfer of transfers) await grows(transfer);
  await lab.cut('silent');
  await untilBypass(false);
  expect(await ways(lab.vnicAddress('b', 6))).toEqual(['sb0', 'sb0', 'sb0', 'sb0']);
  for (const transfer of transfers) await grows(transfer);
  await lab.heal();
  await untilBypass(true);
  const sent = await sentDuring('b', async () => {
    for (const transfer of transfers) await grows(transfer, 4e6);
  });
  expect(sent.past).toBeGreaterThan(4e6);
  expect(sent.inside).toBeLessThan(1e6);
  for (const transfer of transfers) expect(await transfer.stop()).toMatchObject({ survived: true, corrupted: 0 });
  for (const node of NODES) {
    await lab.stopAgent(node);
    await lab.exec(node, ['ip', 'address', 'del', `fd50::${node === 'a' ? 1 : 2}/64`, 'dev', 'eth0']);
  }
});

test('nothing is left behind: rules, routes of all tables, filters and settings are as before', async () => {
  const { lab } = cluster;
  for (const node of NODES) expect(await kernelState(lab, node)).toBe(before.get(node));
  await cluster.startAgents(OVERRIDES);
  await untilBypass(true);
  const running = await kernelState(lab, 'a');
  expect(running).not.toBe(before.get('a'));
  await lab.stopAgent('a', 'SIGKILL');
  await lab.startAgent('a', OVERRIDES);
  await untilBypass(true);
  await lab.stopAgent('a');
  // Killed, and then started with other settings: what the killed one left goes too.
  await lab.stopAgent('b', 'SIGKILL');
  await lab.startAgent('b', { ...OVERRIDES, primary: { mode: 'tunnel' } });
  await lab.stopAgent('b');
  for (const node of NODES) expect(await kernelState(lab, node)).toBe(before.get(node));
  const files = (await lab.exec('a', ['ls', lab.directory])).stdout;
  expect(files).not.toContain('bypass-');
});
