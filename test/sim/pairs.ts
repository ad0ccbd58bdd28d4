/** Tables with a place for each ordered pair of nodes: what goes from one to another is never what comes back. */

/** Counts from 0; at most NODES_MAX of them. */
export type NodeIndex = number;

export type Pairs<T> = readonly (readonly T[])[];

/** The other one, where there are two. */
export const other = (node: NodeIndex): NodeIndex => (node === 0 ? 1 : 0);

export function makePairs<T>(count: number, make: () => T): Pairs<T> {
  return Array.from({ length: count }, () => Array.from({ length: count }, make));
}

export function at<T>(table: readonly T[], index: number): T {
  const value = table[index];
  if (value === undefined) throw new RangeError(`there is no node ${index}`);
  return value;
}

export const pair = <T>(table: Pairs<T>, from: NodeIndex, to: NodeIndex): T => at(at(table, from), to);

export const others = (count: number, node: NodeIndex): NodeIndex[] =>
  Array.from({ length: count }, (_, i) => i).filter((i) => i !== node);

/** A peer's seat in a node's shared state. Not its place in the settings: whoever mixes them up is found out. */
export const seatOf = (node: NodeIndex, peer: NodeIndex): number => (peer * 5 + node * 3 + 1) % 63;

/** A node's peers are all others in their order: who stands in this place of its settings. */
export const peerAt = (node: NodeIndex, place: number): NodeIndex => (place < node ? place : place + 1);
