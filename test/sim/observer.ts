/** What the agents of a simulated node let the checkers see. */
import type { NodeIndex } from './pairs.ts';

/** What the checkers are told. */
export interface Observer {
  /** The agent took a frame from the interface. */
  entered(node: NodeIndex, frame: Uint8Array): void;
  /** The lane to `peer` was full for too long: the newest frame goes. */
  dropped(node: NodeIndex, peer: NodeIndex, frame: Uint8Array): void;
  /** The interface was thrown away after a standstill. */
  thrownAway(node: NodeIndex, frame: Uint8Array): void;
  delivered(node: NodeIndex, frame: Uint8Array, way: 'switch' | 'reader'): void;
  /** A write begins: the bytes as they were sealed. */
  written(node: NodeIndex, bytes: Uint8Array): void;
  started(node: NodeIndex): void;
  /** A message of the accepted incarnation was opened and taken. */
  heard(node: NodeIndex, incarnation: Uint8Array, counter: number): void;
  /** The agent says that somebody else writes its slot. */
  slotTaken(node: NodeIndex): void;
}
