/** The journal thread: sleeps on its bell, writes and flushes, sleeps. It blocks on purpose. */
import { parentPort, workerData } from 'node:worker_threads';
import { systemClock } from '../../platform/clock.ts';
import { JOURNAL_WORD, JournalMemory } from '../store/journal-memory.ts';
import { teller, type JournalContext } from './context.ts';
import { FileDevice } from './file-device.ts';
import { JournalLoop } from './journal-loop.ts';

function run(): void {
  const { shared, journalPath, generation, end } = workerData as JournalContext;
  const memory = new JournalMemory(shared);
  const loop = new JournalLoop(memory, end, generation, {
    open: () => FileDevice.open(journalPath),
    nowMs: () => systemClock.monotonicMs(),
    tell: teller(memory, (word) => parentPort?.postMessage(word)),
    more: () => memory.ring(JOURNAL_WORD.volumeBell),
  });
  while (memory.get(JOURNAL_WORD.stop) === 0) {
    const heard = memory.get(JOURNAL_WORD.journalBell);
    const sleepMs = loop.step();
    if (sleepMs > 0) Atomics.wait(memory.words, JOURNAL_WORD.journalBell, heard, sleepMs);
  }
  loop.close();
}

run();
