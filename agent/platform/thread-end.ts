/**
 * How a thread ends that waits for messages: by itself, when it is told. One that is terminated from outside in the middle of a
 * foreign call (while it loads the library, say) takes the whole process with it.
 */
import type { Worker } from 'node:worker_threads';

export const END_WORD = 'end';

/** For a thread that is not known to hang: it may not even have begun, on a machine with much other work. */
export const END_MS_MAX = 10_000;

/** Resolves when it has ended, or does not within the bound. */
export async function endThread(
  thread: Pick<Worker, 'once' | 'postMessage'>,
  boundMs: number = END_MS_MAX,
): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const exit = new Promise<void>((resolve) => thread.once('exit', () => resolve()));
  thread.postMessage(END_WORD);
  await Promise.race([exit, new Promise<void>((resolve) => (timer = setTimeout(resolve, boundMs)))]);
  clearTimeout(timer);
}
