/** A part of a payload that lies in chunks, without a copy. */
export function pieceOf(chunks: readonly Uint8Array[], from: number, length: number): readonly Uint8Array[] {
  const end = from + length;
  const piece: Uint8Array[] = [];
  let at = 0;
  for (const chunk of chunks) {
    const begin = Math.max(from - at, 0);
    const stop = Math.min(end - at, chunk.length);
    if (begin < stop) piece.push(chunk.subarray(begin, stop));
    at += chunk.length;
  }
  return piece;
}
