/**
 * Puts together frames that come in pieces: what arrived of one repetition is kept for the next, so that a frame of many
 * datagrams gets through a network that loses some of each repetition. Bounded: the frame that was touched longest ago goes.
 */
import { PIECE_BYTES_MAX, PIECE_HEADER_BYTES, readPiece, type Piece } from '../wire/message.ts';

/** As many frames at once as a request to send again is likely to bring in one go, and no more memory than that. */
const FRAMES_MAX = 64;
/** The longest frame of the interface, with room for its header. */
const FRAME_BYTES_MAX = 66_000;

interface Assembly {
  readonly bytes: Uint8Array;
  readonly has: Uint8Array;
  missing: number;
}

export class FramePieces {
  /** In the order in which they were touched. */
  readonly #assemblies = new Map<string, Assembly>();

  /** Takes a message of kind `piece`; calls `complete` when its frame is whole. */
  take(message: Uint8Array, complete: (piece: Piece, frame: Uint8Array) => void): void {
    const piece = readPiece(message);
    if (!piece || piece.frameBytes > FRAME_BYTES_MAX) return;
    const key = `${piece.lane} ${piece.sequence} ${piece.frameBytes}`;
    const assembly = this.#assemblies.get(key) ?? begin(piece.frameBytes);
    this.#assemblies.delete(key);
    this.#assemblies.set(key, assembly);
    this.#forgetOldest();
    const index = piece.offset / PIECE_BYTES_MAX;
    if (assembly.has[index] === 1) return;
    assembly.has[index] = 1;
    assembly.missing--;
    assembly.bytes.set(message.subarray(PIECE_HEADER_BYTES), piece.offset);
    if (assembly.missing > 0) return;
    this.#assemblies.delete(key);
    complete(piece, assembly.bytes);
  }

  /** Another incarnation of the peer: its numbers mean other frames. */
  clear(): void {
    this.#assemblies.clear();
  }

  #forgetOldest(): void {
    if (this.#assemblies.size <= FRAMES_MAX) return;
    for (const key of this.#assemblies.keys()) {
      this.#assemblies.delete(key);
      return;
    }
  }
}

function begin(frameBytes: number): Assembly {
  const count = Math.ceil(frameBytes / PIECE_BYTES_MAX);
  return { bytes: new Uint8Array(frameBytes), has: new Uint8Array(count), missing: count };
}
