/**
 * [AG12] More than two nodes, and nodes that come and go while the others run: on one shared volume and on a volume for
 * each writer. What goes on between the others must not notice.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Path } from '../../agent/base/paths.ts';
import { CLUSTER, type Overrides } from '../../agent/demo/lab-settings.ts';
import { Lab } from '../../agent/demo/lab.ts';
import { heartbeatStream, tcpTransfer } from '../../agent/demo/workload.ts';
import { eventually, type PeerFigures, SOON_MS, type Status } from '../support/cluster.ts';

const NODES = ['a', 'b', 'c', 'd'] as const;
const OLD = ['a', 'b', 'c'] as const;
const IN_THREAD = fileURLToPath(new URL('fixtures/in-thread.mjs', import.meta.url));
/** Longer than it takes to notice it, and than the agent waits for its threads. */
const STAND_STILL = 'for (const end = Date.now() + 15_000; Date.now() < end; );';
/** Four agents with a reader for each volume share this machine's processors. */
const GENTLE = { idle: 50, active: 1 };
const QUIET = { primary: { probe: { stableForMs: 500, stableForMaxMs: 500 } } };

let lab: Lab;
let volumeOf: (node: string) => string;

const status = async (node: string): Promise<Status> => (await lab.status(node)) as unknown as Status;
async function peer(node: string, name: string): Promise<PeerFigures | undefined> {
  return (await status(node)).peers.find((each) => each.node === name);
}

/** Settings of a node among `members`. */
function settings(node: string, members: readonly string[], more: Overrides = {}): Overrides {
  const peers = members
    .filter((name) => name !== node)
    .map((name) => ({
      node: name,
      address: [lab.vnicAddress(name), lab.vnicAddress(name, 6)],
      primary: `${lab.network.address(name)}:7788`,
      receive: { volume: volumeOf(name) },
    }));
  return { ...QUIET, storage: { send: { volume: volumeOf(node) }, pollMs: GENTLE }, peers, ...more };
}

async function hangUp(node: string, members: readonly string[], more: Overrides = {}): Promise<void> {
  const before = (await status(node)).events.length;
  lab.writeSettings(node, settings(node, members, more));
  process.kill(lab.agentPid(node), 'SIGHUP');
  await eventually(`${node} has the settings`, SOON_MS, async () => {
    const { events } = await status(node);
    return events.slice(before).some(({ kind }) => kind === 'settings');
  });
}

async function untilAll(path: Path, members: readonly string[]): Promise<void> {
  for (const node of members) {
    await eventually(`${node} has all its peers on ${path}`, 60_000, async () => {
      const { peers } = await status(node);
      const isAll = peers.length === members.length - 1;
      return isAll && peers.every((each) => each.path === path && each.acceptedByPeer);
    });
  }
}

const volumes = (): string[] => [...new Set(NODES.map((node) => volumeOf(node)))];
const format = async (...args: string[]) => lab.stillbeat('a', ['format', ...args]);
async function formatAll(...args: string[]): Promise<void> {
  for (const volume of volumes()) expect(await format(volume, ...args)).toMatchObject({ status: 0 });
}

async function pings(from: string, to: string): Promise<void> {
  await eventually(`${from} reaches ${to}`, SOON_MS, async () => {
    return (await lab.exec(from, ['ping', '-n', '-c', '1', '-W', '1', lab.vnicAddress(to)])).status === 0;
  });
}

/** Reader threads of a node's agent: one for each volume that it reads. */
function readers(node: string): number {
  const tasks = `/proc/${lab.agentPid(node)}/task`;
  return readdirSync(tasks).filter((task) => readFileSync(`${tasks}/${task}/comm`, 'utf8') === 'sb-reader\n').length;
}

const incarnations = async () => Promise.all(OLD.map(async (node) => (await status(node)).incarnation));

/** Changes of the way between the old nodes: there are to be none. */
async function pathEvents(sinceMs: number): Promise<unknown[]> {
  const found = await Promise.all(OLD.map(async (node) => (await status(node)).events));
  return found.flat().filter(({ at, kind, ...event }) => {
    const isOld = (OLD as readonly unknown[]).includes(event['peer']);
    const isLate = event['to'] === 'suspect' || event['reason'] === 'heard again'; // a busy machine's, and no change
    return kind === 'path' && isOld && !isLate && Date.parse(at) >= sinceMs;
  });
}

