/**
 * What the bypass is called in the kernel. Everything that an agent puts there bears the protocol number, and one of two
 * tables whose numbers follow from the interface's name: so it finds again what a killed one left, takes nothing that
 * is somebody else's, and two agents on one host do not meet.
 */

/** "proto" of our routes and rules; no routing program has this number. */
export const ROUTE_PROTOCOL = 119;
/** A host route over the primary network goes before the way into the interface. */
export const METRIC_PAST = 10;
export const METRIC_INSIDE = 9000;
const TABLES_FROM = 0x5b_00_00_00;
const TABLES = 0x10_00_00;
const FNV_OFFSET = 0x811c9dc5;
const FNV_PRIME = 0x01000193;

export interface Tables {
  /** Past the agent: a host route for each peer, and behind them the interface. */
  readonly past: number;
  /** Into the interface, whatever else the later rules say. */
  readonly inside: number;
}

/** Whether a bypass, of any interface, has this table: the gateway's rules bear the same protocol number. */
export const isBypassTable = (table: number): boolean => table >= TABLES_FROM && table < TABLES_FROM + 2 * TABLES;

export function tablesOf(interfaceName: string): Tables {
  let hash = FNV_OFFSET;
  for (const character of interfaceName) hash = Math.imul(hash ^ (character.codePointAt(0) ?? 0), FNV_PRIME) >>> 0;
  const past = TABLES_FROM + (hash % TABLES) * 2;
  return { past, inside: past + 1 };
}
