/**
 * A command's stdout, that may be a full disk or a pipe whose reader has had enough. Lost output is a failed command, with
 * one line that says so; a reader that left is none, and no trace of Node's either.
 */
import { EXIT } from '../base/errors.ts';

const LOOK_MS = 500;

let failure: NodeJS.ErrnoException | null = null;

/** Called once, before anything is written. */
export function guardOutput(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => (failure ??= error));
  process.stderr.on('error', () => {});
}

/** For a command that writes until it is ended: nobody reads it any more, which shows also while there is nothing to write. */
export function whenOutputFails(stop: () => void): void {
  process.stdout.once('error', stop);
  if (process.stdout.isTTY) return;
  const looking = setInterval(() => {
    // Where that cannot be asked, the next write tells.
    const asked = isReaderGone().catch(() => false);
    void asked.then((isGone) => {
      if (!isGone) return;
      clearInterval(looking);
      stop();
    });
  }, LOOK_MS);
  looking.unref();
}

/** Whether stdout is a pipe or a socket whose other end is closed. */
async function isReaderGone(): Promise<boolean> {
  const { sys, POLL_GONE } = await import('./native.ts');
  const polled = new Uint8Array(8);
  const view = new DataView(polled.buffer);
  view.setInt32(0, 1, true);
  return sys.poll(polled, 1, 0) > 0 && (view.getInt16(6, true) & POLL_GONE) !== 0;
}

/** Waits until everything is written. Gives the exit status, `status` unless output was lost. */
export async function finishOutput(status: number): Promise<number> {
  await new Promise<void>((resolve) => void process.stdout.write('', () => resolve()));
  if (!failure || failure.code === 'EPIPE') return status;
  process.stderr.write(`stillbeat: stdout cannot be written (${failure.code}): check the disk that it leads to\n`);
  return status === EXIT.ok ? EXIT.failed : status;
}
