/** `mode: route`: which peers can be reached past the agents, and what on this host stands against it. */
import { accessSync, constants, existsSync } from 'node:fs';
import { bypassInterface, bypassSelectors, isOnLink } from '../bypass/bypass.ts';
import type { Selector } from '../bypass/selectors.ts';
import { ip } from '../platform/iproute.ts';
import { familyOf } from '../settings/address.ts';
import type { PeerSettings, Settings } from '../settings/settings.ts';
import { error, ok, warning, type Finding } from './finding.ts';
import { readText } from './system.ts';

export function checkBypass(settings: Settings): Finding[] {
  if (settings.primary.mode !== 'route') return [];
  const name = bypassInterface(settings);
  const all = bypassSelectors(settings);
  const conf = '/proc/sys/net/ipv4/conf';
  return [
    toolFinding(missingTool()),
    typesFinding(settings.primary.bypass, all),
    ...settings.peers.flatMap((peer) => peerFindings(peer, name, isOnLink(peer.primary?.host ?? '', name))),
    filterFinding(name, readText(`${conf}/all/rp_filter`), readText(`${conf}/${name}/rp_filter`), all),
    carrierFinding(name, mayWrite(`${conf}/${name}/ignore_routes_with_linkdown`)),
  ];
}

/** Why `ip rule` does not work here; null when it does. */
function missingTool(): string | null {
  try {
    ip(['-json', 'rule', 'show']);
    return null;
  } catch (caught) {
    return caught instanceof Error ? caught.message : String(caught);
  }
}

export function toolFinding(fault: string | null): Finding {
  const name = 'bypass.rules';
  if (fault === null) return ok(name, 'routing rules can be set');
  return error(name, fault, 'install iproute2, and a kernel with policy routing (CONFIG_IP_MULTIPLE_TABLES)');
}

export function typesFinding(types: Settings['primary']['bypass'], all: readonly Selector[]): Finding {
  const name = 'bypass.types';
  if (all.some(({ way }) => way === 'past')) {
    return ok(name, `${types.join(' and ')} goes past the agents, UNENCRYPTED, while the network is healthy`);
  }
  const mend = 'give types: a rule for bulk, or add data to primary.bypass';
  return warning(name, `no rule of types: makes anything ${types.join(' or ')}: nothing goes past the agents`, mend);
}

export function peerFindings(peer: PeerSettings, interfaceName: string, isNear: boolean): Finding[] {
  const name = 'bypass.peer';
  const host = peer.primary?.host ?? '';
  if (!isNear) {
    const what = `peer ${peer.node} (${host}) is not in a subnet of ${interfaceName}: its packets go through the agents`;
    return [warning(name, what, 'none needed, or give both an address on one link')];
  }
  const near = ok(name, `peer ${peer.node} (${host}) is on the link of ${interfaceName}`);
  if (familyOf(host) === 6 || !peer.addresses.some((address) => familyOf(address) === 6)) return [near];
  const what = `peer ${peer.node}: its IPv6 packets go through the agents, for its primary (${host}) is IPv4`;
  return [near, warning(name, what, 'none needed, or give primary an IPv6 address')];
}

/** `everywhere`, `here`: rp_filter of all interfaces and of this one; the kernel takes the larger. */
export function filterFinding(
  interfaceName: string,
  everywhere: string | null,
  here: string | null,
  all: readonly Selector[],
): Finding {
  const name = 'bypass.filter';
  const isStrict = Math.max(Number(everywhere), Number(here)) === 1;
  if (!isStrict) return ok(name, `the reverse-path filter of ${interfaceName} lets the peers' packets in`);
  const UDP = 17;
  const byPort = all.some((each) => each.way === 'past' && each.port !== null && each.protocol === UDP);
  const takesAll = all.some((each) => each.way === 'past' && each.port === null && (each.protocol ?? UDP) === UDP);
  if (!byPort || takesAll) return ok(name, `the strict reverse-path filter of ${interfaceName} knows the way`);
  const what = `the strict reverse-path filter of ${interfaceName} drops UDP in fragments that goes past the agents by port`;
  return warning(name, what, `sysctl net.ipv4.conf.${interfaceName}.rp_filter=2, or send no datagrams above the MTU`);
}

export function carrierFinding(interfaceName: string, mayBeSet: boolean): Finding {
  const name = 'bypass.carrier';
  if (mayBeSet) return ok(name, `the kernel itself leaves ${interfaceName} when its carrier is lost`);
  const what = `the kernel cannot be told to leave ${interfaceName} when its carrier is lost: the agent will, a little later`;
  return warning(name, what, `sysctl net.ipv4.conf.${interfaceName}.ignore_routes_with_linkdown=1, as root`);
}

function mayWrite(path: string): boolean {
  try {
    if (existsSync(path)) accessSync(path, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}
