/**
 * A client of one export: several requests under way, answered in any order. What is read goes straight to where it is wanted, so that
 * a server can make it hold no more than a header. A server that breaks the protocol, goes, or falls silent fails all that is under way.
 */
import { connect, type Socket } from 'node:net';
import { AgentError } from '../base/errors.ts';
import { ERRNO, errnoName } from '../platform/native.ts';
import { chooseExport, type ChosenExport, type ClientKey } from './client-handshake.ts';
import {
  COMMAND,
  REQUEST_BYTES,
  REQUEST_MAGIC,
  SIMPLE_REPLY_BYTES,
  SIMPLE_REPLY_MAGIC,
  TRANSMISSION,
} from './protocol.ts';
import type { NbdEndpoint } from './server.ts';

export interface NbdClientOptions {
  readonly endpoint: NbdEndpoint;
  /** Of the export. */
  readonly name: string;
  /** With one the connection is made over TLS. */
  readonly key?: ClientKey | null;
  /** Until the export is chosen. */
  readonly handshakeMs?: number;
  /** Without a word while something is asked: longer than writes wait at a source whose target is away. */
  readonly silenceMs?: number;
}

/** Requests under way; who asks more waits. */
const UNDER_WAY_MAX = 16;
const HANDSHAKE_MS = 10_000;
const SILENCE_MS = 120_000;
const NOTHING = new Uint8Array(0);

interface Asked {
  readonly what: string;
  readonly into: Uint8Array;
  readonly resolve: () => void;
  readonly reject: (error: AgentError) => void;
}

export class NbdClient {
  /** Bytes. */
  readonly size: number;
  /** No request may be for less, or not aligned to it. */
  readonly blockBytesMin: number;
  readonly payloadBytesMax: number;
  readonly #socket: Socket;
  readonly #flags: number;
  readonly #silence: NodeJS.Timeout;
  readonly #asked = new Map<number, Asked>();
  readonly #waiting: (() => void)[] = [];
  readonly #header: Buffer = Buffer.alloc(SIMPLE_REPLY_BYTES);
  #headerFilled = 0;
  /** Whose data comes now, and how much of it has. */
  #reading: Asked | null = null;
  #filled = 0;
  #cookie = 0;
  #fault: AgentError | null = null;

