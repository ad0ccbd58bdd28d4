/** The reader thread: polls one receive volume and sleeps in between. One for each volume; hung storage stops only it. */
import { parentPort, workerData } from 'node:worker_threads';
import { sameBytes } from '../base/bytes.ts';
import { BlockDevice } from '../platform/block-device.ts';
import { MessageOutlet } from '../messages/memory.ts';
import { systemClock } from '../platform/clock.ts';
import { alignedMemory } from '../platform/memory.ts';
import { sys, tuneThread } from '../platform/native.ts';
import { copyMs } from '../settings/settings.ts';
import type { Ring } from '../queue/ring.ts';
import { HEAD_RECORD, inboundWord } from '../queue/inbound.ts';
import { READER, READER_TIME } from '../queue/reader-words.ts';
import { AGENT, PEER } from '../queue/shared-state.ts';
import type { Head } from '../volume/head.ts';
import { READER_MEMORY_BYTES } from '../volume/slot-reader.ts';
import { keyId } from '../wire/keys.ts';
import { isProgramFrame } from '../wire/program-message.ts';
import {
  clusterKeys,
  inboundRing,
  newerPlan,
  sharedState,
  THREAD_NICE,
  volumeSeals,
  type Plan,
  type ReceiveFacts,
  type ThreadContext,
} from '../threads.ts';
import { HELLO_FLAG } from '../wire/message.ts';
import { ReaderLoop, type ReaderPeer, type ReaderSettings } from './reader-loop.ts';

export interface ReaderData extends ThreadContext {
  /** Which reader this is. */
  readonly reader: number;
  /** The switch thread's TUN descriptor: frames in their turn go straight in. */
  readonly tunFd: number;
}

let context = workerData as ReaderData;
const PATIENCE_MS = 500;
const SLEEP_MS_MAX = 100;
/** A busy switch thread takes a round to do it. */
const BYPASS_WAIT_MS = 5;

/** What this reader has to read; undefined when the plan has no such reader any more. */
const receiveOf = (plan: Plan): ReceiveFacts | undefined =>
  plan.receive.find(({ reader }) => reader === context.reader);

function settingsOf({ reader, volume, peers }: ReceiveFacts): ReaderSettings {
  const { pollMs, maxAgeMs } = context.settings.storage;
  const { incarnation: ownIncarnation, beganMs } = context;
  // A copy may show a head block before what it names, until it is made.
  const patienceMs = PATIENCE_MS + copyMs(context.settings);
  return { ...volume, reader, pace: pollMs, maxAgeMs, ownIncarnation, beganMs, peers, patienceMs };
}

function open(receive: ReceiveFacts, disk: BlockDevice): ReaderLoop {
  const { volume } = receive;
  const inbound = inboundRing(receive);
  const keys = clusterKeys(context);
  const programs = new MessageOutlet(receive.messages, context.memory.messages.words);
  const one = new Uint8Array(new BigUint64Array([1n]).buffer);
  const { tunFd, bellFd } = context;
  return new ReaderLoop(
    disk,
    sharedState(context),
    settingsOf(receive),
    inbound,
    volumeSeals(keys, volume.clusterUuid),
    {
      deliver: (frame, bornMs) =>
        isProgramFrame(frame)
          ? programs.deliver(frame, bornMs)
          : sys.write(tunFd, frame, frame.length) === frame.length,
      head: (peer, head, block) => {
        passHead(inbound, peer, block);
        sys.write(bellFd, one, 8);
        waitForBypass(peer, head, volume.ownTenant);
      },
      knowsKey: (id) => keys === null || keys.read().some((key) => sameBytes(keyId(key), 0, id, 0, id.length)),
      bell: () => void sys.write(bellFd, one, 8),
    },
    new Uint8Array(alignedMemory(ReaderLoop.memoryBytes(volume.slotCount, READER_MEMORY_BYTES))),
    () => systemClock.monotonicMs(),
  );
}

/** A head block goes to the switch thread as it was read and authenticated here. A full ring loses it: the next beacon comes. */
function passHead(inbound: Ring, { seat, since }: ReaderPeer, block: Uint8Array): void {
  const offset = inbound.reserve(block.length);
  if (offset < 0) return;
  inbound.bytes.set(block, offset);
  inbound.commit(block.length, since, inboundWord(seat, HEAD_RECORD, 0), 0);
}

/**
 * A head that takes the bypass back comes before the packets that now travel by storage. They are held until the switch
 * thread has removed the route: the kernel's answers to them would go the way that is gone, and be missed for a long time.
 */
function waitForBypass({ seat }: ReaderPeer, head: Head, ownTenant: number): void {
  const words = sharedState(context).peers[seat]?.words;
  const entry = head.entries.find(({ peerIndex }) => peerIndex === ownTenant);
  if (!words || !entry || (entry.flags & HELLO_FLAG.bypass) !== 0) return;
  Atomics.wait(words, PEER.bypass, 1, BYPASS_WAIT_MS);
}

/** Takes over a plan that has come; false when this reader is no longer in it. */
function takeOver(loop: ReaderLoop, words: Int32Array): boolean {
  const plan = newerPlan(parentPort, words, context.number);
  if (!plan) return true;
  context = { ...context, ...plan };
  const receive = receiveOf(plan);
  if (receive) loop.apply(settingsOf(receive));
  return receive !== undefined;
}

function run(): void {
  tuneThread('sb-reader', THREAD_NICE);
  const state = sharedState(context);
  const { words } = state;
  const receive = receiveOf(context);
  if (!receive) throw new Error('no such receive volume');
  const { words: own, times } = state.reader(context.reader);
  // Storage that hangs may do so here already; the first read ends it.
  times[READER_TIME.beganMs] = systemClock.monotonicMs();
  const disk = BlockDevice.open(receive.volume.path, { readOnly: true });
  const loop = open(receive, disk);
  for (let isWanted = true; isWanted && !state.stopping;) {
    const seen = Atomics.load(words, AGENT.readerWake);
    isWanted = takeOver(loop, words);
    if (!isWanted) loop.close();
    // Said last: from then on the number may be another reader's.
    Atomics.store(own, READER.plan, context.number);
    if (!isWanted) break;
    const sleepMs = Math.min(SLEEP_MS_MAX, loop.step());
    if (sleepMs > 0) Atomics.wait(words, AGENT.readerWake, seen, sleepMs);
  }
  // A descriptor outlives its thread.
  disk.close();
  parentPort?.postMessage('closed');
}

run();
