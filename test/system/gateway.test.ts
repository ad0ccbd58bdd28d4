/**
 * [AG10] A node that has lost its network reaches the outside through a peer that has not: three nodes, of which b and c
 * offer and a takes, and a host outside that tells who asked. `outside` is the next router of all three.
 */
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { askStatus } from '../../agent/demo/control-client.ts';
import { CLI_PATH } from '../../agent/demo/lab.ts';
import { Cluster, type EventLine, eventually, SOON_MS } from '../support/cluster.ts';
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

  test('who offers routes nothing else: nobody gets past it from outside', async () => {
    const { lab } = cluster;
    const reached = async (address: string): Promise<boolean> =>
      (await lab.exec(GUEST, ['ping', '-n', '-c', '2', '-i', '0.2', '-W', '1', address])).status === 0;
    const ip = async (host: string, ...args: string[]): Promise<void> => {
      expect(await lab.exec(host, ['ip', ...args])).toMatchObject({ status: 0 });
    };
    // Addresses of c that b reaches by its uplink.
    const behind = [
      ['203.0.113.3', '192.168.50.2', '192.168.50.3'],
      ['2001:db8:1::3', 'fd50::2', 'fd50::3'],
    ] as const;
    for (const [address, next, last] of behind) {
      await ip('c', 'address', 'add', address, 'dev', 'lo');
      await ip('b', 'route', 'add', address, 'via', last);
      await ip(GUEST, 'route', 'add', address, 'via', next);
      expect([address, await reached(address)]).toEqual([address, false]);
      // It could be reached, were it not for b.
      await ip(GUEST, 'route', 'replace', address, 'via', last);
      expect([address, await reached(address)]).toEqual([address, true]);
      await ip('c', 'address', 'del', address, 'dev', 'lo');
      await ip('b', 'route', 'del', address, 'via', last);
      await ip(GUEST, 'route', 'del', address);
    }
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

describe('[AG10] two nodes that have each other as gateways, with a large MTU, on hosts that were routers before', () => {
  const both = (peer: string) => ({ ...QUICK, vnic: { mtu: 65_000 }, gateway: { ...OFFERER.gateway, use: [peer] } });

  beforeAll(async () => {
    const { lab } = cluster;
    await Promise.all(lab.nodes.map(async (node) => lab.stopAgent(node)));
    for (const node of ['a', 'b']) await lab.exec(node, ['sysctl', '--quiet', 'net.ipv4.ip_forward=1']);
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
    expect((await framesOf('b')) - before).toBeLessThan(10);
    for (const node of ['a', 'b']) await lab.exec(node, ['ip', 'route', 'del', '198.51.100.0/24', 'dev', 'sb0']);
  });

  test('nobody outside opens a connection into the virtual network', async () => {
    const { lab } = cluster;
    await lab.exec(GUEST, ['ip', 'route', 'add', '10.77.0.2', 'via', ADDRESS.a]);
    const argv = ['ping', '-n', '-c', '2', '-i', '0.2', '-W', '1'];
    expect((await lab.exec(GUEST, [...argv, '10.77.0.2'])).status).not.toBe(0);
    // By no agent's doing it could.
    await lab.exec(GUEST, ['ip', 'route', 'replace', '10.77.0.2', 'via', ADDRESS.b]);
    expect((await lab.exec(GUEST, [...argv, '10.77.0.2'])).status).toBe(0);
    await lab.exec(GUEST, ['ip', 'route', 'del', '10.77.0.2']);
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
    const { lab } = cluster;
    await outside.isolate('b');
    await untilUsing('b', 'a');
    // Whoever is outside may send larger packets than the uplink takes: he is told what it takes.
    await lab.exec(GUEST, ['ip', 'link', 'set', 'eth0', 'mtu', '9000']);
    expect(await outside.transfers('b')).toEqual({ down: true, up: true });
    const download = outside.download('b', '/stream/segments');
    await download.grows('in segments');
    const { stdout } = await lab.exec(GUEST, ['ss', '-Htni', 'state', 'established', 'sport', '=', ':80']);
    expect(Number(/ mss:(\d+)/.exec(stdout)?.[1])).toBeLessThanOrEqual(1460);
    outside.endDownloads();
    expect(await download.result()).toEqual({ status: 0, whole: true });
    await lab.exec(GUEST, ['ip', 'link', 'set', 'eth0', 'mtu', '1500']);
  });

  test('SIGHUP with other peers during a download over the gateway: it goes on, and only what concerns them changes', async () => {
    const { lab } = cluster;
    await outside.isolate('b');
    await untilUsing('b', 'a');
    const events = (await cluster.events('b', 'gateway')).length;
    const monitor = lab.spawn('b', ['ip', 'monitor', 'route', 'rule'], { stdio: ['ignore', 'pipe', 'inherit'] });
    let changes = '';
    monitor.stdout?.on('data', (piece: Buffer) => (changes += piece.toString()));
    const changed = (): string[] => changes.split('\n').filter((line) => /throw|table \d|lookup|from /.test(line));
    const download = outside.download('b', '/stream/peers');
    await download.grows('before SIGHUP');
    await hangUp('b', { ...both('a'), peers: [peerOf('a')] });
    await download.grows('without c');
    // A flush of the tables, or another choice of the gateway, would end flows that fall into the gap.
    await eventually('c is thrown back no more', SOON_MS, () => changed().length > 0);
    expect(changed()).toEqual([expect.stringMatching(/^Deleted throw 192\.168\.50\.3 table \d+ proto 119\s*$/)]);
    await hangUp('b', both('a'));
    await download.grows('with c again');
    await eventually('c is thrown back again', SOON_MS, () => changed().length > 1);
    expect(changed().slice(1)).toEqual([expect.stringMatching(/^throw 192\.168\.50\.3 table \d+ proto 119\s*$/)]);
    outside.endDownloads();
    expect(await download.result()).toEqual({ status: 0, whole: true });
    monitor.kill('SIGKILL');
    expect(await gatewayOf('b')).toMatchObject({ using: 'a', outside: 'out' });
    expect(await cluster.events('b', 'gateway')).toHaveLength(events);
    expect(outside.askers('/stream/peers')).toEqual([ADDRESS.a]);
  });

  test('a route that is no more as it was made: told, and the table is made anew', async () => {
    const { lab } = cluster;
    const table = /lookup (77\d{5})/.exec((await lab.exec('b', ['ip', 'rule', 'show'])).stdout)?.[1] ?? '';
    const thrown = async (): Promise<string[]> => {
      const { stdout } = await lab.exec('b', ['ip', 'route', 'show', 'table', table, 'type', 'throw']);
      return stdout.match(/192\.168\.50\.\d/g) ?? [];
    };
    expect(await thrown()).toEqual(['192.168.50.1', '192.168.50.3']);
    await lab.exec('b', ['ip', 'route', 'flush', 'table', table]);
    await hangUp('b', { ...both('a'), peers: [peerOf('a')] });
    await eventually('a is thrown back again', SOON_MS, async () => (await thrown()).join() === '192.168.50.1');
    await untilUsing('b', 'a');
    const [told] = await cluster.events('b', 'gateway-failed');
    expect(String(told?.['reason'])).toMatch(/No such process/);
    expect(await outside.seenFrom('b')).toBe(ADDRESS.a);
  });

  test('the tunnel never runs through itself, whatever the prefixes hold', async () => {
    const { lab } = cluster;
    const wayTo = async (address: string): Promise<string> =>
      / dev (\S+)/.exec((await lab.exec('b', ['ip', 'route', 'get', address])).stdout)?.[1] ?? '';
    const settings = both('a');
    await hangUp('b', settings);
    await untilUsing('b', 'a');
    // Longer routes of the host stand, until a prefix says otherwise.
    expect([await wayTo(OUTSIDE), await wayTo('192.168.50.99')]).toEqual(['sb0', 'eth0']);
    await hangUp('b', { ...settings, gateway: { ...settings.gateway, prefixes: [...PREFIXES, '192.168.50.0/25'] } });
    const isTaken = async (): Promise<boolean> => (await wayTo('192.168.50.99')) === 'sb0';
    await eventually('what is no peer takes the gateway', SOON_MS, isTaken);
    for (const peer of ['a', 'c'] as const) expect(await wayTo(ADDRESS[peer])).toBe('eth0');
  });

  test('only what the prefixes of the offering node name is let through', async () => {
    const { lab } = cluster;
    await lab.exec(GUEST, ['ip', 'address', 'add', '203.0.113.9/32', 'dev', 'lo']);
    const reached = async (): Promise<boolean> =>
      (await lab.exec('b', ['ping', '-n', '-c', '2', '-i', '0.2', '-W', '1', '203.0.113.9'])).status === 0;
    await eventually('another host outside is reached', SOON_MS, reached);
    const settings = both('b');
    await hangUp('a', { ...settings, gateway: { ...settings.gateway, prefixes: ['198.51.100.0/24'] } });
    await untilUsing('b', 'a');
    await eventually('the host that is named is reached', SOON_MS, async () => {
      return (await outside.seenFrom('b')) === ADDRESS.a;
    });
    expect(await reached()).toBe(false);
  });

  test('a second agent on the host that offers is refused, and leaves the first one its forwarding', async () => {
    const found = await hostState('c');
    await hangUp('c', OFFERER);
    await eventually('c offers', SOON_MS, async () => (await gatewayOf('c')).offering);
    const offering = await hostState('c');
    const second = await secondAgent('c');
    const told = await eventually('the second one is refused', SOON_MS, async () =>
      (await second.status()).events.find(({ kind }) => kind === 'gateway-failed'),
    );
    expect(told['reason']).toMatch(
      /another agent of this host offers its way already \(nftables table inet stillbeat_gw_sb0\)/,
    );
    expect((await second.status()).gateway.offering).toBe(false);
    expect(await second.end()).toBe(0);
    expect(await hostState('c')).toBe(offering);
    await hangUp('c', QUICK);
    await eventually('all is as it was found', SOON_MS, async () => (await hostState('c')) === found);
  });
});

const peerOf = (node: keyof typeof ADDRESS): Record<string, unknown> => ({
  node,
  address: [cluster.lab.vnicAddress(node), cluster.lab.vnicAddress(node, 6)],
  primary: `${ADDRESS[node]}:7788`,
  receive: { volume: cluster.lab.volume.path },
});

/** Other settings for an agent that runs, until it has taken them over. */
async function hangUp(node: string, settings: Record<string, unknown>): Promise<void> {
  const { lab } = cluster;
  const before = (await cluster.events(node, 'settings')).length;
  lab.writeSettings(node, settings);
  process.kill(lab.agentPid(node), 'SIGHUP');
  await eventually(`${node} has the settings`, SOON_MS, async () => {
    return (await cluster.events(node, 'settings')).length > before;
  });
}

interface SecondAgent {
  readonly status: () => Promise<{ readonly gateway: GatewayStatus; readonly events: readonly EventLine[] }>;
  readonly end: () => Promise<unknown>;
}

/** An agent of another cluster in the node's namespace, with a volume of its own, that offers the same uplink. */
async function secondAgent(node: string): Promise<SecondAgent> {
  const { lab } = cluster;
  const [volume, socket, config] = ['volume', 'sock', 'yaml'].map((name) => join(lab.directory, `second.${name}`));
  const settings = {
    cluster: 'other',
    node: 'x',
    keyFile: join(lab.directory, `${node}.key`),
    vnic: { name: 'sb1', address: '10.88.0.1/24' },
    storage: { send: { volume } },
    primary: { mode: 'none' },
    peers: [{ node: 'y', address: '10.88.0.2' }],
    gateway: { offer: true, uplink: 'eth0' },
    control: { socket },
  };
  writeFileSync(config ?? '', JSON.stringify(settings));
  const format = ['format', volume ?? '', '--cluster', 'other', '--nodes', 'x,y', '--size', '16M'];
  expect(await lab.stillbeat(node, format)).toMatchObject({ status: 0 });
  const child = lab.spawn(node, [process.execPath, CLI_PATH, 'run', '--config', config ?? ''], { stdio: 'ignore' });
  const ended = once(child, 'exit');
  return {
    status: async () => (await askStatus(socket ?? '')) as never,
    end: async () => {
      child.kill('SIGTERM');
      return (await ended)[0] as unknown;
    },
  };
}

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
