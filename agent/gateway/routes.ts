/**
 * The taking side on the host: routing rules and a table of our own. The host's tables are looked at and never written.
 *
 *   from <cluster address>  -> our table       always: flows that began over the gateway stay there, and die nowhere else
 *   from nothing yet        -> our table       while the gateway is used: connections that have no source address yet
 *
 * Before each of the two the main table is asked, for routes that are longer than the prefix: storage networks, the
 * primary subnet, whatever the operator routed on purpose. Our table leads the prefixes into the interface, and throws
 * back the virtual network itself and the peers' primary addresses: the tunnel must never run through itself.
 *
 * IPv4 rules can ask for "no source yet" (0.0.0.0/32). IPv6 rules cannot, but one with any source prefix matches only
 * packets that have a source: two halves of everything send those to the main table first.
 */
import { runTool, tryTool } from '../platform/tool.ts';
import { networkOf } from '../settings/address.ts';
import type { InterfaceAddress, Settings } from '../settings/settings.ts';
import { gatewayNames, ROUTE_PROTOCOL, type GatewayNames } from './names.ts';

type Family = 4 | 6;

/** Of the priorities that are ours: rules by source first, then those for connections without one. */
const FOR_ALL_OFFSET = 50;

/** What no gateway is for: groups, and what lives on one link. */
const NEVER: Readonly<Record<Family, readonly string[]>> = {
  4: ['224.0.0.0/4', '169.254.0.0/16', '255.255.255.255'],
  6: ['ff00::/8', 'fe80::/10'],
};

export class GatewayRoutes {
  #settings: Settings;
  readonly #names: GatewayNames;
  readonly #families: readonly Family[];

  constructor(settings: Settings) {
    this.#settings = settings;
    this.#names = gatewayNames(settings.vnic.name);
    this.#families = ([4, 6] as const).filter((family) =>
      settings.gateway.prefixes.some((prefix) => prefix.family === family),
    );
  }

  /** Table and rules by source; what an earlier agent left is replaced. */
  setUp(): void {
    removeRoutes(this.#names);
    for (const family of this.#families) batch(family, [...this.#table(family), ...this.#rulesBySource(family)]);
  }

  /** Other peers: only what is thrown back changes, so that no flow meets a gap. Throws when the table is not as it was made. */
  follow(settings: Settings): void {
    const former = this.#settings;
    this.#settings = settings;
    for (const family of this.#families) {
      const [old, hosts] = [hostsOf(former, family), hostsOf(settings, family)];
      const come = hosts.filter((host) => !old.includes(host));
      if (come.length > 0) batch(family, this.#throws(come));
      const gone = old.filter((host) => !hosts.includes(host));
      if (gone.length > 0) batch(family, this.#throws(gone, 'del'));
    }
  }

  /** New connections take the gateway. */
  use(): void {
    // Some network services flush what is not theirs when they start; without a need nothing is taken away meanwhile.
    if (!this.#isWhole()) this.setUp();
    this.release();
    for (const family of this.#families) batch(family, this.#rulesForAll(family));
  }

  /** New connections take the host's own network; flows that have the cluster address stay. */
  release(): void {
    const first = this.#names.rules + FOR_ALL_OFFSET;
    for (const family of this.#families) removeRules(family, first, this.#names.rulesEnd);
  }

  remove(): void {
    removeRoutes(this.#names);
  }

  #isWhole(): boolean {
    const first = this.#names.rules;
    return this.#families.every(
      (family) => ownRules(family, first, first + FOR_ALL_OFFSET).length === this.#rulesBySource(family).length,
    );
  }

  #prefixes(family: Family): InterfaceAddress[] {
    const own = this.#settings.gateway.prefixes.filter((prefix) => prefix.family === family);
    return own.toSorted((a, b) => b.prefix - a.prefix);
  }

  #addresses(family: Family): string[] {
    return this.#settings.vnic.addresses.filter((own) => own.family === family).map(({ address }) => address);
  }

  #table(family: Family): string[] {
    const { vnic } = this.#settings;
    const source = this.#addresses(family)[0] ?? '';
    const suffix = `table ${this.#names.table} protocol ${ROUTE_PROTOCOL}`;
    const subnets = vnic.addresses.filter((own) => own.family === family);
    return [
      ...this.#prefixes(family).map(
        (prefix) => `route replace ${text(prefix)} dev ${vnic.name} src ${source} ${suffix}`,
      ),
      ...this.#throws([...subnets.map(networkText), ...hostsOf(this.#settings, family), ...NEVER[family]]),
    ];
  }

  /** What the main table decides, though a prefix of ours holds it. */
  #throws(destinations: readonly string[], act: 'replace' | 'del' = 'replace'): string[] {
    const suffix = `table ${this.#names.table} protocol ${ROUTE_PROTOCOL}`;
    return [...new Set(destinations)].map((destination) => `route ${act} throw ${destination} ${suffix}`);
  }

  #rulesBySource(family: Family): string[] {
    return this.#addresses(family).flatMap((address) => this.#pairs(family, this.#names.rules, `from ${address} `));
  }

  #rulesForAll(family: Family): string[] {
    const first = this.#names.rules + FOR_ALL_OFFSET;
    if (family === 4) return this.#pairs(4, first, 'from 0.0.0.0/32 ');
    const halves = ['::/1', '8000::/1'].map((half) => rule(first, `from ${half} lookup main`));
    return [...halves, ...this.#pairs(6, first + 1, '')];
  }

  /** For each prefix, longest first: what the main table knows better, then our table. */
  #pairs(family: Family, first: number, selector: string): string[] {
    return this.#prefixes(family).flatMap((prefix, i) => [
      rule(first + 2 * i, `${selector}to ${text(prefix)} lookup main suppress_prefixlength ${prefix.prefix}`),
      rule(first + 2 * i + 1, `${selector}to ${text(prefix)} lookup ${this.#names.table}`),
    ]);
  }
}

