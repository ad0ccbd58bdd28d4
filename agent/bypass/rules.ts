/**
 * Our routing rules in the kernel. All have one priority, in which the kernel keeps their order; all name one of our two
 * tables, by which they are found again. New ones are put beside the old ones before those go, so no packet meets a gap.
 */
import { ip, ipBatch } from '../platform/iproute.ts';
import type { InterfaceAddress } from '../settings/settings.ts';
import { familyOf } from '../settings/address.ts';
import { isBypassTable, METRIC_INSIDE, ROUTE_PROTOCOL, tablesOf, type Tables } from './names.ts';
import type { Selector } from './selectors.ts';

/** Between the table "local" (0) and the host's own rules, which administrators number upwards from some thousands. */
const PRIORITY_FROM = 700;
const FAMILIES = [4, 6] as const;
const ICMP = { 4: 1, 6: 58 } as const;

/** One address of a peer, and ours that programs speak to it from. */
export interface PeerAddress {
  readonly address: string;
  readonly source: string;
}

/** The part of `ip -json rule show` that is used. */
interface RuleInfo {
  readonly priority: number;
  readonly table?: string;
  readonly protocol?: string;
}

/** The rules for one subnet of the interface, without their priority. `ownPrimary`: our address on the primary network. */
export function ruleWords(
  subnet: InterfaceAddress,
  all: readonly Selector[],
  tables: Tables,
  ownPrimary: string,
): string[] {
  const to = `to ${subnet.address}/${subnet.prefix}`;
  const words = all.flatMap(({ way, protocol, port }) => {
    const table = `lookup ${tables[way]} protocol ${ROUTE_PROTOCOL}`;
    const number = protocol === 'icmp' ? ICMP[subnet.family] : protocol;
    const what = number === null ? to : `${to} ipproto ${number}`;
    if (port === null) return [`${what} ${table}`];
    const range = port[0] === port[1] ? String(port[0]) : `${port[0]}-${port[1]}`;
    return [`${what} dport ${range} ${table}`, `${what} sport ${range} ${table}`];
  });
  // The kernel asks for a neighbour's hardware address in the name of the packet that waits for it, so with a cluster
  // address. A strict reverse-path filter of the peer would refuse that question without this rule.
  const isFor = subnet.family === (ownPrimary.includes(':') ? 6 : 4);
  if (isFor) words.push(`from ${ownPrimary} ${to} lookup ${tables.past} protocol ${ROUTE_PROTOCOL}`);
  return words;
}

/** Puts the rules and the ways into the interface in place, and removes those of an earlier start. */
export function setRules(
  vnic: { readonly name: string; readonly addresses: readonly InterfaceAddress[] },
  peers: readonly PeerAddress[],
  all: readonly Selector[],
  ownPrimary: string,
): void {
  const tables = tablesOf(vnic.name);
  for (const family of FAMILIES) {
    const rules = rulesOf(family);
    const priority = freePriority(rules);
    const own = vnic.addresses.filter((subnet) => subnet.family === family);
    const theirs = peers.filter(({ address }) => familyOf(address) === family);
    const words = own.flatMap((subnet) => ruleWords(subnet, all, tables, ownPrimary));
    ipBatch(family, [
      ...theirs.flatMap((peer) => inside(vnic.name, peer, tables)),
      ...words.map((rule) => `rule add priority ${priority} ${rule}`),
    ]);
    ipBatch(family, [
      ...deletions(ours(rules, tables)),
      ...[tables.past, tables.inside].flatMap((table) => strayRoutes(family, table, theirs)),
    ]);
  }
}

/** Removes every rule and route of ours. Answers whether there was a rule; without one there are no routes either. */
export function removeRules(tables: Tables): boolean {
  const found = FAMILIES.map((family) => {
    const rules = ours(rulesOf(family), tables);
    if (rules.length === 0) return false;
    const full = [tables.past, tables.inside].filter((table) => hasRoutes(family, table));
    ipBatch(family, [...deletions(rules), ...full.map((table) => `route flush table ${table}`)]);
    return true;
  });
  return found.includes(true);
}

/** Whether the bypass of another interface has rules on this host. */
export const othersHaveRules = (tables: Tables): boolean =>
  FAMILIES.some((family) => hasOthers(rulesOf(family), tables));

export function hasOthers(all: readonly RuleInfo[], tables: Tables): boolean {
  const rules = all.filter(
    ({ protocol, table }) => protocol === String(ROUTE_PROTOCOL) && isBypassTable(Number(table)),
  );
  return ours(rules, tables).length < rules.length;
}

const rulesOf = (family: 4 | 6): RuleInfo[] => JSON.parse(ip([`-${family}`, '-json', 'rule', 'show'])) as RuleInfo[];

function ours(rules: readonly RuleInfo[], tables: Tables): RuleInfo[] {
  const names = [String(tables.past), String(tables.inside)];
  return rules.filter(({ table, protocol }) => protocol === String(ROUTE_PROTOCOL) && names.includes(table ?? ''));
}

function freePriority(rules: readonly RuleInfo[]): number {
  const taken = new Set(rules.map(({ priority }) => priority));
  let priority = PRIORITY_FROM;
  while (taken.has(priority)) priority++;
  return priority;
}

/** One deletion takes the first rule with this priority and table. */
const deletions = (rules: readonly RuleInfo[]): string[] =>
  rules.map(({ priority, table }) => `rule del priority ${priority} table ${table}`);

/** The way into the interface for one peer; in the table `past` it stands behind the route over the primary network. */
function inside(interfaceName: string, { address, source }: PeerAddress, tables: Tables): string[] {
  const way = `dev ${interfaceName} src ${source} metric ${METRIC_INSIDE} protocol ${ROUTE_PROTOCOL}`;
  return [tables.past, tables.inside].map((table) => `route replace ${address} ${way} table ${table}`);
}

/** For IPv4 the kernel calls a table without routes an error. */
function hasRoutes(family: 4 | 6, table: number): boolean {
  try {
    return ip([`-${family}`, 'route', 'show', 'table', String(table)]).trim() !== '';
  } catch {
    return false;
  }
}

/** Routes to addresses that are no peer's any more. */
function strayRoutes(family: 4 | 6, table: number, peers: readonly PeerAddress[]): string[] {
  if (!hasRoutes(family, table)) return [];
  const said = ip([`-${family}`, '-json', 'route', 'show', 'table', String(table)]);
  const routes = JSON.parse(said) as { readonly dst: string; readonly dev?: string; readonly metric?: number }[];
  return routes
    .filter(({ dst }) => !peers.some(({ address }) => address === dst))
    .map(({ dst, dev, metric }) => `route del ${dst} dev ${dev} metric ${metric} table ${table}`);
}
