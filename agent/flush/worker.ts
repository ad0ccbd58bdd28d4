/**
 * The internal thread: sleeps in Atomics.wait on the write buffer, wakes, writes, sleeps (AG4). It blocks on purpose and
 * has no timers or promises of its own; while it blocks in a write nobody else waits for it.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { BlockDevice } from '../platform/block-device.ts';
import { systemClock, timesOf } from '../platform/clock.ts';
import { sys, tuneThread } from '../platform/native.ts';
import { CopyState } from '../queue/copy-state.ts';
import { AGENT, type SharedState } from '../queue/shared-state.ts';
import type { WriteBuffer } from '../queue/write-buffer.ts';
import { flushSettings, newerPlan, sharedState, THREAD_NICE, writeBuffer, type ThreadContext } from '../threads.ts';
import type { Disk } from '../volume/disk.ts';
import { FlushLoop } from './flush-loop.ts';
import { MirroredDisk, type MirrorWrite } from './mirrored-disk.ts';
import { slotWriter } from './wiring.ts';

let context = workerData as ThreadContext;
/** Never without a timeout: a wake-up that was missed costs this long, not for ever. */
const SLEEP_MS_MAX = 250;

/** With a mirror the volume is written by it alone: its journal comes first. */
function sendDisk(disk: BlockDevice, state: SharedState): Disk {
  if (context.settings.storage.copy !== 'mirror') return disk;
  const copy = new CopyState(context.memory.copy);
  const send = (mirrorWrite: MirrorWrite): void => parentPort?.postMessage({ mirrorWrite });
  return new MirroredDisk(disk, copy, send, () => state.stopping);
}

function open(state: SharedState, buffer: WriteBuffer, disk: Disk): FlushLoop {
  const blocks = new Uint8Array(context.memory.writerBlocks);
  const writer = slotWriter(context, disk, blocks, process.pid);
  writer.resume(blocks.subarray(0, blocks.length - 4096));
  const loop = new FlushLoop(writer, buffer, state, flushSettings(context), () => timesOf(systemClock));
  const one = new Uint8Array(new BigUint64Array([1n]).buffer);
  const copy = new CopyState(context.memory.copy);
  loop.onWritten = (position, isHead) => copy.wrote(position, isHead);
  loop.onRoom = () => void sys.write(context.bellFd, one, 8);
  return loop;
}

function run(): void {
  tuneThread('sb-flush', THREAD_NICE);
  const state = sharedState(context);
  const { words } = state;
  const buffer = writeBuffer(context, state);
  const disk = BlockDevice.open(context.send.path);
  const loop = open(state, buffer, sendDisk(disk, state));
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
