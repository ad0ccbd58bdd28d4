/**
 * The offering side on the host: forwarding between the virtual interface and the uplink, with address translation, in
 * an nftables table of our own. The table's comment holds the kernel settings as they were found, so that a later agent
 * can put them back for one that was killed.
 *
 * What our table lets through may still be dropped by a firewall of the host: in nftables a drop anywhere is final. That
 * holds for the table of a second agent on this host as well, so one at a time offers.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { AgentError } from '../base/errors.ts';
import { runTool, tryTool } from '../platform/tool.ts';
import { networkOf } from '../settings/address.ts';
import type { InterfaceAddress, Settings } from '../settings/settings.ts';
import { gatewayNames, NFT_TABLE_START } from './names.ts';

/** Kernel settings before we changed them; null: not changed. */
interface Found {
  readonly uplink: string;
  /** IPv4 forwarding of what comes in by the uplink, and by our interface. */
  readonly uplinkForwarding: string | null;
  readonly ownForwarding: string | null;
  /** IPv6 has one switch for all interfaces; with it on, advertised routes are taken only where `accept_ra` is 2. */
  readonly allForwarding6: string | null;
  readonly acceptRa: string | null;
}

export class GatewayForwarding {
  readonly #settings: Settings;
  readonly #uplink: string;

  constructor(settings: Settings, uplink: string) {
    this.#settings = settings;
    this.#uplink = uplink;
  }

