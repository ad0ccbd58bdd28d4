/** The gateway: the uplink and its routes, and on a node that offers what the host's own firewall says to forwarding. */
import { existsSync } from 'node:fs';
import { gatewayNames, NFT_TABLE_START } from '../gateway/names.ts';
import { IPV4_ROUTES, IPV6_ROUTES, routesOver } from '../gateway/outside-watch.ts';
import { runTool } from '../platform/tool.ts';
import type { Settings } from '../settings/settings.ts';
import { ok, warning, type Finding } from './finding.ts';
import { readText } from './system.ts';

export function checkGateway({ gateway, vnic }: Settings): Finding[] {
  const { offer, use, uplink } = gateway;
  if (uplink === null || (!offer && use.length === 0)) return [];
  if (!existsSync(`/sys/class/net/${uplink}`)) {
    return [warning('gateway.uplink', `there is no interface ${uplink}`, 'correct gateway.uplink (see: ip link)')];
  }
  const { leads } = routesOver(uplink, readText(IPV4_ROUTES) ?? '', readText(IPV6_ROUTES) ?? '');
  return [
    ok('gateway.uplink', `${uplink} is there`),
    routeFinding(uplink, leads),
    ...(offer ? firewallFindings(listChains(), gatewayNames(vnic.name).nftTable, vnic.name, uplink) : []),
  ];
}

export function routeFinding(uplink: string, leads: boolean): Finding {
  const name = 'gateway.route';
  if (leads) return ok(name, `a route leads outside over ${uplink}`);
  const mend = `ip route add default via … dev ${uplink}, or name the interface that has it`;
  return warning(name, `no route leads outside over ${uplink}: its way counts as out`, mend);
}

interface Chain {
  readonly family: string;
  readonly table: string;
  readonly name: string;
  readonly hook?: string;
  readonly policy?: string;
}

/** What nft says of all chains; an error where it says nothing. */
function listChains(): string | Error {
  try {
    return runTool(['nft', '-j', 'list', 'chains']);
  } catch (caught) {
    return caught as Error;
  }
}

/** An accept of ours cannot undo a drop of the host's: in nftables a drop in any table is final. */
export function firewallFindings(
  listed: string | Error,
  ownTable: string,
  interfaceName: string,
  uplink: string,
): Finding[] {
  const name = 'gateway.firewall';
  if (typeof listed !== 'string') {
    return [
      warning('gateway.nft', `this node cannot offer its way: ${listed.message}`, 'mend it, or set offer: false'),
    ];
  }
  const items = (JSON.parse(listed) as { nftables?: readonly { chain?: Chain }[] }).nftables ?? [];
  const chains = items.flatMap(({ chain }) => (chain?.hook === 'forward' && chain.table !== ownTable ? [chain] : []));
  const second = chains.find(({ table }) => table.startsWith(NFT_TABLE_START));
  if (second) {
    const what = `another agent of this host offers its way, or was killed (nftables table inet ${second.table})`;
    return [warning(name, what, 'one agent of a host can offer: set offer: false for the other')];
  }
  const dropping = chains.filter(({ policy }) => policy === 'drop');
  if (dropping.length === 0) return [ok(name, 'no firewall of the host drops forwarded packets by default')];
  return dropping.map(({ family, table, name: chain }) => {
    const what = `the host's firewall drops forwarded packets by default (nftables ${family} ${table} ${chain})`;
    return warning(name, what, `allow ${interfaceName} to ${uplink} there, and established connections back`);
  });
}
