/** Writing to files of a recording. */
import type { FileHandle } from 'node:fs/promises';
import { AgentError } from '../../base/errors.ts';

/** One behind the other. */
export async function writeAll(
  file: FileHandle | null,
  pieces: readonly Uint8Array[],
  position: number,
): Promise<void> {
  let left = pieces.filter(({ length }) => length > 0);
  for (let at = position; left.length > 0;) {
    const { bytesWritten } = (await file?.writev(left, at)) ?? { bytesWritten: 0 };
    if (bytesWritten === 0) throw new AgentError('volume', 'the storage takes nothing');
    at += bytesWritten;
    left = without(left, bytesWritten);
  }
}

function without(pieces: readonly Uint8Array[], bytes: number): Uint8Array[] {
  let skipped = bytes;
  return pieces.flatMap((piece) => {
    const rest = piece.subarray(Math.min(skipped, piece.length));
    skipped -= piece.length - rest.length;
    return rest.length > 0 ? [rest] : [];
  });
}