  /** Can be called again: what was found the first time stays noted. Throws while another agent of this host offers. */
  setUp(): void {
    const { vnic } = this.#settings;
    const { nftTable } = gatewayNames(vnic.name);
    removeLeft(nftTable);
    checkAlone(nftTable);
    const noted = readFound(vnic.name);
    if (noted && noted.uplink !== this.#uplink) removeForwarding(vnic.name);
    const found = noted?.uplink === this.#uplink ? noted : this.#look();
    // The note first: whoever finds changed settings must find what they were.
    runTool(['nft', '-f', '-'], this.#ruleset(found));
    try {
      checkAlone(nftTable);
    } catch (error) {
      // Both have looked before either had a table. Nothing is switched on yet: what the table noted needs no return.
      tryTool(['nft', 'delete', 'table', 'inet', nftTable]);
      throw error;
    }
    this.#switchOn(found);
  }

  #look(): Found {
    const six = this.#settings.gateway.prefixes.some(({ family }) => family === 6);
    const acceptRa = six ? readSetting(acceptRaPath(this.#uplink)) : null;
    return {
      uplink: this.#uplink,
      uplinkForwarding: readSetting(forwardingPath(this.#uplink)),
      ownForwarding: readSetting(forwardingPath(this.#settings.vnic.name)),
      allForwarding6: six ? readSetting(ALL_FORWARDING_6) : null,
      acceptRa: acceptRa === '1' ? acceptRa : null,
    };
  }

  #switchOn(found: Found): void {
    writeSetting(forwardingPath(found.uplink), '1');
    writeSetting(forwardingPath(this.#settings.vnic.name), '1');
    if (found.acceptRa !== null) writeSetting(acceptRaPath(found.uplink), '2');
    if (found.allForwarding6 !== null) writeSetting(ALL_FORWARDING_6, '1');
  }

  #ruleset(found: Found): string {
    const { vnic } = this.#settings;
    const table = gatewayNames(vnic.name).nftTable;
    const [own, uplink] = [`"${vnic.name}"`, `"${found.uplink}"`];
    const forward = [
      // No loop: what came out of the interface never goes back in. The last guard while two nodes change their minds.
      `iifname ${own} oifname ${own} drop`,
      `iifname ${own} oifname ${uplink} tcp flags syn tcp option maxseg size set rt mtu`,
      `iifname ${uplink} oifname ${own} tcp flags syn tcp option maxseg size set rt mtu`,
      ...this.#allowed().map((what) => `iifname ${own} oifname ${uplink} ${what} accept`),
      `iifname ${own} oifname ${uplink} drop`,
      `iifname ${uplink} oifname ${own} ct state established,related accept`,
      `iifname ${uplink} oifname ${own} drop`,
      // A host that routed nothing between these before routes nothing else now.
      ...(isOn(found.ownForwarding) ? [] : [`iifname ${own} drop`]),
      ...(isOn(found.uplinkForwarding) ? [] : [`iifname ${uplink} meta nfproto ipv4 drop`]),
      ...(found.allForwarding6 === null || isOn(found.allForwarding6) ? [] : ['meta nfproto ipv6 drop']),
    ];
    return [
      `table inet ${table}`,
      `delete table inet ${table}`,
      `table inet ${table} {`,
      `  comment "${foundText(found)}"`,
      '  chain forward {',
      '    type filter hook forward priority filter; policy accept;',
      ...forward.map((line) => `    ${line}`),
      '  }',
      '  chain postrouting {',
      '    type nat hook postrouting priority srcnat; policy accept;',
      `    iifname ${own} oifname ${uplink} masquerade`,
      '  }',
      '}',
      '',
    ].join('\n');
  }

  /** Only from the virtual network, and only to what is outside. */
  #allowed(): string[] {
    const { vnic, gateway } = this.#settings;
    return ([4, 6] as const).flatMap((family) => {
      const sources = vnic.addresses.filter((own) => own.family === family).map(networkText);
      const targets = gateway.prefixes.filter((prefix) => prefix.family === family).map(networkText);
      const word = family === 4 ? 'ip' : 'ip6';
      return sources.flatMap((source) => targets.map((target) => `${word} saddr ${source} ${word} daddr ${target}`));
    });
  }
}

/** Puts the kernel's settings back and removes our table, whoever made it. Quietly: there may be none, nor any nft. */
export function removeForwarding(interfaceName: string): void {
  const found = readFound(interfaceName);
  if (!found) return;
  // In the order opposite to switching on; an interface that has gone has taken its settings along.
  if (found.allForwarding6 !== null) tryWrite(ALL_FORWARDING_6, found.allForwarding6);
  if (found.acceptRa !== null) tryWrite(acceptRaPath(found.uplink), found.acceptRa);
  if (found.uplinkForwarding !== null) tryWrite(forwardingPath(found.uplink), found.uplinkForwarding);
  if (found.ownForwarding !== null) tryWrite(forwardingPath(interfaceName), found.ownForwarding);
  tryTool(['nft', 'delete', 'table', 'inet', gatewayNames(interfaceName).nftTable]);
}

/**
 * Two that offer would drop each other's packets, and the first that ends would take the forwarding from the other. The
 * kernel numbers tables as they come: the first one stands.
 */
function checkAlone(own: string): void {
  const [first] = gatewayTables();
  if (first === undefined || first === own) return;
  const what = `another agent of this host offers its way already (nftables table inet ${first})`;
  throw new AgentError('failed', `${what}: let one of them offer`);
}

/**
 * What killed agents have left is cleaned up here as well: one whose interface is called otherwise in its new settings,
 * or that was taken off this host, has no start that would. Alone they would drop what we forward. An agent that lives
 * holds its interface, so that it has a carrier; a table without a note of ours stays.
 */
function removeLeft(own: string): void {
  const others = gatewayTables().filter((name) => name !== own);
  if (others.length === 0) return;
  const links = JSON.parse(runTool(['ip', '-json', 'link', 'show'])) as LinkInfo[];
  const held = links.filter(({ flags }) => !flags.includes('NO-CARRIER'));
  const living = new Set(held.map(({ ifname }) => gatewayNames(ifname).nftTable));
  for (const name of others) if (!living.has(name)) removeForwarding(name.slice(NFT_TABLE_START.length));
}

/** Of all agents of this host, in the order in which they came. */
function gatewayTables(): string[] {
  const { nftables } = JSON.parse(runTool(['nft', '-j', 'list', 'tables'])) as NftTables;
  const tables = nftables.flatMap(({ table }) => (table?.name.startsWith(NFT_TABLE_START) === true ? [table] : []));
  return tables.toSorted((a, b) => a.handle - b.handle).map(({ name }) => name);
}

/** The part of `ip -json link show` that is used. */
interface LinkInfo {
  readonly ifname: string;
  readonly flags: readonly string[];
}

/** The part of `nft -j list tables` that is used. */
interface NftTables {
  readonly nftables: readonly { readonly table?: { readonly name: string; readonly handle: number } }[];
}

const isOn = (value: string | null): boolean => value === '1';

const networkText = ({ address, prefix, family }: InterfaceAddress): string =>
  `${networkOf(address, prefix, family)}/${prefix}`;

const foundText = (found: Found): string =>
  [found.uplink, found.uplinkForwarding, found.ownForwarding, found.allForwarding6, found.acceptRa]
    .map((value) => value ?? '-')
    .join(' ');

function readFound(interfaceName: string): Found | null {
  const text = tryTool(['nft', 'list', 'table', 'inet', gatewayNames(interfaceName).nftTable]) ?? '';
  const [uplink, ...values] = /comment "([^"]*)"/.exec(text)?.[1]?.split(' ') ?? [];
  if (uplink === undefined) return null;
  const [uplinkForwarding = null, ownForwarding = null, allForwarding6 = null, acceptRa = null] = values.map((value) =>
    value === '-' ? null : value,
  );
  return { uplink, uplinkForwarding, ownForwarding, allForwarding6, acceptRa };
}

const ALL_FORWARDING_6 = '/proc/sys/net/ipv6/conf/all/forwarding';
const forwardingPath = (name: string): string => `/proc/sys/net/ipv4/conf/${name}/forwarding`;
const acceptRaPath = (name: string): string => `/proc/sys/net/ipv6/conf/${name}/accept_ra`;

function readSetting(path: string): string | null {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return null;
  }
}

function writeSetting(path: string, value: string): void {
  if (readSetting(path) === value) return;
  try {
    writeFileSync(path, value);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? String(error);
    throw new AgentError('failed', `${path} cannot be set to ${value} (${code}): run as root, or set it on the host`);
  }
}

function tryWrite(path: string, value: string): void {
  try {
    writeSetting(path, value);
  } catch {
    // The interface has gone, or /proc is read-only: then there is nothing to put back.
  }
}
