/** The socket of one client, in the clear or under TLS: carries out what its connection decides. */
import type { Socket } from 'node:net';
import { withoutControls } from '../base/text.ts';
import type { Connection, ConnectionEdge } from './connection.ts';
import { receiveInto } from './receiving-socket.ts';
import type { Slab, SlabPool } from './slab.ts';
import type { TlsUpgrade } from './tls.ts';

/** A client whose host died without a word is found out after this time. */
const KEEP_ALIVE_MS = 30_000;

const BROKEN: ReadonlySet<string> = new Set(['ECONNRESET', 'EPIPE', 'ETIMEDOUT']);

export class ClientSocket implements ConnectionEdge {
  #socket: Socket;
  readonly #tls: TlsUpgrade | null;
  readonly #log: (why: string) => void;
  #connection: Connection | null = null;
  #isGone = false;
  #isIdle: (() => boolean) | null = null;

  /** `log`: gets one line for a connection that does not end in order. */
  constructor(socket: Socket, tls: TlsUpgrade | null, log: (why: string) => void) {
    this.#socket = socket;
    this.#tls = tls;
    this.#log = log;
  }

  /** Whatever arrives goes to the connection; `gone` is called once, when the socket is closed. */
  join(connection: Connection, pool: SlabPool, gone: () => void): void {
    this.#connection = connection;
    const feed = (chunk: Buffer, slab: Slab) => connection.feed(chunk, slab);
    // TLS takes the socket over and has memory of its own.
    const own = this.#tls ? null : receiveInto(this.#socket, pool, feed);
    if (own) this.#socket = own;
    this.#socket.setNoDelay(true);
    this.#socket.setKeepAlive(true, KEEP_ALIVE_MS);
    this.#listen(this.#socket);
    this.#socket.once('close', () => {
      this.#isGone = true;
      connection.close();
      gone();
    });
  }

  send(pieces: readonly Buffer[], sent: () => void): void {
    const socket = this.#socket;
    const done = () => {
      sent();
      this.#endIfIdle();
    };
    // Ended already: it is nobody's any more.
    if (!socket.writable) return process.nextTick(done);
    const last = pieces.length - 1;
    if (last > 0) socket.cork();
    for (const [index, piece] of pieces.entries()) {
      if (index === last) socket.write(piece, done);
      else socket.write(piece);
    }
    if (last > 0) socket.uncork();
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  startTls(): void {
    if (!this.#tls) return;
    const plain = this.#socket;
    plain.removeAllListeners('data');
    plain.removeAllListeners('error');
    const secure = this.#tls.wrap(plain);
    this.#socket = secure;
    plain.on('error', (error) => secure.destroy(error));
    secure.once('secure', () => this.#connection?.secured());
    this.#listen(secure);
  }

  end(): void {
    this.#socket.end();
  }

  refuse(why: string): void {
    this.#fail(why);
  }

  /** Ends as soon as `isIdle` says yes: now, or when something has been sent. */
  endWhen(isIdle: () => boolean): void {
    this.#isIdle = isIdle;
    this.#endIfIdle();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  soon(action: () => void): void {
    process.nextTick(action);
  }

  #endIfIdle(): void {
    if (this.#isIdle?.() === true) this.#socket.end();
  }

  #listen(socket: Socket): void {
    socket.on('data', (chunk: Buffer) => this.#connection?.feed(chunk));
    socket.on('error', (error: NodeJS.ErrnoException) => {
      // Clients come and go, some without a word: no fault, and nothing that anybody must do.
      if (BROKEN.has(error.code ?? '')) this.destroy();
      else this.#fail(reason(error));
    });
  }

  #fail(why: string): void {
    if (!this.#isGone) this.#log(withoutControls(why));
    this.#isGone = true;
    this.#connection?.close();
    this.#socket.destroy();
  }
}

function reason(error: NodeJS.ErrnoException): string {
  if (error.code?.startsWith('ERR_SSL') === true) return `TLS failed (${error.code})`;
  return error.code ?? error.message;
}
