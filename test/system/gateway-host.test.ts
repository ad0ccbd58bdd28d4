/**
 * What the gateway tells of a host that does not do as it is asked: a namespace of its own with forwarding, routes and
 * nftables. The uplink is its loopback interface, for /sys shows carriers of the host's own namespace.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { afterEach, beforeAll, expect, test } from 'vitest';
import { Gateway, type GatewayEvent } from '../../agent/gateway/gateway.ts';
import { gatewayNames } from '../../agent/gateway/names.ts';
import { runTool, tryTool } from '../../agent/platform/tool.ts';
import { AGENT, PEER, SharedState, sharedStateBytes } from '../../agent/queue/shared-state.ts';
import { parseSettings } from '../../agent/settings/load.ts';
import { HELLO_FLAG } from '../../agent/wire/message.ts';
import { eventually, SOON_MS } from '../support/cluster.ts';
import { enterNewNamespace, ip } from '../support/namespace.ts';

const SETTINGS = parseSettings(
  JSON.stringify({
    cluster: 'test',
    node: 'a',
    unauthenticated: true,
    vnic: { name: 'gw0', address: '10.77.0.1/24' },
    storage: { send: { volume: '/volume' } },
    primary: { mode: 'none', probe: { stableForMs: 200, stableForMaxMs: 200 } },
    peers: [{ node: 'b', address: '10.77.0.2' }],
    gateway: { offer: true, use: ['b'], uplink: 'lo' },
  }),
  'settings',
);
const UPLINK_FORWARDING = '/proc/sys/net/ipv4/conf/lo/forwarding';
const OTHERS_TABLE = gatewayNames('gw1').nftTable;

let gateway: Gateway | null = null;
let state: SharedState;
const told: GatewayEvent[] = [];

beforeAll(() => {
  enterNewNamespace();
  // The second one is the other agent's. Neither leads anywhere.
  ip('link add gw0 type veth peer name gw1');
  ip('address add 10.77.0.1/24 dev gw0');
  for (const name of ['gw0', 'gw1']) ip(`link set ${name} up`);
});
afterEach(() => {
  gateway?.close();
  gateway = null;
  told.length = 0;
  for (const name of ['gw1', 'gw2', 'gw3']) tryTool(['nft', 'delete', 'table', 'inet', gatewayNames(name).nftTable]);
  tryTool(['ip', 'route', 'del', 'default']);
});

/** As an agent of this host has it that offers; `note`: the kernel settings that it found. */
const makeTable = (name: string, note: string): unknown =>
  runTool(['nft', '-f', '-'], `table inet ${name} { comment "${note}"; }`);

const anotherOffers = (): unknown => makeTable(OTHERS_TABLE, 'lo - - - -');

const tables = (): string => runTool(['nft', 'list', 'tables']);

const setRoute = (isThere: boolean): unknown => ip(`route ${isThere ? 'add' : 'del'} default dev lo`);

function open(): void {
  state = new SharedState(new SharedArrayBuffer(sharedStateBytes()));
  gateway = Gateway.open(SETTINGS, [{ seat: 0, peer: { node: 'b' } }], state, true, (event) => told.push(event));
}

function peerOffers(): void {
  const words = state.peers[0]?.words ?? new Int32Array();
  words[PEER.accepted] = 1;
  words[PEER.peerFlags] = HELLO_FLAG.offersGateway;
}

const changes = (): string[] =>
  told.map((event) => (event.kind === 'gateway' ? `${event.change} ${event.peer}`.trim() : event.kind));

const untilOutside = async (outside: string): Promise<unknown> =>
  eventually(`outside is ${outside}`, SOON_MS, () => gateway?.status.outside === outside);

/** The own way is lost and comes back: everything is asked of the host once more. */
async function loseTheWay(using: string | null): Promise<void> {
  setRoute(false);
  await eventually('the own way is out', SOON_MS, () => gateway?.status.outside === 'out');
  await eventually('the peer is used', SOON_MS, () => gateway?.status.using === using);
  setRoute(true);
  await untilOutside('good');
}

test('an offer that the host refuses is told as a failure, once, and as an offer when it succeeds', async () => {
  anotherOffers();
  setRoute(true);
  open();
  await untilOutside('good');
  expect(changes()).toEqual(['gateway-failed']);
  await loseTheWay(null);
  expect(changes()).toEqual(['gateway-failed']);
  expect([gateway?.status.offering, Atomics.load(state.words, AGENT.gatewayOffered)]).toEqual([false, 0]);
  runTool(['nft', 'delete', 'table', 'inet', OTHERS_TABLE]);
  await loseTheWay(null);
  expect(changes()).toEqual(['gateway-failed', 'offering']);
  expect([gateway?.status.offering, Atomics.load(state.words, AGENT.gatewayOffered)]).toEqual([true, 1]);
});

test('what the host does of another kind makes no failure new', async () => {
  anotherOffers();
  setRoute(true);
  open();
  peerOffers();
  await untilOutside('good');
  await loseTheWay('b');
  expect(changes()).toEqual(['gateway-failed', 'using b', 'not using b']);
});

test.each([
  ['is no more', 'gw2', []],
  ['nobody serves any more', 'gw3', ['tuntap add name gw3 mode tun', 'link set gw3 up']],
])('what was left by an agent whose interface %s is put back, and holds up nobody', async (_, name, commands) => {
  for (const command of commands) ip(command);
  const { nftTable } = gatewayNames(name);
  writeFileSync(UPLINK_FORWARDING, '1');
  makeTable(nftTable, 'lo 0 - - -');
  setRoute(true);
  open();
  await untilOutside('good');
  expect(changes()).toEqual(['offering']);
  expect(tables()).toBe(`table inet ${gatewayNames('gw0').nftTable}\n`);
  gateway?.close();
  expect([tables(), readFileSync(UPLINK_FORWARDING, 'utf8').trim()]).toEqual(['', '0']);
});

test('a table without a note is not ours to remove', async () => {
  const { nftTable } = gatewayNames('gw2');
  runTool(['nft', 'add', 'table', 'inet', nftTable]);
  setRoute(true);
  open();
  await untilOutside('good');
  expect(changes()).toEqual(['gateway-failed']);
  expect(tables()).toContain(nftTable);
});
