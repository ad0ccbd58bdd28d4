/**
 * The internal thread: sleeps in Atomics.wait on the write buffer, wakes, writes, sleeps (AG4). It blocks on purpose and
 * has no timers or promises of its own; while it blocks in a write nobody else waits for it.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { ipBytes } from '../../vnic/ip-address.ts';
import { BlockDevice } from '../platform/block-device.ts';
import { systemClock } from '../platform/clock.ts';
import { sys, tuneThread } from '../platform/native.ts';
import { AGENT, type SharedState } from '../queue/shared-state.ts';
import type { WriteBuffer } from '../queue/write-buffer.ts';
import { SlotWriter } from '../volume/slot-writer.ts';
import {
  clusterKeys,
  flushSettings,
  newerPlan,
  sharedState,
  slotGeometry,
  THREAD_NICE,
  volumeSeals,
  writeBuffer,
  type ThreadContext,
} from '../threads.ts';
import { FlushLoop } from './flush-loop.ts';

let context = workerData as ThreadContext;
/** Never without a timeout: a wake-up that was missed costs this long, not for ever. */
const SLEEP_MS_MAX = 250;

function open(state: SharedState, buffer: WriteBuffer, disk: BlockDevice): FlushLoop {
  const { settings, send, memory } = context;
  const geometry = slotGeometry(send, send.ownTenant);
  const keys = clusterKeys(context);
  const identity = {
    nodeIndex: send.ownTenant,
    clusterUuid: send.clusterUuid,
    incarnation: context.incarnation,
    hostId: context.hostId,
    pid: process.pid,
    sealed: keys !== null,
    addresses: settings.vnic.addresses.map(({ address }) => ipBytes(address)),
  };
  const blocks = new Uint8Array(memory.writerBlocks);
  const seals = volumeSeals(keys, send.clusterUuid);
  const writer = new SlotWriter(disk, geometry, identity, seals, new Float64Array(memory.writer), blocks);
  writer.resume(blocks.subarray(0, blocks.length - 4096));
  const loop = new FlushLoop(writer, buffer, state, flushSettings(context), () => {
    const nowMs = systemClock.monotonicMs();
    return { nowMs, monotonicUs: Math.round(nowMs * 1000), wallUs: Math.round(systemClock.wallMs() * 1000) };
  });
  const one = new Uint8Array(new BigUint64Array([1n]).buffer);
  loop.onRoom = () => void sys.write(context.bellFd, one, 8);
  return loop;
}

function run(): void {
  tuneThread('sb-flush', THREAD_NICE);
  const state = sharedState(context);
  const { words } = state;
  const buffer = writeBuffer(context, state);
  const disk = BlockDevice.open(context.send.path);
  const loop = open(state, buffer, disk);
  Atomics.store(words, AGENT.flushPlan, context.number);
  while (!state.stopping) {
    const seen = Atomics.load(words, AGENT.flushWake);
    const plan = newerPlan(parentPort, words, context.number);
    if (plan) {
      context = { ...context, ...plan };
      buffer.thresholdBytes = context.settings.storage.flush.thresholdBytes;
      loop.apply(flushSettings(context));
      Atomics.store(words, AGENT.flushPlan, plan.number);
    }
    const sleepMs = Math.min(SLEEP_MS_MAX, loop.step());
    if (sleepMs > 0) Atomics.wait(words, AGENT.flushWake, seen, sleepMs);
  }
  loop.close();
  disk.close();
}

run();
