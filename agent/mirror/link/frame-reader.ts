/**
 * Cuts what comes on a link into frames. Nothing of a frame is believed before its checksums hold; a body is never larger
 * than FRAME_BYTES_MAX, so a peer cannot make us hold more than that for a connection.
 */
import { crc32 } from '../../base/crc32.ts';
import { decodeFrame, FRAME, hasOwnSums, type Frame, type FrameFault } from '../wire/frame.ts';

const FAULTS: Readonly<Record<FrameFault, string>> = {
  magic: 'what came is no frame',
  checksum: 'the header of a frame is damaged',
  range: 'a frame of a kind or a length that there is not',
};

export class FrameReader {
  readonly #onFrame: (frame: Frame, body: Uint8Array) => void;
  readonly #header = new Uint8Array(FRAME.bytes);
  #headerBytes = 0;
  #frame: Frame | null = null;
  #body: Uint8Array = new Uint8Array(0);
  #bodyBytes = 0;
  #fault: string | null = null;

  /** `onFrame`: the body is the callee's to keep. */
  constructor(onFrame: (frame: Frame, body: Uint8Array) => void) {
    this.#onFrame = onFrame;
  }

  /** Takes what came; answers why the connection has to end, or null. After a fault nothing more is taken. */
  feed(chunk: Uint8Array): string | null {
    let rest = chunk;
    while (rest.length > 0 && this.#fault === null)
      rest = this.#frame === null ? this.#takeHeader(rest) : this.#takeBody(rest);
    return this.#fault;
  }

  #takeHeader(chunk: Uint8Array): Uint8Array {
    const taken = Math.min(FRAME.bytes - this.#headerBytes, chunk.length);
    this.#header.set(chunk.subarray(0, taken), this.#headerBytes);
    this.#headerBytes += taken;
    if (this.#headerBytes < FRAME.bytes) return chunk.subarray(taken);
    this.#headerBytes = 0;
    const decoded = decodeFrame(this.#header, 0);
    if (!decoded.ok) {
      this.#fault = FAULTS[decoded.fault];
      return chunk;
    }
    this.#frame = decoded.frame;
    this.#bodyBytes = 0;
    const { bodyBytes } = decoded.frame;
    const rest = chunk.subarray(taken);
    // Mostly a frame lies in one chunk: then its body is not copied.
    if (rest.length >= bodyBytes) {
      this.#body = rest.subarray(0, bodyBytes);
      this.#bodyBytes = bodyBytes;
      this.#finish();
      return rest.subarray(bodyBytes);
    }
    // Not zeroed: it is filled before anybody sees it.
    this.#body = Buffer.allocUnsafeSlow(bodyBytes);
    return rest;
  }

  #takeBody(chunk: Uint8Array): Uint8Array {
    const taken = Math.min(this.#body.length - this.#bodyBytes, chunk.length);
    this.#body.set(chunk.subarray(0, taken), this.#bodyBytes);
    this.#bodyBytes += taken;
    if (this.#bodyBytes === this.#body.length) this.#finish();
    return chunk.subarray(taken);
  }

  #finish(): void {
    const frame = this.#frame as Frame;
    const body = this.#body;
    this.#frame = null;
    this.#body = new Uint8Array(0);
    if (!hasOwnSums(frame.kind) && crc32(body) !== frame.bodyCrc) this.#fault = 'the body of a frame is damaged';
    else this.#onFrame(frame, body);
  }
}
