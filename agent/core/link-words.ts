/** What a link to a peer is given from storage, and what it counts. */
import type { TypeIndex } from '../base/packet-type.ts';
import type { Hello } from '../wire/message.ts';
import type { Claims } from './peer-claims.ts';

/** A head block of the peer, as far as it is for us; the same words as a hello. */
export interface HeadWord extends Hello {
  readonly incarnation: Uint8Array;
  readonly position: number;
  readonly startPosition: number;
  readonly orderMark: number;
  readonly claims: Claims;
}

/** A record from the inbound ring, as the reader put it there. */
export interface StorageRecord {
  readonly type: TypeIndex;
  readonly sequence: number;
  readonly bornMs: number;
  readonly epoch: number;
}

export interface LinkCounters {
  tooOld: number;
  /** Frames in their turn that the interface refused. */
  refused: number;
  receivedNetwork: number;
  receivedStorage: number;
}