describe.each(['shared', 'separate'])('[AG12] %s volumes', (layout) => {
  beforeAll(async () => {
    lab = await Lab.create({ nodes: NODES, volumeBytes: 20 << 20, tag: `many${layout}` });
    const own = new Map<string, string>();
    if (layout === 'separate') for (const node of NODES) own.set(node, (await lab.addVolume(`from${node}`)).path);
    volumeOf = (node) => own.get(node) ?? lab.volume.path;
    await formatAll('--cluster', CLUSTER, '--nodes', OLD.join(','), '--slots', '4');
    await Promise.all(OLD.map(async (node) => lab.startAgent(node, settings(node, OLD))));
    await untilAll('network', OLD);
  });
  afterAll(async () => lab?.close());

  /** A fourth node joins three that talk, and leaves again. */
  async function joinAndLeave(path: 'network' | 'storage'): Promise<void> {
    const [before, from] = [await incarnations(), Date.now()];
    const heartbeats = await heartbeatStream(lab, { from: 'a', to: 'b', perSecond: 100 });
    const transfer = await tcpTransfer(lab, { from: 'b', to: 'c', bytesPerSecond: 1e6 });
    await formatAll('--add', 'd');
    for (const node of OLD) await hangUp(node, NODES);
    expect((await status('a')).peers.map(({ node }) => node)).toEqual(['b', 'c', 'd']);
    await lab.startAgent('d', settings('d', NODES));
    await untilAll(path, NODES);
    expect(readers('a')).toBe(layout === 'separate' ? 3 : 1);
    for (const node of OLD) await pings(node, 'd');
    for (const node of OLD) await pings('d', node);

    const refused = await format(volumeOf('d'), '--remove', 'd');
    expect(refused).toMatchObject({
      status: 7,
      stderr: expect.stringContaining('the agent of node d is live') as string,
    });
    const exhausted = await format(lab.volume.path === volumeOf('a') ? lab.volume.path : volumeOf('a'), '--add', 'e');
    expect(exhausted.status).toBe(3);
    expect(exhausted.stderr).toMatch(
      /^stillbeat: format: volume \S+ has 4 slots, 0 free, for 1 more: [^\n]+ --slots 10"[^\n]*\n$/,
    );

    for (const node of OLD) await hangUp(node, OLD);
    expect((await status('a')).peers.map(({ node }) => node)).toEqual(['b', 'c']);
    // It still runs: it hears nobody, says so, and hurts nobody.
    await eventually('d is isolated', SOON_MS, async () =>
      (await status('d')).peers.every((each) => each.path === 'isolated' && each.knowsUs === false),
    );
    await eventually('the reader of d has ended', SOON_MS, () => readers('a') === (layout === 'separate' ? 2 : 1));
    await lab.stopAgent('d');
    await formatAll('--remove', 'd');
    const { received } = heartbeats.progress;
    await eventually('heartbeats go on', SOON_MS, () => heartbeats.progress.received > received + 50);
    expect(await transfer.stop()).toMatchObject({ survived: true, corrupted: 0 });
    expect(await heartbeats.stop()).toMatchObject({ lost: 0, duplicated: 0, disordered: 0, corrupted: 0 });
    expect(await incarnations()).toEqual(before);
    expect(await pathEvents(from)).toEqual([]);
  }

  test('a node joins three that talk over the network, talks to all, and leaves: nobody else notices', async () => {
    await joinAndLeave('network');
  });

  test('the same while the network is cut and all go by storage', async () => {
    await lab.cut('silent');
    await untilAll('storage', OLD);
    await joinAndLeave('storage');
    await lab.heal();
    await untilAll('network', OLD);
  });
});

