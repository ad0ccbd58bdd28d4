/** The volume thread: sleeps on its bell, applies entries, sleeps. It blocks on purpose, in its volumes alone. */
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { systemClock } from '../../platform/clock.ts';
import { JOURNAL_WORD, JournalMemory } from '../store/journal-memory.ts';
import { teller, type VolumeContext, type VolumeWord } from './context.ts';
import { FileDevice } from './file-device.ts';
import { VolumeLoop, type Image } from './volume-loop.ts';

const ESTALE = 116;
const { shared, journalPath, volumes, start } = workerData as VolumeContext;

/** A volume that became smaller is not the one that it was. */
function openVolume(volume: number): FileDevice | number {
  const facts = volumes[volume];
  if (!facts) return -ESTALE;
  const device = FileDevice.open(facts.path);
  if (typeof device === 'number' || device.bytes >= facts.bytes) return device;
  device.close();
  return -ESTALE;
}

function commands(): VolumeWord[] {
  const found: VolumeWord[] = [];
  if (!parentPort) return found;
  for (let got = receiveMessageOnPort(parentPort); got; got = receiveMessageOnPort(parentPort)) {
    found.push(got.message as VolumeWord);
  }
  return found;
}

function run(): void {
  const memory = new JournalMemory(shared);
  const loop = new VolumeLoop(memory, start, {
    open: openVolume,
    openJournal: () => FileDevice.open(journalPath),
    commands,
    image: (image: Image) => parentPort?.postMessage(image, [image.bytes.buffer as ArrayBuffer]),
    nowMs: () => systemClock.monotonicMs(),
    tell: teller(memory, (word) => parentPort?.postMessage(word)),
  });
  while (memory.get(JOURNAL_WORD.stop) === 0) {
    const heard = memory.get(JOURNAL_WORD.volumeBell);
    const sleepMs = loop.step();
    if (sleepMs > 0) Atomics.wait(memory.words, JOURNAL_WORD.volumeBell, heard, sleepMs);
  }
  loop.close();
}

run();
