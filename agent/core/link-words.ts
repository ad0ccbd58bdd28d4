/** What a link to a peer is made with, what it is given from storage, and what it counts. */
import type { TypeIndex } from '../base/packet-type.ts';
import type { Hello } from '../wire/message.ts';
import type { JudgeSettings } from './judge.ts';
import type { Claims } from './peer-claims.ts';

export interface LinkSettings {
  readonly name: string;
  /** Its index in the shared state, and the plan that gave it: both hold for the life of the link. */
  readonly seat: number;
  readonly since: number;
  /** What our settings say of the peer's addresses. */
  readonly addresses: readonly string[];
  /** The peer's tenant number on our send volume: the address of records for it. */
  readonly sendTenant: number;
  readonly judge: JudgeSettings;
  /** The major version of volumes that this agent reads and writes. */
  readonly volumeVersion: number;
  readonly maxAgeMs: number;
  readonly beaconMs: number;
  /** How long a copy may take to bring the peer's beacon; nothing where there is none. */
  readonly copyMs?: number;
  /** How often a copy is made; nothing where that goes on all the time. */
  readonly copyStepMs?: number;
  readonly retainBytes: number;
  /** Unconfirmed bytes of a failover lane in the write buffer and on our ring at once. */
  readonly storageWindowBytes: number;
  /** What a newcomer reads of the time before it was known, at most: more would keep it from reading what is new. */
  readonly readAgainBytes: number;
  /** True when the kernel has a route to this peer that goes past the agents (`mode: route`). */
  readonly hasBypass?: boolean;
}

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
  receivedNetwork: number;
  receivedStorage: number;
}
