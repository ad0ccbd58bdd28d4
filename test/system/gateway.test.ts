/**
 * [AG10] A node that has lost its network reaches the outside through a peer that has not: three nodes, of which b and c
 * offer and a takes, and a host outside that tells who asked. `outside` is the next router of all three.
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { Cluster, eventually, SOON_MS } from '../support/cluster.ts';
import { GUEST, OUTSIDE, OUTSIDE_6, OutsideHost } from '../support/outside-host.ts';

const PREFIXES = ['0.0.0.0/0', '::/0'];
const QUICK = { primary: { probe: { stableForMs: 500, stableForMaxMs: 500 } } };
const TAKER = { ...QUICK, gateway: { use: ['b', 'c'], prefixes: PREFIXES } };
const OFFERER = { ...QUICK, gateway: { offer: true, uplink: 'eth0', prefixes: PREFIXES } };
const ADDRESS = { a: '192.168.50.1', b: '192.168.50.2', c: '192.168.50.3' } as const;

let cluster: Cluster;
let outside: OutsideHost;
const asFound = new Map<string, string>();

interface GatewayStatus {
  readonly offering: boolean;
  readonly using: string | null;
  readonly chosen: string | null;
  readonly outside: string;
}

const gatewayOf = async (node: string): Promise<GatewayStatus> =>
  ((await cluster.status(node)) as unknown as { gateway: GatewayStatus }).gateway;

const untilUsing = async (node: string, peer: string | null): Promise<unknown> =>
  eventually(`${node} uses ${peer}`, SOON_MS, async () => (await gatewayOf(node)).using === peer);

/** All that a gateway may change on a host. */
async function hostState(node: string): Promise<string> {
  const commands = [
    ['nft', 'list', 'ruleset'],
    ['ip', '-4', 'rule', 'show'],
    ['ip', '-6', 'rule', 'show'],
    ['ip', '-4', 'route', 'show', 'table', 'all'],
    ['ip', '-6', 'route', 'show', 'table', 'all'],
    ['sysctl', '--all', '--pattern', 'forwarding|ip_forward|accept_ra|rp_filter'],
  ];
  const parts: string[] = [];
  for (const argv of commands) parts.push((await cluster.lab.exec(node, argv)).stdout);
  // The kernel gives an interface its link-local address when it pleases.
  return parts
    .join('\n')
    .split('\n')
    .filter((line) => !line.includes('fe80::'))
    .join('\n');
}

async function startAll(): Promise<void> {
  const { lab } = cluster;
  await Promise.all([lab.startAgent('a', TAKER), lab.startAgent('b', OFFERER), lab.startAgent('c', OFFERER)]);
  await cluster.untilPath('network');
  for (const node of ['b', 'c']) {
    await eventually(`${node} offers`, SOON_MS, async () => (await gatewayOf(node)).offering);
  }
  await eventually('a has chosen', SOON_MS, async () => (await gatewayOf('a')).chosen === 'b');
}

/** Everything is healed, and a goes by its own network again. */
async function heal(): Promise<void> {
  await cluster.lab.heal();
  // A kernel takes its IPv6 routes back at a lost carrier; an administrator's network service sets them again.
  for (const node of cluster.lab.nodes) await outside.route(node);
  await cluster.untilPath('network');
  await untilUsing('a', null);
}

beforeAll(async () => {
  cluster = await Cluster.prepare({ nodes: ['a', 'b', 'c'], guests: [GUEST], tag: 'gateway' });
  outside = new OutsideHost(cluster.lab);
  await outside.open();
  for (const node of cluster.lab.nodes) asFound.set(node, await hostState(node));
  await startAll();
});
afterAll(async () => cluster?.close());

