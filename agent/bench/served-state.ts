/** `stillbeat history serve` as a process of its own, and the first thing that is read of it. */
import { AgentError } from '../base/errors.ts';
import { CLI_PATH } from '../demo/lab.ts';
import { NbdClient } from '../nbd/client.ts';
import { systemClock } from '../platform/clock.ts';
import { BenchProcess } from './bench-process.ts';
import { VOLUME_NAME } from './made-recording.ts';

export interface ServedState {
  readonly child: BenchProcess;
  readonly uri: string;
  /** From the start of the process until the first read was answered. */
  readonly firstMs: number;
  readonly first: Buffer;
  readonly socket: string;
}

/** `first`: the range that is read as soon as anybody answers. */
export async function serveState(
  recording: string,
  time: string,
  socket: string,
  first: { readonly offset: number; readonly length: number },
): Promise<ServedState> {
  let content: Buffer | null = null;
  let firstMs = 0;
  const beganMs = systemClock.monotonicMs();
  const argv = [process.execPath, CLI_PATH, 'history', 'serve', '--at', time, '--store', recording];
  const child = await BenchProcess.start([...argv, '--listen', `unix:${socket}`], async () => {
    const client = await NbdClient.open({ endpoint: { path: socket }, name: VOLUME_NAME }).catch(notYet);
    if (!client) return false;
    content = Buffer.alloc(first.length);
    await client.read(first.offset, content);
    firstMs = systemClock.monotonicMs() - beganMs;
    client.close();
    return true;
  });
  const uri = `nbd+unix:///${VOLUME_NAME}?socket=${socket}`;
  return { child, uri, firstMs, first: content ?? Buffer.alloc(0), socket };
}

/** Nobody listens there yet. */
function notYet(error: unknown): null {
  if (error instanceof AgentError) return null;
  throw error;
}
