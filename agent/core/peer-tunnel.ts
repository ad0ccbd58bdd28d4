/**
 * The messages to and from one peer over the network: hellos, frames, what is asked for again, and pieces of long frames.
 * Knows no judgement: whether the peer is believed, and when a word is due, is the link's to say.
 */
import { BULK, DATA } from '../base/packet-type.ts';
import {
  AGAIN_MAX,
  HELLO_BYTES,
  KIND,
  PREFIX_BYTES,
  writeAgain,
  writeHello,
  type Hello,
  type Prefix,
} from '../wire/message.ts';
import { walkRecords } from '../wire/record.ts';
import type { TunnelReceiver, TunnelSender } from '../wire/tunnel.ts';
import { FrameMessages } from './frame-messages.ts';
import { FramePieces } from './frame-pieces.ts';
import type { IncomingLanes } from './incoming-lanes.ts';

/** A word is sent after this many bytes received without one, so that the sender may forget them. */
const CONFIRM_EVERY_BYTES = 256 * 1024;
const AGAIN_EVERY_MS = 5;

/** Gets a frame out of a message; valid during the call only. `ageMs`: its age when the message left. */
export type FrameSink = (type: number, sequence: number, frame: Uint8Array, ageMs: number) => void;

export class PeerTunnel {
  readonly receiver: TunnelReceiver;
  readonly #sender: TunnelSender;
  readonly #prefix: (nowMs: number) => Prefix;
  readonly #messages: FrameMessages;
  readonly #pieces = new FramePieces();
  readonly #helloBytes = new Uint8Array(HELLO_BYTES);
  #unconfirmedBytes = 0;
  #againMs = -Infinity;

  /** `prefix`: what stands before every message but hellos, which bring their own. */
  constructor(sender: TunnelSender, receiver: TunnelReceiver, prefix: (nowMs: number) => Prefix) {
    this.#sender = sender;
    this.receiver = receiver;
    this.#prefix = prefix;
    this.#messages = new FrameMessages(sender, prefix);
  }

  /** The socket had no room; nothing is put in until it has. */
  get isBlocked(): boolean {
    return this.#messages.isBlocked;
  }

  unblock(): void {
    this.#messages.isBlocked = false;
  }

  /** So much came in without a word of ours that the peer should be told. */
  get owesWord(): boolean {
    return this.#unconfirmedBytes > CONFIRM_EVERY_BYTES;
  }

  sendHello(hello: Hello): void {
    this.#unconfirmedBytes = 0;
    writeHello(this.#helloBytes, hello);
    this.#sender.send(this.#helloBytes, HELLO_BYTES);
  }

  /** Puts a frame into the message that leaves next; false while the socket has no room. */
  add(type: number, sequence: number, frame: Uint8Array, ageMs: number, nowMs: number): boolean {
    return this.#messages.add(type, sequence, frame, ageMs, nowMs);
  }

  /** Sends the message of frames that has been put together. */
  flush(nowMs: number): void {
    if (this.#messages.flush(nowMs)) this.#unconfirmedBytes = 0;
  }

  /** Runs `send` with short messages, and sends them. */
  inSmallMessages(nowMs: number, send: () => void): void {
    this.#messages.inSmallMessages(nowMs, send);
  }

  /** Asks for what is missing below frames that are held, about once a round trip. */
  askAgain(incoming: IncomingLanes, roundTripMs: number, nowMs: number): void {
    if (nowMs - this.#againMs < Math.max(AGAIN_EVERY_MS, roundTripMs)) return;
    for (const type of [DATA, BULK] as const) {
      const missing = incoming.of(type)?.missing(AGAIN_MAX) ?? [];
      if (missing.length === 0) continue;
      this.#againMs = nowMs;
      const bytes = new Uint8Array(PREFIX_BYTES + 4 + missing.length * 4);
      this.#sender.send(bytes, writeAgain(bytes, this.#prefix(nowMs), type, missing));
    }
  }

  /** A message of the accepted incarnation, opened: gives out its frames, and a long one when its last piece is here. */
  takeFrames(kind: number, bytes: Uint8Array, sink: FrameSink): void {
    if (kind === KIND.frames) {
      this.#unconfirmedBytes += bytes.length;
      walkRecords(bytes, PREFIX_BYTES, bytes.length, (header, offset) => {
        sink(header.type, header.sequence, bytes.subarray(offset, offset + header.frameBytes), header.ageMs);
      });
    }
    if (kind === KIND.piece) {
      this.#pieces.take(bytes, (piece, frame) => sink(piece.lane, piece.sequence, frame, piece.ageMs));
    }
  }

  /** Another incarnation of the peer is believed from now on. */
  accept(incarnation: Uint8Array): void {
    this.#pieces.clear();
    this.receiver.accept(incarnation);
  }
}
