/** What the hub and a program's connection know of each other. */
import type { PacketType, TypeIndex } from '../base/packet-type.ts';

export interface WriteRequest {
  /** The program's own number of this message; its report bears it. */
  readonly number: number;
  readonly peer: string;
  readonly type: TypeIndex;
  readonly channel: string;
  readonly bytes: Uint8Array;
  /** Left out: what the settings say. */
  readonly deadlineMs?: number;
}

export type WriteResult =
  | { readonly delivered: true; readonly afterMs: number }
  | { readonly delivered: false; readonly reason: 'deadline' | 'no receiver' };

export interface ReceivedMessage {
  /** Under which the program says that it has read it. */
  readonly number: number;
  readonly peer: string;
  readonly type: PacketType;
  readonly channel: string;
  readonly ageMs: number;
  readonly bytes: Uint8Array;
}

export interface Writer {
  report(number: number, result: WriteResult): void;
}

export interface Listener {
  give(message: ReceivedMessage): void;
}