describe('[AG10] gateway', () => {
  afterEach(async () => heal());

  test('with the network healthy, new connections leave by it, and with its address', async () => {
    expect(await outside.seenFrom('a')).toBe(ADDRESS.a);
    expect(await outside.seenFrom('a', [], OUTSIDE_6)).toBe('fd50::1');
    // What is bound to the cluster address asks for the gateway.
    expect(await outside.seenFrom('a', ['--interface', '10.77.0.1'])).toBe(ADDRESS.b);
  });

  test('a lost carrier: the outside is reached through b, with both families, and by the network again after it', async () => {
    await cluster.lab.cut('carrier', 'a');
    await untilUsing('a', 'b');
    expect(await outside.seenFrom('a')).toBe(ADDRESS.b);
    expect(await outside.seenFrom('a', [], OUTSIDE_6)).toBe('fd50::2');
    await heal();
    expect(await outside.seenFrom('a')).toBe(ADDRESS.a);
    const changes = (await cluster.events('a', 'gateway')).map(
      ({ change, peer }) => `${String(change)} ${String(peer)}`,
    );
    expect(changes).toEqual(['using b', 'not using b']);
  });

  test('a silent cut: a browser loads a page of several resources, images included, and b asks for them', async () => {
    await outside.isolate('a');
    await untilUsing('a', 'b');
    const dom = await browse(['--dump-dom']);
    expect(dom).toContain('script ran');
    expect(dom).toContain('images 100x50 200x100 300x150 400x200 90x60 style rgb(1, 2, 3)');
    for (const url of ['/', '/style.css', '/script.js', '/image1.png', '/image4.png', '/drawing.svg']) {
      expect(outside.askers(url)).toEqual([ADDRESS.b]);
    }
  });

  test('a download goes on over the cut and the return, and so does one that began in between', async () => {
    const bound = outside.download('a', '/stream/bound', ['--interface', '10.77.0.1']);
    await bound.grows('before the cut');
    await outside.isolate('a');
    await cluster.untilPath('storage', SOON_MS, ['a']);
    await bound.grows('over storage');
    await untilUsing('a', 'b');
    const begun = outside.download('a', '/stream/begun');
    await begun.grows('over the gateway');
    await heal();
    await bound.grows('after the return');
    await begun.grows('after the return');
    expect(await outside.seenFrom('a')).toBe(ADDRESS.a);
    outside.endDownloads();
    for (const download of [bound, begun]) expect(await download.result()).toEqual({ status: 0, whole: true });
    expect(outside.askers('/stream/begun')).toEqual([ADDRESS.b]);
  });

  test('the gateway loses its uplink: the next one is taken; with none left the node waits', async () => {
    await outside.isolate('a');
    await untilUsing('a', 'b');
    await cluster.lab.cut('carrier', 'b');
    await untilUsing('a', 'c');
    expect(await outside.seenFrom('a')).toBe(ADDRESS.c);
    expect((await gatewayOf('b')).offering).toBe(false);
    await cluster.lab.cut('carrier', 'c');
    await untilUsing('a', null);
    expect(await gatewayOf('a')).toMatchObject({ outside: 'out', chosen: null });
  });

  test('what killed agents leave on their hosts is cleaned up by the next ones, and all is as it was found', async () => {
    const { lab } = cluster;
    await outside.isolate('a');
    await eventually('a uses a gateway', SOON_MS, async () => (await gatewayOf('a')).using !== null);
    await Promise.all(lab.nodes.map(async (node) => lab.stopAgent(node, 'SIGKILL')));
    for (const node of lab.nodes) expect(await hostState(node)).not.toBe(asFound.get(node));
    await lab.heal();
    await startAll();
    // c has no gateway any more; its new agent cleans up all the same.
    await lab.stopAgent('c', 'SIGKILL');
    await lab.startAgent('c', QUICK);
    expect((await lab.exec('c', ['nft', 'list', 'ruleset'])).stdout).toBe('');
    for (const node of lab.nodes) expect(await lab.stopAgent(node)).toBe(0);
    for (const node of lab.nodes) expect(await hostState(node)).toBe(asFound.get(node));
    await startAll();
  });
});

