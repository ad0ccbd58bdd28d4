/** A scan thread: reads what it is told to and answers digests. Other programs go first, unless it is awaited; it does one thing at a time. */
import { parentPort, workerData } from 'node:worker_threads';
import { tuneMeekThread, tuneOrdinaryThread } from '../../platform/native.ts';
import { END_WORD } from '../../platform/thread-end.ts';
import { VolumeDigests } from '../scan/volume-digests.ts';
import type { ScanContext, ScanWord, ScanWish } from './scan-context.ts';
import { FileDevice } from './file-device.ts';

const { volumes, isAwaited } = workerData as ScanContext;
const devices: (FileDevice | undefined)[] = [];
const made = new VolumeDigests();

function answer({ id, volume, wish }: ScanWish): ScanWord {
  const facts = volumes[volume];
  if (!facts) throw new Error(`no volume ${volume}`);
  const device = devices[volume] ?? FileDevice.open(facts.path);
  if (typeof device === 'number') return { id, errno: -device, digests: new Uint8Array(0) };
  devices[volume] = device;
  const digests = made.make(device, volume, facts.bytes, wish);
  if (typeof digests !== 'number') return { id, errno: 0, digests };
  // One that failed may be another device by now.
  device.close();
  devices[volume] = undefined;
  return { id, errno: -digests, digests: new Uint8Array(0) };
}

(isAwaited === true ? tuneOrdinaryThread : tuneMeekThread)('sb-scan');
parentPort?.on('message', (wishes: readonly ScanWish[] | typeof END_WORD) => {
  if (wishes === END_WORD) process.exit();
  const words = wishes.map(answer);
  parentPort?.postMessage(
    words,
    words.map(({ digests }) => digests.buffer as ArrayBuffer),
  );
});
