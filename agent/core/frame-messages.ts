/**
 * Puts frames together into tunnel messages to one peer: many small ones into one, a super-packet into its own. What a
 * full socket refuses is lost; the peer asks for it again.
 */
import { dataView } from '../base/bytes.ts';
import {
  KIND,
  PIECE_BYTES_MAX,
  PIECE_HEADER_BYTES,
  PREFIX_BYTES,
  writePiece,
  writePrefix,
  type Prefix,
} from '../wire/message.ts';
import { emptyRecordHeader, RECORD_HEADER_BYTES, recordBytes, writeRecordHeader } from '../wire/record.ts';
import { MESSAGE_BYTES_MAX, type TunnelSender } from '../wire/tunnel.ts';

/** Small frames share a message up to this size. */
const MESSAGE_BYTES_WANTED = 60_000;
/** What was lost goes again in messages of a datagram or two, a long frame in pieces: it would be lost again with any one. */
const RESENT_BYTES_WANTED = 1400;

export class FrameMessages {
  readonly #sender: TunnelSender;
  readonly #prefix: (nowMs: number) => Prefix;
  readonly #message = new Uint8Array(MESSAGE_BYTES_MAX);
  readonly #view = dataView(this.#message);
  readonly #record = emptyRecordHeader();
  #end = 0;
  #wanted = MESSAGE_BYTES_WANTED;
  /** The socket had no room; nothing is put in until it has. */
  isBlocked = false;

  constructor(sender: TunnelSender, prefix: (nowMs: number) => Prefix) {
    this.#sender = sender;
    this.#prefix = prefix;
  }

  /** Adds a frame; false while the socket has no room. */
  add(type: number, sequence: number, frame: Uint8Array, ageMs: number, nowMs: number): boolean {
    const size = recordBytes(frame.length);
    if (this.#end > 0 && this.#end + size > this.#wanted) this.flush(nowMs);
    if (this.isBlocked) return false;
    if (this.#wanted === RESENT_BYTES_WANTED && size > this.#wanted) {
      this.#sendPieces(type, sequence, frame, ageMs, nowMs);
      return true;
    }
    if (this.#end === 0) this.#end = PREFIX_BYTES;
    const record = this.#record;
    record.frameBytes = frame.length;
    record.type = type;
    record.sequence = sequence;
    record.ageMs = ageMs;
    writeRecordHeader(this.#view, this.#end, record);
    this.#message.set(frame, this.#end + RECORD_HEADER_BYTES);
    this.#end += size;
    return true;
  }

  #sendPieces(lane: number, sequence: number, frame: Uint8Array, ageMs: number, nowMs: number): void {
    const prefix = { ...this.#prefix(nowMs), kind: KIND.piece };
    for (let offset = 0; offset < frame.length; offset += PIECE_BYTES_MAX) {
      const bytes = frame.subarray(offset, offset + PIECE_BYTES_MAX);
      writePiece(this.#view, prefix, { lane, sequence, frameBytes: frame.length, offset, ageMs });
      this.#message.set(bytes, PIECE_HEADER_BYTES);
      if (this.#sender.send(this.#message, PIECE_HEADER_BYTES + bytes.length)) continue;
      this.isBlocked = true;
      return;
    }
  }

  /** Sends what has been put together; true when there was something. */
  flush(nowMs: number): boolean {
    const end = this.#end;
    if (end === 0) return false;
    this.#end = 0;
    writePrefix(this.#view, this.#prefix(nowMs));
    if (!this.#sender.send(this.#message, end)) this.isBlocked = true;
    return true;
  }

  /** Runs `send` with short messages, and sends them. */
  inSmallMessages(nowMs: number, send: () => void): void {
    this.flush(nowMs);
    this.#wanted = RESENT_BYTES_WANTED;
    send();
    this.flush(nowMs);
    this.#wanted = MESSAGE_BYTES_WANTED;
  }
}