  private constructor({ socket, size, flags, blockBytesMin, payloadBytesMax }: ChosenExport, silenceMs: number) {
    this.size = size;
    this.blockBytesMin = blockBytesMin;
    this.payloadBytesMax = payloadBytesMax;
    this.#socket = socket;
    this.#flags = flags;
    this.#silence = setTimeout(() => {
      if (this.#asked.size > 0 || this.#reading) this.#lose(`has not answered for ${Math.round(silenceMs / 1000)} s`);
    }, silenceMs).unref();
    socket.on('close', () => this.#lose('closed the connection'));
    socket.on('data', (chunk: Buffer) => this.#hear(chunk));
    // Ended meanwhile: `close` does not come again.
    if (socket.destroyed) this.#lose('closed the connection');
  }

  /** Rejects with an AgentError: nobody listens, no such export, no key. */
  static async open(options: NbdClientOptions): Promise<NbdClient> {
    const { endpoint, name, key = null, handshakeMs = HANDSHAKE_MS, silenceMs = SILENCE_MS } = options;
    const socket = connect({ ...endpoint, noDelay: true });
    let fault: AgentError | null = null;
    socket.on('error', ({ code, message }: NodeJS.ErrnoException) => {
      fault ??= new AgentError('failed', `the server cannot be reached (${code ?? message}): is it running?`);
    });
    const inTime = setTimeout(() => {
      fault ??= new AgentError('failed', `the server said too little within ${handshakeMs / 1000} s`);
      socket.destroy();
    }, handshakeMs);
    try {
      const chosen = await chooseExport(socket, name, key);
      // Of TLS: `close` follows.
      if (chosen.socket !== socket) chosen.socket.on('error', () => {});
      return new NbdClient(chosen, silenceMs);
    } catch (error) {
      socket.destroy();
      throw fault ?? error;
    } finally {
      clearTimeout(inTime);
    }
  }

  get isReadOnly(): boolean {
    return (this.#flags & TRANSMISSION.readOnly) !== 0;
  }

  get canZero(): boolean {
    return (this.#flags & TRANSMISSION.writeZeroes) !== 0;
  }

  /** Fills `into`, which is the client's until this answers. */
  async read(offset: number, into: Uint8Array): Promise<void> {
    await this.#ask(COMMAND.read, offset, into.length, { into });
  }

  /** `data` is the client's until this answers. */
  async write(offset: number, data: Uint8Array): Promise<void> {
    await this.#ask(COMMAND.write, offset, data.length, { data });
  }

  /** The range reads as zeroes; it may lose its room on the storage. */
  async zero(offset: number, length: number): Promise<void> {
    await this.#ask(COMMAND.writeZeroes, offset, length, {});
  }

  /** What was answered before is on stable storage. */
  async flush(): Promise<void> {
    if ((this.#flags & TRANSMISSION.flush) !== 0) await this.#ask(COMMAND.flush, 0, 0, {});
  }

  /** In order; what is under way fails. */
  close(): void {
    if (this.#fault) return;
    this.#fail(new AgentError('failed', 'the connection to the server was closed'));
    this.#socket.end(request(COMMAND.disconnect, 0, 0, 0), () => this.#socket.destroy());
  }

  async #ask(
    type: number,
    offset: number,
    length: number,
    { data = NOTHING, into = NOTHING }: { readonly data?: Uint8Array; readonly into?: Uint8Array },
  ): Promise<void> {
    while (this.#asked.size >= UNDER_WAY_MAX && !this.#fault) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    if (this.#fault) throw this.#fault;
    if (this.#asked.size === 0) this.#silence.refresh();
    this.#cookie = (this.#cookie + 1) >>> 0;
    const cookie = this.#cookie;
    const what = type === COMMAND.flush ? 'a flush' : `${length} bytes from ${offset} on`;
    await new Promise<void>((resolve, reject) => {
      this.#asked.set(cookie, { what, into, resolve, reject });
      this.#socket.cork();
      this.#socket.write(request(type, cookie, offset, length));
      if (data.length > 0) this.#socket.write(data);
      this.#socket.uncork();
    });
  }

  #hear(chunk: Buffer): void {
    this.#silence.refresh();
    for (let at = 0; at < chunk.length && !this.#fault;)
      at += this.#reading ? this.#fill(chunk, at) : this.#head(chunk, at);
  }

  /** Answers how much of the chunk it took; so does `#head`. */
  #fill(chunk: Buffer, at: number): number {
    const asked = this.#reading;
    if (!asked) return 0;
    const part = chunk.subarray(at, at + asked.into.length - this.#filled);
    asked.into.set(part, this.#filled);
    this.#filled += part.length;
    if (this.#filled === asked.into.length) {
      this.#reading = null;
      asked.resolve();
    }
    return part.length;
  }

  #head(chunk: Buffer, at: number): number {
    const header = this.#header;
    const count = chunk.copy(header, this.#headerFilled, at, at + SIMPLE_REPLY_BYTES - this.#headerFilled);
    this.#headerFilled += count;
    if (this.#headerFilled < SIMPLE_REPLY_BYTES) return count;
    this.#headerFilled = 0;
    const cookie = header.readUInt32BE(12);
    const asked = header.readUInt32BE(8) === 0 ? this.#asked.get(cookie) : undefined;
    if (header.readUInt32BE(0) !== SIMPLE_REPLY_MAGIC || !asked) this.#lose('answers what was not asked');
    else {
      this.#asked.delete(cookie);
      this.#answer(asked, header.readUInt32BE(4));
      this.#waiting.shift()?.();
    }
    return count;
  }

  #answer(asked: Asked, errno: number): void {
    if (errno !== 0) {
      const mend = errno === ERRNO.EPERM ? ': it may not be written' : '';
      asked.reject(new AgentError('failed', `the server refuses ${asked.what} (${errnoName(errno)})${mend}`));
    } else if (asked.into.length === 0) asked.resolve();
    else {
      this.#reading = asked;
      this.#filled = 0;
    }
  }

  #lose(why: string): void {
    if (this.#fault) return;
    this.#socket.destroy();
    this.#fail(new AgentError('failed', `the server ${why}`));
  }

  #fail(fault: AgentError): void {
    this.#fault = fault;
    clearTimeout(this.#silence);
    this.#reading?.reject(fault);
    for (const { reject } of this.#asked.values()) reject(fault);
    this.#asked.clear();
    for (const wake of this.#waiting.splice(0)) wake();
  }
}

function request(type: number, cookie: number, offset: number, length: number): Buffer {
  const bytes = Buffer.alloc(REQUEST_BYTES);
  bytes.writeUInt32BE(REQUEST_MAGIC, 0);
  bytes.writeUInt16BE(type, 6);
  bytes.writeUInt32BE(cookie, 12);
  bytes.writeBigUInt64BE(BigInt(offset), 16);
  bytes.writeUInt32BE(length, 24);
  return bytes;
}
