/** `stillbeat history serve` as a process of its own, and the first thing that is read of it. */
import { CLI_PATH } from '../demo/lab.ts';
import { systemClock } from '../platform/clock.ts';
import { BenchProcess } from './bench-process.ts';
import { VOLUME_NAME } from './made-recording.ts';
import { NbdReader } from './nbd-reader.ts';

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
    const reader = await NbdReader.open(socket, VOLUME_NAME);
    if (!reader) return false;
    content = await reader.read(first.offset, first.length);
    firstMs = systemClock.monotonicMs() - beganMs;
    reader.close();
    return true;
  });
  const uri = `nbd+unix:///${VOLUME_NAME}?socket=${socket}`;
  return { child, uri, firstMs, first: content ?? Buffer.alloc(0), socket };
}
