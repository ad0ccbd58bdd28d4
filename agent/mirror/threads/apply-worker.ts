/** The apply thread: takes a list, applies it piece by piece, waits. It blocks on purpose, in its volumes alone. */
import { parentPort, workerData } from 'node:worker_threads';
import { systemClock } from '../../platform/clock.ts';
import { END_WORD } from '../../platform/thread-end.ts';
import type { ApplyContext } from './apply-context.ts';
import { ApplyLoop, type ApplyCommand, type ImageWrite } from './apply-loop.ts';
import { FileDevice } from './file-device.ts';

const ESTALE = 116;
const { ring, journalPath, volumes } = workerData as ApplyContext;

/** A volume that became smaller is not the one that it was. */
function openVolume(volume: number): FileDevice | number {
  const facts = volumes[volume];
  if (!facts) return -ESTALE;
  const device = FileDevice.open(facts.path);
  if (typeof device === 'number' || device.bytes >= facts.bytes) return device;
  device.close();
  return -ESTALE;
}

const loop = new ApplyLoop({
  ring,
  volumeCount: volumes.length,
  open: openVolume,
  openJournal: () => FileDevice.open(journalPath),
  nowMs: () => systemClock.monotonicMs(),
  tell: (report) => parentPort?.postMessage(report),
});

function pump(): void {
  const sleepMs = loop.step();
  if (sleepMs === 0) setImmediate(pump);
  else if (sleepMs < Infinity) setTimeout(pump, sleepMs);
}

parentPort?.on('message', (command: ApplyCommand | ImageWrite | number | typeof END_WORD) => {
  if (command === END_WORD) process.exit();
  // Whoever wants to know that this thread is not held by its storage.
  if (typeof command === 'number') {
    parentPort?.postMessage(command);
    return;
  }
  if ('image' in command) {
    parentPort?.postMessage(loop.write(command));
    return;
  }
  loop.take(command);
  pump();
});
