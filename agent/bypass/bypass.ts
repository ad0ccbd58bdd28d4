/**
 * The bypass of `mode: route`, as far as it lasts from start to stop: rules, ways into the interface, one setting of
 * the primary interface. The host routes, which come and go with the judgement, are the switch thread's (`switch/bypass-edge.ts`).
 *
 * A normal stop removes all of it. What a killed agent leaves keeps the healthy way working, and the next start takes it over.
 */
import { readFileSync } from 'node:fs';
import { AgentError } from '../base/errors.ts';
import { HEARTBEAT_PORTS } from '../core/classify.ts';
import { addressesOn, interfaceOf } from '../platform/interface-mtu.ts';
import type { HostRoute } from '../platform/route-socket.ts';
import { familyOf, inSubnet } from '../settings/address.ts';
import type { PeerSettings, Settings } from '../settings/settings.ts';
import { PROTOCOL } from '../../vnic/ip-packet.ts';
import { ignoreLinkdown, restoreLinkdown } from './linkdown.ts';
import { tablesOf } from './names.ts';
import { othersHaveRules, type PeerAddress, removeRules, setRules } from './rules.ts';
import { selectors, type Selector } from './selectors.ts';

export interface BypassPlan {
  readonly interfaceIndex: number;
  readonly table: number;
  /** By the peer's name, the host routes that make the bypass; none where it is not on the same link. */
  readonly routes: Readonly<Record<string, readonly HostRoute[]>>;
}

/** The interface that the bypass goes over. */
export const bypassInterface = ({ primary }: Settings): string =>
  primary.interface ?? interfaceOf(primary.listen?.host ?? '') ?? '';

export const bypassSelectors = (settings: Pick<Settings, 'types' | 'primary'>): Selector[] =>
  selectors(settings, { protocol: PROTOCOL.vrrp, udpPorts: HEARTBEAT_PORTS });

/** Sets the bypass up for these settings, over what an earlier agent or plan left; without `mode: route` removes that. */
export function setUpBypass(settings: Settings): void {
  if (settings.primary.mode !== 'route') {
    removeBypass(settings);
    return;
  }
  const peers = settings.peers.flatMap((peer) => peerAddresses(settings, peer));
  setRules(settings.vnic, peers, bypassSelectors(settings), settings.primary.listen?.host ?? '');
  ignoreLinkdown(settings.controlSocket, bypassInterface(settings));
}

/** What the switch thread needs to know. Null without `mode: route`. */
export function bypassPlan(settings: Settings): BypassPlan | null {
  if (settings.primary.mode !== 'route') return null;
  const name = bypassInterface(settings);
  const routes = settings.peers.map((peer) => [peer.node, hostRoutes(settings, peer, name)] as const);
  return {
    interfaceIndex: indexOf(name),
    table: tablesOf(settings.vnic.name).past,
    routes: Object.fromEntries(routes),
  };
}

function indexOf(name: string): number {
  try {
    return Number(readFileSync(`/sys/class/net/${name}/ifindex`, 'utf8'));
  } catch {
    throw new AgentError('primary', `there is no interface ${name}: correct primary.interface (see: ip link)`);
  }
}

/** Takes everything of ours out of the host again, also what an agent with other settings left that was killed. */
export function removeBypass(settings: Settings): void {
  const tables = tablesOf(settings.vnic.name);
  const wasThere = removeRules(tables);
  if (wasThere && !othersHaveRules(tables)) restoreLinkdown(settings.controlSocket, bypassInterface(settings));
}

/** A peer's addresses, each with ours of the same subnet. */
function peerAddresses({ vnic }: Settings, peer: PeerSettings): PeerAddress[] {
  return peer.addresses.flatMap((address) => {
    const family = familyOf(address);
    const own = vnic.addresses.find((subnet) => family !== 0 && inSubnet(address, family, subnet));
    return own === undefined ? [] : [{ address, source: own.address }];
  });
}

/** The next hop is the peer's end of the tunnel, which the kernel can do for IPv6 only when that is IPv6. */
export function hostRoutes(settings: Settings, peer: PeerSettings, name: string): HostRoute[] {
  const via = peer.primary?.host;
  if (via === undefined || !isOnLink(via, name)) return [];
  return peerAddresses(settings, peer)
    .filter(({ address }) => familyOf(address) === 4 || familyOf(via) === 6)
    .map(({ address, source }) => ({ address, source, via }));
}

/** Whether a subnet of the interface holds the address, so that no router lies between. */
export function isOnLink(host: string, interfaceName: string): boolean {
  const family = familyOf(host);
  return family !== 0 && addressesOn(interfaceName).some((subnet) => inSubnet(host, family, subnet));
}