describe('[AG12] settings that change while the agent runs', () => {
  beforeAll(async () => {
    lab = await Lab.create({ nodes: NODES, volumeBytes: 20 << 20, tag: 'plans' });
    volumeOf = () => lab.volume.path;
    await formatAll('--cluster', CLUSTER, '--nodes', OLD.join(','), '--slots', '4');
    await Promise.all(OLD.map(async (node) => lab.startAgent(node, settings(node, OLD))));
    await untilAll('network', OLD);
  });
  afterAll(async () => lab?.close());

  test('types, probes, limits, flush, polling and queues are taken over without a new incarnation; overrides stay', async () => {
    const [before, from] = [await incarnations(), Date.now()];
    const heartbeats = await heartbeatStream(lab, { from: 'b', to: 'c', perSecond: 100 });
    expect((await lab.stillbeat('a', ['path', 'b', 'storage', '--socket', lab.socketPath('a')])).status).toBe(0);
    await eventually('a sends to b by storage', SOON_MS, async () => (await peer('a', 'b'))?.path === 'storage');
    const changed = {
      types: [{ type: 'heartbeat', protocol: 'icmp' }],
      primary: { probe: { ...QUIET.primary.probe, intervalMs: 100, misses: 5 } },
      storage: {
        send: { volume: volumeOf('a') },
        limits: { bytesPerSecond: 10_000_000, operationsPerSecond: 500 },
        flush: { thresholdBytes: 8192, deadlineMs: 1 },
        pollMs: { idle: 40, active: 0.5 },
      },
      queues: { retainBytes: 1_048_576 },
    };
    const { sent } = (await peer('a', 'c'))?.queues.heartbeat ?? { sent: 0 };
    await hangUp('a', OLD, changed);
    await pings('a', 'c');
    // A ping is a heartbeat now: the rules are the new ones.
    expect((await peer('a', 'c'))?.queues.heartbeat.sent).toBeGreaterThan(sent);
    expect(await peer('a', 'b')).toMatchObject({ path: 'storage', override: 'storage' });
    await pings('a', 'b');
    await hangUp('a', OLD);
    expect((await lab.stillbeat('a', ['path', 'b', 'auto', '--socket', lab.socketPath('a')])).status).toBe(0);
    await untilAll('network', OLD);
    expect(await heartbeats.stop()).toMatchObject({ lost: 0, duplicated: 0, disordered: 0 });
    expect(await incarnations()).toEqual(before);
    const others = (await pathEvents(from)) as { peer: string }[];
    expect(others.filter((event) => event.peer === 'c')).toEqual([]);
  });

  test('a peer that is taken out on one side and put in again: known again, nothing twice, no new incarnation', async () => {
    const before = await incarnations();
    const heartbeats = await heartbeatStream(lab, { from: 'a', to: 'b', perSecond: 100 });
    for (let round = 0; round < 2; round++) {
      await pings('a', 'c');
      await hangUp('a', ['a', 'b']);
      await eventually('c is told', SOON_MS, async () => (await peer('c', 'a'))?.knowsUs === false);
      await eventually('c has no way to a', SOON_MS, async () => (await peer('c', 'a'))?.path === 'isolated');
      expect((await lab.exec('c', ['ping', '-n', '-c', '1', '-W', '1', lab.vnicAddress('a')])).status).not.toBe(0);
      await hangUp('a', OLD);
      await untilAll('network', OLD);
    }
    await pings('a', 'c');
    await pings('c', 'a');
    // What a seals for c goes on counting where it was: no nonce serves twice.
    expect((await peer('c', 'a'))?.network).toMatchObject({ replayed: 0, unauthentic: 0 });
    expect(await incarnations()).toEqual(before);
    const told = (await status('c')).events.filter(({ kind }) => kind === 'peer-unaware' || kind === 'peer-aware');
    expect(told.map(({ kind }) => kind)).toEqual(['peer-unaware', 'peer-aware', 'peer-unaware', 'peer-aware']);
    expect(await heartbeats.stop()).toMatchObject({ lost: 0, duplicated: 0, disordered: 0 });
  });

  test('while a thread stands still the others take settings over, and its seats are not given away', async () => {
    const before = await incarnations();
    const heartbeats = await heartbeatStream(lab, { from: 'a', to: 'b', perSecond: 100 });
    const argv = [process.execPath, '--experimental-websocket', IN_THREAD, String(lab.agentPid('a'))];
    const from = Date.now();
    const standing = lab.exec('a', [...argv, 'flush', STAND_STILL]);
    const told = async (kind: string) =>
      (await status('a')).events.some((event) => event.kind === kind && Date.parse(event.at) >= from);
    await eventually('the flush thread stands still', SOON_MS, async () => told('thread-stalled'));
    await hangUp('a', ['a', 'b']);
    await eventually('the log says so', SOON_MS, () =>
      lab.agentLog('a').includes('a thread takes the settings over later'),
    );
    expect(await told('thread-moves')).toBe(false);
    expect((await status('a')).peers.map(({ node }) => node)).toEqual(['b']);
    await hangUp('a', OLD);
    await untilAll('network', OLD);
    await pings('a', 'c');
    expect((await standing).status).toBe(0);
    expect(await incarnations()).toEqual(before);
    expect(await heartbeats.stop()).toMatchObject({ lost: 0, duplicated: 0, disordered: 0 });
  });

  test('a peer that is not in the volume’s table: one line in the log, and nothing is changed', async () => {
    const before = await incarnations();
    const { length } = lab.agentLog('a');
    lab.writeSettings('a', settings('a', NODES));
    process.kill(lab.agentPid('a'), 'SIGHUP');
    const said = () => lab.agentLog('a').slice(length);
    await eventually('the log says so', SOON_MS, () => said().includes('not taken over'));
    expect(said().trim().split('\n')).toHaveLength(1);
    expect(said()).toMatch(/has no slot for node d \(it has a, b, c\): add it with .*--add d/);
    expect((await status('a')).peers.map(({ node }) => node)).toEqual(['b', 'c']);
    expect(await incarnations()).toEqual(before);
    lab.writeSettings('a', settings('a', OLD));
  });

  test('a peer’s other address is taken over; one that is not the peer’s own is told, on both sides', async () => {
    const before = await incarnations();
    const wrong = settings('a', OLD);
    const peers = (wrong['peers'] as { node: string }[]).map((each) => {
      return each.node === 'c' ? { ...each, address: '10.77.0.99' } : each;
    });
    await hangUp('a', OLD, { peers });
    const told = await eventually('a tells it', SOON_MS, async () => {
      return (await status('a')).events.find(({ kind }) => kind === 'address-differs');
    });
    expect(told).toMatchObject({ peer: 'c', says: '10.77.0.3 fd77::3', settings: '10.77.0.99' });
    expect((await peer('a', 'c'))?.otherAddresses).toEqual(['10.77.0.3', 'fd77::3']);
    await hangUp('a', OLD);
    await eventually('it is mended', SOON_MS, async () => (await peer('a', 'c'))?.otherAddresses === null);
    await pings('a', 'c');
    expect(await incarnations()).toEqual(before);
  });
});
