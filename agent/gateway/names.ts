/**
 * What the gateway's things on the host are called. All of it follows from the interface's name, so that a later agent
 * finds what a killed one left, and two agents on one host keep apart.
 */

/** Marks our routes and rules as ours, beside their numbers (rtnetlink(7): 4 and above are free). */
export const ROUTE_PROTOCOL = 119;

const RULES_PER_AGENT = 100;
/** Before the host's main table (32766) and what VPN software puts just before that. */
const RULES_START = 20_000;
const TABLES_START = 7_700_000;
/** So begins the nftables table of every agent that offers. */
export const NFT_TABLE_START = 'stillbeat_gw_';

export interface GatewayNames {
  /** Routing table. */
  readonly table: number;
  /** Priorities of our rules: from this one, {@link RULES_PER_AGENT} of them. */
  readonly rules: number;
  /** Past the last of them. */
  readonly rulesEnd: number;
  /** nftables table of family inet. */
  readonly nftTable: string;
}

export function gatewayNames(interfaceName: string): GatewayNames {
  const hash = hash16(interfaceName);
  const rules = RULES_START + (hash % 100) * RULES_PER_AGENT;
  return {
    table: TABLES_START + hash,
    rules,
    rulesEnd: rules + RULES_PER_AGENT,
    nftTable: `${NFT_TABLE_START}${interfaceName.replaceAll(/[^A-Za-z0-9_.]/gu, '_')}`,
  };
}

/** FNV-1a, folded to 16 bits. */
function hash16(text: string): number {
  let hash = 0x811c9dc5;
  for (const byte of Buffer.from(text)) hash = Math.imul(hash ^ byte, 0x01000193);
  return ((hash >>> 16) ^ hash) & 0xffff;
}
