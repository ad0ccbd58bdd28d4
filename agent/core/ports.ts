/** What the core asks of the world around it. The switch thread gives the real ones, the simulator its own. */
import type { TypeIndex } from '../base/packet-type.ts';
import type { Transition } from './judge.ts';
import type { VersionNews } from './version-watch.ts';

/** Puts a packet into the write buffer for this tenant of the send volume; false when its queue is full. */
export type Submit = (
  type: TypeIndex,
  tenant: number,
  sequence: number,
  frame: Uint8Array,
  enteredMs: number,
) => boolean;

/** Something that an operator wants to read in the log, once, with its reason and figures. */
export type CoreEvent =
  | ({ readonly kind: 'path'; readonly peer: string; readonly atMs: number } & Transition)
  | {
      readonly kind: 'incarnation';
      readonly peer: string;
      readonly atMs: number;
      readonly incarnation: string;
      readonly reason: string;
    }
  /** [AG9] What the peer writes was not read within the set time, or is read again after `silentMs`. */
  | {
      readonly kind: 'storage-silent' | 'storage-heard';
      readonly peer: string;
      readonly atMs: number;
      readonly silentMs: number;
    }
  /** Packets of the bypassed types now go past the agents, or through them. */
  | {
      readonly kind: 'bypass';
      readonly peer: string;
      readonly atMs: number;
      readonly active: boolean;
      readonly reason: string;
    }
  | { readonly kind: 'bypass-error'; readonly peer: string; readonly atMs: number; readonly errno: number }
  | ({ readonly peer: string; readonly atMs: number } & VersionNews)
  /** The peer's agent runs and does not have this node among its peers, or has it now. */
  | { readonly kind: 'peer-unaware' | 'peer-aware'; readonly peer: string; readonly atMs: number }
  /** The peer says that its addresses are others than our settings say: two nodes may have one address. */
  | {
      readonly kind: 'address-differs' | 'address-agrees';
      readonly peer: string;
      readonly atMs: number;
      readonly says: string;
      readonly settings: string;
    }
  | { readonly kind: 'stood-still'; readonly peer: ''; readonly atMs: number; readonly gapMs: number };

export interface CorePorts {
  readonly submit: Submit;
  /** Hands a frame, born at `bornMs` by our clock, to the virtual interface or to programs; false: it was refused. */
  readonly deliver: (frame: Uint8Array, bornMs: number) => boolean;
  readonly event: (event: CoreEvent) => void;
  /** Asks for the head block to be written now, not at the next beacon. */
  readonly wantHead: () => void;
}