describe('[AG10] two nodes that have each other as gateways, with a large MTU', () => {
  const both = (peer: string) => ({ ...QUICK, vnic: { mtu: 65_000 }, gateway: { ...OFFERER.gateway, use: [peer] } });

  beforeAll(async () => {
    const { lab } = cluster;
    await Promise.all(lab.nodes.map(async (node) => lab.stopAgent(node)));
    await Promise.all([lab.startAgent('a', both('b')), lab.startAgent('b', both('a')), lab.startAgent('c', QUICK)]);
    await cluster.untilPath('network');
    for (const [node, peer] of [
      ['a', 'b'],
      ['b', 'a'],
    ] as const) {
      await eventually(`${node} has chosen`, SOON_MS, async () => (await gatewayOf(node)).chosen === peer);
    }
  });

  test('a packet whose way leads back into the interface goes round not once', async () => {
    const { lab } = cluster;
    // What no agent sets up: both hosts send the outside into the interface, whoever the packet comes from.
    for (const node of ['a', 'b']) await lab.exec(node, ['ip', 'route', 'add', '198.51.100.0/24', 'dev', 'sb0']);
    const before = await framesOf('b');
    await lab.exec('a', ['ping', '-c', '20', '-i', '0.01', '-W', '1', '-I', '10.77.0.1', OUTSIDE]);
    expect((await framesOf('b')) - before).toBeLessThan(20);
    for (const node of ['a', 'b']) await lab.exec(node, ['ip', 'route', 'del', '198.51.100.0/24', 'dev', 'sb0']);
  });

  test('both networks out: neither offers, neither uses; the first that is back is taken by the other', async () => {
    await cluster.lab.cut('carrier', 'a');
    await cluster.lab.cut('carrier', 'b');
    for (const node of ['a', 'b']) {
      await eventually(`${node} is out`, SOON_MS, async () => {
        const { outside: way, offering, using, chosen } = await gatewayOf(node);
        return way === 'out' && !offering && using === null && chosen === null;
      });
    }
    await cluster.lab.heal();
    await outside.isolate('b');
    await outside.route('a');
    await untilUsing('b', 'a');
    expect(await outside.seenFrom('b')).toBe(ADDRESS.a);
    expect(await gatewayOf('a')).toMatchObject({ offering: true, using: null, outside: 'good' });
  });

  test('SIGHUP: a node begins to offer, and ends it, while it runs', async () => {
    const { lab } = cluster;
    const { incarnation } = await cluster.status('c');
    const readAgain = async (settings: object, offering: boolean): Promise<unknown> => {
      lab.writeSettings('c', { ...settings });
      process.kill(lab.agentPid('c'), 'SIGHUP');
      return eventually(`c offers: ${offering}`, SOON_MS, async () => (await gatewayOf('c')).offering === offering);
    };
    const found = await hostState('c');
    await readAgain(OFFERER, true);
    expect(await hostState('c')).not.toBe(found);
    await readAgain(QUICK, false);
    expect(await hostState('c')).toBe(found);
    expect((await cluster.status('c')).incarnation).toBe(incarnation);
  });

  test('large transfers both ways fit through the uplink of the gateway, which has a small MTU', async () => {
    await outside.isolate('b');
    await untilUsing('b', 'a');
    expect(await outside.transfers('b')).toEqual({ down: true, up: true });
  });
});

const framesOf = async (node: string): Promise<number> =>
  ((await cluster.status(node)).vnic as unknown as { frames: number }).frames;

/** Chromium in a's namespace, with a profile that goes with the lab; answers what it printed. */
async function browse(options: readonly string[]): Promise<string> {
  const { lab } = cluster;
  const argv = [
    'chromium',
    '--headless',
    '--no-sandbox',
    '--disable-gpu',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
    `--user-data-dir=${lab.directory}/chromium`,
    ...options,
    `http://${OUTSIDE}/`,
  ];
  const { status, stdout, stderr } = await lab.exec('a', argv, { timeoutMs: 60_000 });
  expect(status, stderr).toBe(0);
  return stdout;
}
