/**
 * What the threads of one agent share: the memory, and the facts that hold for the life of an incarnation. Made by
 * `agent.ts`, handed to each worker as its `workerData`; nothing else passes between threads but messages to `main`.
 */
import type { BypassPlan } from './bypass/bypass.ts';
import { createAead } from './platform/aead.ts';
import { alignedMemory } from './platform/memory.ts';
import { Ring, ringBytes } from './queue/ring.ts';
import { SharedState, sharedStateBytes } from './queue/shared-state.ts';
import { WriteBuffer, writeBufferBytes } from './queue/write-buffer.ts';
import type { Settings } from './settings/settings.ts';
import { SlotWriter, WRITER_WORDS } from './volume/slot-writer.ts';
import { tunnelKey, volumeKey } from './wire/keys.ts';
import { AeadSeal, CrcSeal, type Seal, type SealFactory } from './wire/seal.ts';

const INBOUND_BYTES = 4 * 1024 * 1024;

/** A volume as this agent uses it. */
export interface VolumeFacts {
  readonly path: string;
  readonly clusterUuid: Uint8Array;
  readonly slotBytes: number;
  readonly slotCount: number;
  readonly slotsOffset: number;
  /** Our own slot. */
  readonly ownSlot: number;
}

export interface ReceiveFacts {
  readonly volume: VolumeFacts;
  /** Peers that write there: index in the settings, slot on that volume. */
  readonly peers: readonly { readonly index: number; readonly slot: number }[];
}

export interface ThreadContext {
  readonly settings: Settings;
  readonly incarnation: Uint8Array;
  readonly hostId: Uint8Array;
  readonly keyId: Uint8Array;
  /** Null: unauthenticated. */
  readonly clusterKey: Uint8Array | null;
  readonly send: VolumeFacts;
  readonly receive: readonly ReceiveFacts[];
  /** For each peer its slot on our send volume. */
  readonly peerSlots: readonly number[];
  /** Numbers that stand for the nodes in datagrams: our own, then each peer's. */
  readonly nodeNumbers: readonly number[];
  readonly bellFd: number;
  /** Null without `mode: route`. */
  readonly bypass: BypassPlan | null;
  readonly memory: {
    readonly state: SharedArrayBuffer;
    readonly writeBuffer: SharedArrayBuffer;
    readonly inbound: readonly SharedArrayBuffer[];
    readonly writer: SharedArrayBuffer;
    readonly writerBlocks: SharedArrayBuffer;
  };
}

export function allocate(peerCount: number, receiveCount: number): ThreadContext['memory'] {
  return {
    state: new SharedArrayBuffer(sharedStateBytes(peerCount)),
    writeBuffer: new SharedArrayBuffer(writeBufferBytes),
    inbound: Array.from({ length: receiveCount }, () => new SharedArrayBuffer(ringBytes(INBOUND_BYTES))),
    writer: new SharedArrayBuffer(WRITER_WORDS * 8),
    writerBlocks: alignedMemory(SlotWriter.memoryBytes),
  };
}

export const sharedState = (context: ThreadContext): SharedState =>
  new SharedState(context.memory.state, context.settings.peers.length);

export const writeBuffer = (context: ThreadContext, state: SharedState): WriteBuffer =>
  new WriteBuffer(context.memory.writeBuffer, state, context.settings.storage.flush.thresholdBytes);

export function inboundRing(context: ThreadContext, index: number): Ring {
  const buffer = context.memory.inbound[index];
  if (!buffer) throw new Error('no such receive volume');
  return new Ring(buffer, 0, INBOUND_BYTES);
}

/** Seals for a volume; keys are derived once for each incarnation and kept while there are few. */
export function volumeSeals(clusterKey: Uint8Array | null, clusterUuid: Uint8Array): SealFactory {
  if (clusterKey === null) return () => new CrcSeal();
  const known = new Map<string, Seal>();
  return (incarnation, nodeIndex, purpose) => {
    const name = `${purpose} ${nodeIndex} ${Buffer.from(incarnation).toString('hex')}`;
    let seal = known.get(name);
    if (!seal) {
      seal = new AeadSeal(createAead(volumeKey(clusterKey, clusterUuid, incarnation, nodeIndex, purpose)));
      if (known.size >= 256) known.clear();
      known.set(name, seal);
    }
    return seal;
  };
}

/** The seal of datagrams from `source` in `incarnation` to `target`. */
export function tunnelSeal(context: ThreadContext, incarnation: Uint8Array, source: string, target: string): Seal {
  const { clusterKey, settings } = context;
  if (clusterKey === null) return new CrcSeal();
  return new AeadSeal(createAead(tunnelKey(clusterKey, settings.cluster, incarnation, source, target)));
}

/** The threads' niceness: their work is short and late work is what they exist to prevent. */
export const THREAD_NICE = -11;
