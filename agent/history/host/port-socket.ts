/**
 * A pipe of bytes between two threads, as the links know a socket: no more is on its way than the other end has taken. What one end
 * writes in a turn of the event loop leaves as one message.
 */
import { Duplex } from 'node:stream';
import type { MessagePort } from 'node:worker_threads';
import type { LinkSocket } from '../../mirror/link/connection.ts';

/** Pieces; how many bytes were taken; or that nothing follows. */
type Word = readonly Uint8Array[] | number | null;

const AHEAD_BYTES_MAX = 1024 * 1024;

type Done = (error?: Error | null) => void;

class PortSocket extends Duplex {
  readonly remoteAddress = 'this process';
  readonly remotePort = 0;
  readonly #port: MessagePort;
  #ahead = 0;
  /** For the other end to take some. */
  #waiting: Done | null = null;
  /** Taken by nobody yet. */
  #owed = 0;

  constructor(port: MessagePort) {
    super({ allowHalfOpen: false });
    this.#port = port;
    port.on('message', (word: Word) => this.#hear(word));
    port.on('close', () => this.destroy());
  }

  setKeepAlive(): void {}

  override _write(chunk: Uint8Array, _encoding: BufferEncoding, done: Done): void {
    this.#put([chunk], done);
  }

  override _writev(chunks: { chunk: Uint8Array }[], done: Done): void {
    this.#put(
      chunks.map(({ chunk }) => chunk),
      done,
    );
  }

  override _read(): void {
    if (this.#owed === 0) return;
    this.#port.postMessage(this.#owed);
    this.#owed = 0;
  }

  override _final(done: Done): void {
    this.#port.postMessage(null);
    done();
  }

  override _destroy(error: Error | null, done: Done): void {
    this.#port.close();
    done(error);
  }

  #put(pieces: readonly Uint8Array[], done: Done): void {
    this.#ahead += pieces.reduce((sum, { length }) => sum + length, 0);
    // Copied there: a piece may be part of much more.
    this.#port.postMessage(pieces.map((piece) => Uint8Array.from(piece)));
    if (this.#ahead < AHEAD_BYTES_MAX) done();
    else this.#waiting = done;
  }

  #hear(word: Word): void {
    if (typeof word === 'number') return this.#taken(word);
    if (word === null) return void this.push(null);
    for (const piece of word) {
      this.#owed += piece.length;
      this.push(Buffer.from(piece.buffer, piece.byteOffset, piece.length));
    }
  }

  #taken(bytes: number): void {
    this.#ahead -= bytes;
    const done = this.#waiting;
    if (!done || this.#ahead >= AHEAD_BYTES_MAX) return;
    this.#waiting = null;
    done();
  }
}

/** One end; the other one's port is with the other thread. */
export function portSocket(port: MessagePort): LinkSocket {
  const socket = new PortSocket(port);
  // There is nothing to shake hands about.
  setImmediate(() => socket.emit('secureConnect'));
  return socket as unknown as LinkSocket;
}
