/**
 * One connection of a session: frames in, frames out. Nothing is kept here for a peer that does not take it: `isFull` says
 * when to stop, and `onDrain` when to go on.
 */
import type { TLSSocket } from 'node:tls';
import { crc32 } from '../../base/crc32.ts';
import type { Pace } from '../core/pace.ts';
import { encodeFrame, FRAME, hasOwnSums, type Frame, type FrameKind } from '../wire/frame.ts';
import { FrameReader } from './frame-reader.ts';

/** More than this is not put into the socket: latency of what comes behind it. */
const UNSENT_BYTES_MAX = 4 * 1024 * 1024;

export interface ConnectionEvents {
  frame(frame: Frame, body: Uint8Array): void;
  /** There is room again after `isFull`. */
  drain(): void;
  /** Once, whoever ended it. */
  closed(reason: string): void;
}

/** A bound on what leaves, and the clock that it is kept by. */
export interface Bound {
  readonly pace: Pace;
  readonly nowMs: () => number;
  /** Gives what takes it back. */
  readonly after: (ms: number, action: () => void) => () => void;
}

/** What of a socket a link needs. */
export type LinkSocket = Pick<
  TLSSocket,
  | 'cork'
  | 'destroy'
  | 'end'
  | 'on'
  | 'once'
  | 'pause'
  | 'remoteAddress'
  | 'remotePort'
  | 'resume'
  | 'setKeepAlive'
  | 'uncork'
  | 'writable'
  | 'writableLength'
  | 'write'
>;

export class LinkConnection {
  readonly #socket: LinkSocket;
  readonly #soon: (action: () => void) => void;
  #isCorked = false;
  #reason = 'the peer closed the link';
  #isClosed = false;
  readonly #bound: Bound | null;
  readonly #drain: () => void;
  #cancelDrain: (() => void) | null = null;

  /**
   * `soon`: calls the action when this turn of the event loop is over. `bound`: on what leaves; `isFull` and `drain` follow it.
   */
  constructor(
    socket: LinkSocket,
    events: ConnectionEvents,
    soon: (action: () => void) => void = setImmediate,
    bound: Bound | null = null,
  ) {
    this.#socket = socket;
    this.#soon = soon;
    this.#bound = bound;
    this.#drain = () => events.drain();
    const reader = new FrameReader((frame, body) => events.frame(frame, body));
    socket.on('data', (chunk: Uint8Array) => {
      const fault = reader.feed(chunk);
      if (fault !== null) this.end(fault);
    });
    socket.on('drain', () => events.drain());
    socket.on('error', (error) => (this.#reason = error.message));
    socket.on('close', () => {
      this.#isClosed = true;
      this.#cancelDrain?.();
      events.closed(this.#reason);
    });
  }

  get isOpen(): boolean {
    return !this.#isClosed && this.#socket.writable;
  }

  get isFull(): boolean {
    return this.#socket.writableLength >= UNSENT_BYTES_MAX || this.#isPaced();
  }

  /** Bytes that the socket has not yet given to the kernel. */
  get unsentBytes(): number {
    return this.#socket.writableLength;
  }

  /** `pieces` are the socket's until they have left; entries bear checksums of their own. */
  send(kind: FrameKind, session: number, id: number, count = 0, ...pieces: readonly Uint8Array[]): void {
    if (!this.isOpen) return;
    this.#cork();
    const bodyBytes = pieces.reduce((sum, piece) => sum + piece.length, 0);
    const bodyCrc = hasOwnSums(kind) ? 0 : pieces.reduce((crc, piece) => crc32(piece, crc), 0);
    const header = new Uint8Array(FRAME.bytes);
    encodeFrame({ kind, count, bodyBytes, session, id, bodyCrc }, header, 0);
    this.#socket.write(header);
    for (const piece of pieces) this.#socket.write(piece);
    this.#bound?.pace.sent(header.length + bodyBytes, this.#bound.nowMs());
  }

  /** Whether more has to wait; `drain` comes when it need not. */
  #isPaced(): boolean {
    const bound = this.#bound;
    const waitMs = bound?.pace.waitMs(bound.nowMs()) ?? 0;
    if (!bound || waitMs === 0) return false;
    this.#cancelDrain ??= bound.after(waitMs, () => {
      this.#cancelDrain = null;
      this.#drain();
    });
    return true;
  }

  /** All frames of one turn of the event loop leave together. */
  #cork(): void {
    if (this.#isCorked) return;
    this.#isCorked = true;
    this.#socket.cork();
    this.#soon(() => {
      this.#isCorked = false;
      this.#socket.uncork();
    });
  }

  /** Ends it at once; the peer sees a reset. */
  end(reason: string): void {
    if (this.#isClosed) return;
    this.#reason = reason;
    this.#socket.destroy();
  }
}
