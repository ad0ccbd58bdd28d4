/**
 * The copying thread of `copy: local`: sleeps until the flush thread has written, copies, sleeps. While it hangs in the
 * volume that it copies to, nobody waits for it.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { BlockDevice } from '../platform/block-device.ts';
import { systemClock } from '../platform/clock.ts';
import { alignedMemory } from '../platform/memory.ts';
import { tuneThread } from '../platform/native.ts';
import { CopyState } from '../queue/copy-state.ts';
import { slotGeometry, THREAD_NICE, type VolumeFacts } from '../threads.ts';
import { LOCAL_COPY_BYTES, LocalCopy } from './local-copy.ts';
import { openTarget, type SentVolume } from './local-target.ts';

export interface CopierData {
  readonly send: VolumeFacts;
  readonly sent: SentVolume;
  readonly target: string;
  readonly memory: SharedArrayBuffer;
}

/** What is left at the end is copied, if the volume answers. */
const LAST_MS_MAX = 1000;

function run({ send, sent, target: path, memory }: CopierData): void {
  tuneThread('sb-copy', THREAD_NICE);
  const state = new CopyState(memory);
  const geometry = slotGeometry(send, send.ownTenant);
  const target = openTarget(path, sent, geometry);
  const source = BlockDevice.open(send.path, { readOnly: true });
  const copy = new LocalCopy({
    source,
    target,
    geometry,
    tenant: send.ownTenant,
    clusterUuid: send.clusterUuid,
    state,
    memory: new Uint8Array(alignedMemory(LOCAL_COPY_BYTES)),
    now: () => systemClock.monotonicMs(),
  });
  parentPort?.postMessage('ready');
  let endMs = Infinity;
  while (systemClock.monotonicMs() < endMs) {
    const seen = state.bell;
    const sleepMs = copy.step();
    if (state.isStopping) {
      if (copy.isDone) break;
      endMs = Math.min(endMs, systemClock.monotonicMs() + LAST_MS_MAX);
    }
    if (sleepMs > 0) state.sleep(seen, state.isStopping ? Math.min(sleepMs, 10) : sleepMs);
  }
  source.close();
  target.close();
}

run(workerData as CopierData);
