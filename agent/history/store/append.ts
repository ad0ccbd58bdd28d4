/** Writing to files of a recording. */
import type { FileHandle } from 'node:fs/promises';
import { AgentError } from '../../base/errors.ts';

export async function writeAll(
  file: FileHandle | null,
  pieces: readonly Uint8Array[],
  position: number,
): Promise<void> {
  let at = position;
  for (const piece of pieces) {
    for (let done = 0; done < piece.length;) {
      const { bytesWritten } = (await file?.write(piece, done, piece.length - done, at + done)) ?? { bytesWritten: 0 };
      if (bytesWritten === 0) throw new AgentError('volume', 'the storage takes nothing');
      done += bytesWritten;
    }
    at += piece.length;
  }
}