const rule = (priority: number, what: string): string =>
  `rule add priority ${priority} ${what} protocol ${ROUTE_PROTOCOL}`;

const familyOf = (host: string): Family => (host.includes(':') ? 6 : 4);

/** Where the tunnel goes. */
const hostsOf = ({ peers }: Settings, family: Family): string[] =>
  peers.flatMap(({ primary }) => primary?.host ?? []).filter((host) => familyOf(host) === family);

const text = ({ address, prefix }: InterfaceAddress): string => `${address}/${prefix}`;

const networkText = ({ address, prefix, family }: InterfaceAddress): string =>
  `${networkOf(address, prefix, family)}/${prefix}`;

function batch(family: Family, lines: readonly string[]): void {
  runTool(['ip', `-${family}`, '-batch', '-'], `${lines.join('\n')}\n`);
}

/** Everything of ours, whoever made it; quietly, for there may be nothing, or no IPv6. */
export function removeRoutes(names: GatewayNames): void {
  for (const family of [4, 6] as const) {
    removeRules(family, names.rules, names.rulesEnd);
    tryTool(['ip', `-${family}`, 'route', 'flush', 'table', String(names.table)]);
  }
}

function removeRules(family: Family, first: number, end: number): void {
  const ours = ownRules(family, first, end);
  if (ours.length === 0) return;
  // Without more than its priority `ip` deletes the first rule that has it: one line for each takes all.
  const lines = ours.map(({ priority }) => `rule del priority ${priority} protocol ${ROUTE_PROTOCOL}`);
  runTool(['ip', `-${family}`, '-batch', '-'], `${lines.join('\n')}\n`);
}

function ownRules(family: Family, first: number, end: number): RuleInfo[] {
  const rules = JSON.parse(tryTool(['ip', `-${family}`, '-json', 'rule', 'show']) || '[]') as RuleInfo[];
  return rules.filter(
    ({ priority, protocol }) => priority >= first && priority < end && protocol === String(ROUTE_PROTOCOL),
  );
}

/** The part of `ip -json rule show` that is used. */
interface RuleInfo {
  readonly priority: number;
  readonly protocol?: string;
}
