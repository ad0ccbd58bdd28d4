/** A recorder's thread: one recording, and connections that are brought to it. It may hang in its storage; nobody waits for it. */
import { parentPort, workerData } from 'node:worker_threads';
import { AgentError } from '../../base/errors.ts';
import { END_WORD } from '../../platform/thread-end.ts';
import { Recorder } from '../recorder/recorder.ts';
import { checkFolder } from './folder.ts';
import { portSocket } from './port-socket.ts';
import type { PruneWish, RecorderContext, RecorderWish, RecorderWord, RecordingStatus } from './recorder-context.ts';

const STATUS_MS = 250;

const context = workerData as RecorderContext;
const say = (word: RecorderWord): void => parentPort?.postMessage(word);
let recorder: Recorder | null = null;
let told = '';

function tellStatus(): void {
  const [status = null] = (recorder?.status()['monitors'] ?? []) as RecordingStatus[];
  const text = JSON.stringify(status);
  if (text === told) return;
  told = text;
  say({ status });
}

async function prune({ prune: pruned, beforeUs, bytes }: PruneWish): Promise<void> {
  try {
    const [answer = null] = (await recorder?.prune(null, beforeUs, bytes)) ?? [];
    say({ pruned, answer, why: null });
  } catch (error) {
    say({ pruned, answer: null, why: (error as Error).message });
  }
}

async function open(): Promise<void> {
  const { folder, monitor, retention } = context;
  let isOurs = false;
  try {
    checkFolder(context);
    isOurs = true;
    recorder = await Recorder.open({
      name: monitor,
      keys: () => [],
      listen: null,
      store: folder,
      only: monitor,
      retention,
      logFolder: null,
      log: (line, isGood) => say({ log: line, isGood: isGood === true }),
    });
  } catch (error) {
    const why = (error as Error).message;
    // The thread ends with its port.
    const isRefused = error instanceof AgentError && (!isOurs || error.reason === 'taken');
    say({ isOpen: false, why, isRefused });
    parentPort?.close();
    return;
  }
  setInterval(tellStatus, STATUS_MS);
  say({ isOpen: true });
}

/** What came while it was opened waits for that. */
const opened = open();

parentPort?.on('message', (wish: RecorderWish | typeof END_WORD) => {
  void opened.then(async () => {
    if (wish === END_WORD) {
      await recorder?.close();
      process.exit();
    } else if ('port' in wish) recorder?.connected(portSocket(wish.port));
    else await prune(wish);
  });
});
