/**
 * What the threads of one agent share: the memory, and the facts that hold for the life of an incarnation. Made by
 * `agent.ts`, handed to each worker as its `workerData`; nothing else passes between threads but messages to `main`.
 */
import { allocateMessages, type MessageMemory } from './messages/memory.ts';
import { createAead } from './platform/aead.ts';
import { alignedMemory } from './platform/memory.ts';
import { Ring, ringBytes } from './queue/ring.ts';
import { SharedKeys, sharedKeysBytes } from './queue/shared-keys.ts';
import { SharedState, sharedStateBytes } from './queue/shared-state.ts';
import { WriteBuffer, writeBufferBytes } from './queue/write-buffer.ts';
import type { Settings } from './settings/settings.ts';
import { SlotWriter, WRITER_WORDS } from './volume/slot-writer.ts';
import { BATCH, HEAD } from './volume/layout.ts';
import { type ClusterKeys, fixedKeys, KeyRingSeal } from './wire/key-ring.ts';
import { KEY_ID_BYTES, keyId, tunnelKey, volumeKey } from './wire/keys.ts';
import { AeadSeal, CrcSeal, type Seal, type SealFactory } from './wire/seal.ts';
import { DATAGRAM } from './wire/tunnel.ts';

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
  readonly send: VolumeFacts;
  readonly receive: readonly ReceiveFacts[];
  /** For each peer its slot on our send volume. */
  readonly peerSlots: readonly number[];
  /** Numbers that stand for the nodes in datagrams: our own, then each peer's. */
  readonly nodeNumbers: readonly number[];
  readonly bellFd: number;
  readonly memory: {
    readonly state: SharedArrayBuffer;
    /** `SharedKeys`; none of them: unauthenticated. */
    readonly keys: SharedArrayBuffer;
    readonly writeBuffer: SharedArrayBuffer;
    readonly inbound: readonly SharedArrayBuffer[];
    readonly messages: MessageMemory;
    readonly writer: SharedArrayBuffer;
    readonly writerBlocks: SharedArrayBuffer;
  };
}

export function allocate(peerCount: number, receiveCount: number): ThreadContext['memory'] {
  return {
    state: new SharedArrayBuffer(sharedStateBytes(peerCount)),
    keys: new SharedArrayBuffer(sharedKeysBytes),
    writeBuffer: new SharedArrayBuffer(writeBufferBytes),
    inbound: Array.from({ length: receiveCount }, () => new SharedArrayBuffer(ringBytes(INBOUND_BYTES))),
    messages: allocateMessages(receiveCount),
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

/** The keys that all threads share; null: unauthenticated. */
export function clusterKeys(context: ThreadContext): ClusterKeys | null {
  const keys = new SharedKeys(context.memory.keys);
  return keys.read().length === 0 ? null : keys;
}

const VOLUME_KEY_ID_AT = { head: HEAD.at.keyId, batch: BATCH.at.keyId } as const;

/** Seals for a volume; keys are derived once for each incarnation and kept while there are few. */
export function volumeSeals(given: ClusterKeys | Uint8Array | null, clusterUuid: Uint8Array): SealFactory {
  if (given === null) return () => new CrcSeal();
  const keys = given instanceof Uint8Array ? fixedKeys(given) : given;
  const known = new Map<string, Seal>();
  return (incarnation, nodeIndex, purpose) => {
    const name = `${purpose} ${nodeIndex} ${Buffer.from(incarnation).toString('hex')}`;
    let seal = known.get(name);
    if (!seal) {
      // The caller may overwrite the bytes before another key is derived from them.
      const salt = incarnation.slice();
      const sealOf = (key: Uint8Array) =>
        new AeadSeal(createAead(volumeKey(key, clusterUuid, salt, nodeIndex, purpose)));
      seal = new KeyRingSeal(keys, VOLUME_KEY_ID_AT[purpose], KEY_ID_BYTES, keyId, sealOf);
      if (known.size >= 256) known.clear();
      known.set(name, seal);
    }
    return seal;
  };
}

/** The seal of datagrams from `source` in `incarnation` to `target`. */
export function tunnelSeal(context: ThreadContext, incarnation: Uint8Array, source: string, target: string): Seal {
  const keys = clusterKeys(context);
  if (keys === null) return new CrcSeal();
  const { cluster } = context.settings;
  const salt = incarnation.slice();
  const sealOf = (key: Uint8Array) => new AeadSeal(createAead(tunnelKey(key, cluster, salt, source, target)));
  return new KeyRingSeal(keys, DATAGRAM.at.keyId, DATAGRAM.size.keyId, keyId, sealOf);
}

/** The threads' niceness: their work is short and late work is what they exist to prevent. */
export const THREAD_NICE = -11;
