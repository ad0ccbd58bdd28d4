/** The reader thread: polls one receive volume and sleeps in between. One for each volume; hung storage stops only it. */
import { parentPort, workerData } from 'node:worker_threads';
import { BlockDevice } from '../platform/block-device.ts';
import { systemClock } from '../platform/clock.ts';
import { alignedMemory } from '../platform/memory.ts';
import { sys, tuneThread } from '../platform/native.ts';
import type { Ring } from '../queue/ring.ts';
import { HEAD_RECORD, inboundWord } from '../queue/inbound.ts';
import { AGENT } from '../queue/shared-state.ts';
import { READER_MEMORY_BYTES } from '../volume/slot-reader.ts';
import { inboundRing, sharedState, THREAD_NICE, volumeSeals, type ThreadContext } from '../threads.ts';
import { ReaderLoop } from './reader-loop.ts';

export interface ReaderData extends ThreadContext {
  readonly receiveIndex: number;
  /** The switch thread's TUN descriptor: frames in their turn go straight in. */
  readonly tunFd: number;
}

const context = workerData as ReaderData;
const PATIENCE_MS = 500;
const SLEEP_MS_MAX = 100;

function open(): ReaderLoop {
  const { settings, receiveIndex } = context;
  const receive = context.receive[receiveIndex];
  if (!receive) throw new Error('no such receive volume');
  const { volume } = receive;
  const inbound = inboundRing(context, receiveIndex);
  const one = new Uint8Array(new BigUint64Array([1n]).buffer);
  return new ReaderLoop(
    BlockDevice.open(volume.path, { readOnly: true }),
    sharedState(context),
    {
      pace: settings.storage.pollMs,
      maxAgeMs: settings.storage.maxAgeMs,
      clusterUuid: volume.clusterUuid,
      ownTenant: volume.ownTenant,
      ownIncarnation: context.incarnation,
      slotCount: volume.slotCount,
      slotBytes: volume.slotBytes,
      slotsOffset: volume.slotsOffset,
      peers: receive.peers,
      patienceMs: PATIENCE_MS,
    },
    inbound,
    volumeSeals(context.clusterKey, volume.clusterUuid),
    {
      deliver: (frame) => sys.write(context.tunFd, frame, frame.length) === frame.length,
      head: (peer, _head, block) => passHead(inbound, peer, block),
      bell: () => void sys.write(context.bellFd, one, 8),
    },
    new Uint8Array(alignedMemory(ReaderLoop.memoryBytes(volume.slotCount, READER_MEMORY_BYTES))),
    () => systemClock.monotonicMs(),
  );
}

/** A head block goes to the switch thread as it was read and authenticated here. A full ring loses it: the next beacon comes. */
function passHead(inbound: Ring, peer: number, block: Uint8Array): void {
  const offset = inbound.reserve(block.length);
  if (offset < 0) return;
  inbound.bytes.set(block, offset);
  inbound.commit(block.length, 0, inboundWord(peer, HEAD_RECORD, 0), 0);
}

function run(): void {
  tuneThread('sb-reader', THREAD_NICE);
  const state = sharedState(context);
  const { words } = state;
  const loop = open();
  while (!state.stopping) {
    const seen = Atomics.load(words, AGENT.readerWake);
    const sleepMs = Math.min(SLEEP_MS_MAX, loop.step());
    if (sleepMs > 0) Atomics.wait(words, AGENT.readerWake, seen, sleepMs);
  }
  parentPort?.postMessage('closed');
}

run();
