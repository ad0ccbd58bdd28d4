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
  return parts.join('\n');
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
});

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
