/**
 * What the threads of one agent share: the memory, the facts that hold for the life of an incarnation, and the plan. Made
 * by `agent.ts`, handed to each worker as its `workerData`; later plans come by its port.
 */
import type { BypassPlan } from './bypass/bypass.ts';
import { receiveMessageOnPort, type MessagePort } from 'node:worker_threads';
import type { FlushSettings } from './flush/flush-loop.ts';
import { allocateMessages, type MessageMemory } from './messages/memory.ts';
import { createAead } from './platform/aead.ts';
import { alignedMemory } from './platform/memory.ts';
import { copyStateBytes } from './queue/copy-state.ts';
import { Ring, ringBytes } from './queue/ring.ts';
import { SharedKeys, sharedKeysBytes } from './queue/shared-keys.ts';
import { AGENT, SharedState, sharedStateBytes } from './queue/shared-state.ts';
import { WriteBuffer, writeBufferBytes } from './queue/write-buffer.ts';
import type { PeerSettings, Settings } from './settings/settings.ts';
import type { SlotGeometry } from './volume/disk.ts';
import { slotOfTenant } from './volume/layout.ts';
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
  /** Which device or file the path named when it was looked at: `BlockDevice.identity`. */
  readonly device: string;
  readonly clusterUuid: Uint8Array;
  readonly slotBytes: number;
  readonly slotCount: number;
  readonly slotsOffset: number;
  /** The tenant number of our own slot. */
  readonly ownTenant: number;
}

/** Where a tenant's ring lies. */
export function slotGeometry(volume: VolumeFacts, tenant: number): SlotGeometry {
  const { slotsOffset, slotBytes } = volume;
  return { slotOffset: slotsOffset + slotOfTenant(tenant) * slotBytes, slotBytes };
}

/** A peer's place: its words in the shared state, as long as it is in the settings and reached in the same way. */
export interface Seat {
  readonly seat: number;
  /** The plan that gave the seat: tells this holder from an earlier one. */
  readonly since: number;
  readonly peer: PeerSettings;
  /** The peer's tenant number on our send volume. */
  readonly tenant: number;
  /** Stands for the peer in datagrams. */
  readonly nodeNumber: number;
}

/** A peer that writes to a receive volume, with its tenant number there. */
export interface ReadPeer {
  readonly seat: number;
  readonly since: number;
  readonly tenant: number;
}

export interface ReceiveFacts {
  /** Which reader thread: its word in the shared state. */
  readonly reader: number;
  readonly volume: VolumeFacts;
  readonly peers: readonly ReadPeer[];
  /** What the reader hands to the switch thread. */
  readonly inbound: SharedArrayBuffer;
  /** What it hands to the main thread: messages of programs. */
  readonly messages: SharedArrayBuffer;
}

/**
 * What may change while the agent runs, numbered; `plan.ts` makes the next one. Each thread takes it over between two
 * rounds (`apply`) and says so in its word of the shared state.
 */
export interface Plan {
  readonly number: number;
  readonly settings: Settings;
  /** In the order of the settings' peers. */
  readonly seats: readonly Seat[];
  readonly receive: readonly ReceiveFacts[];
  /** Null, or left out, without `mode: route`. */
  readonly bypass?: BypassPlan | null;
}

/** A plan, and what holds for the life of an incarnation. */
export interface ThreadContext extends Plan {
  readonly incarnation: Uint8Array;
  /** Our monotonic clock when this incarnation began. */
  readonly beganMs: number;
  readonly hostId: Uint8Array;
  readonly send: VolumeFacts;
  /** Stands for this node in datagrams. */
  readonly nodeNumber: number;
  readonly bellFd: number;
  readonly memory: {
    readonly state: SharedArrayBuffer;
    /** `SharedKeys`; none of them: unauthenticated. */
    readonly keys: SharedArrayBuffer;
    readonly writeBuffer: SharedArrayBuffer;
    readonly messages: MessageMemory;
    readonly writer: SharedArrayBuffer;
    readonly writerBlocks: SharedArrayBuffer;
    /** `CopyState`: what the flush thread says of the send volume to whoever copies it. */
    readonly copy: SharedArrayBuffer;
  };
}

export function allocate(): ThreadContext['memory'] {
  return {
    state: new SharedArrayBuffer(sharedStateBytes()),
    keys: new SharedArrayBuffer(sharedKeysBytes),
    writeBuffer: new SharedArrayBuffer(writeBufferBytes),
    messages: allocateMessages(),
    writer: new SharedArrayBuffer(WRITER_WORDS * 8),
    writerBlocks: alignedMemory(SlotWriter.memoryBytes),
    copy: new SharedArrayBuffer(copyStateBytes),
  };
}

export const allocateInbound = (): SharedArrayBuffer => new SharedArrayBuffer(ringBytes(INBOUND_BYTES));

export const sharedState = (context: ThreadContext): SharedState => new SharedState(context.memory.state);

export const writeBuffer = (context: ThreadContext, state: SharedState): WriteBuffer =>
  new WriteBuffer(context.memory.writeBuffer, state, context.settings.storage.flush.thresholdBytes);

export const inboundRing = (receive: ReceiveFacts): Ring => new Ring(receive.inbound, 0, INBOUND_BYTES);

/** What flush thread and simulator make of a plan for the flush loop. */
export function flushSettings({ settings, send, seats, receive }: ThreadContext): FlushSettings {
  const { flush, beaconMs, maxAgeMs, limits } = settings.storage;
  const { deadlineMs } = flush;
  const readers = new Map(receive.flatMap(({ reader, peers }) => peers.map(({ seat }) => [seat, reader])));
  const peers = seats.map(({ seat, tenant }) => ({ seat, tenant, reader: readers.get(seat) ?? 0 }));
  return { deadlineMs, beaconMs, maxAgeMs, slotBytes: send.slotBytes, limits, peers };
}

/**
 * The newest plan that main has sent to this thread and that it has not taken over; null when there is none. `known`: the
 * number of the one that it has.
 */
export function newerPlan(port: MessagePort | null, words: Int32Array, known: number): Plan | null {
  if (port === null || Atomics.load(words, AGENT.plan) === known) return null;
  let newest: Plan | null = null;
  for (let got = receiveMessageOnPort(port); got; got = receiveMessageOnPort(port)) {
    const { plan } = got.message as { plan?: Plan };
    if (plan && plan.number > known) newest = plan;
  }
  return newest;
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
