/**
 * The client library `stillbeat/client`: messages of programs to programs on other nodes, by whatever way works.
 *
 *   const client = await connect({ socket: '/run/stillbeat/a.messages.sock', channel: 'jobs' });
 *   const report = await client.write('b', 'data', Buffer.from('hello'));   // { delivered: true, afterMs: 0.9 }
 *   for await (const { peer, bytes } of client) …                           // what arrives on the channel
 *
 * Always true: a write settles once, with a report or an error, also when the agent ends. A message counts as read when
 * `read` hands it out, and only then is it reported as delivered. This file stands alone: it needs nothing but Node.
 */
import { createConnection, type Socket } from 'node:net';

export type MessageType = 'heartbeat' | 'data' | 'bulk';

export type Report =
  /** A program on the peer has read the message. */
  | { readonly delivered: true; readonly afterMs: number }
  /**
   * Not within the deadline, as far as this node knows: `no receiver` when the peer said that no program listens on the
   * channel, `deadline` when it said nothing, `closed` when the agent here ended first.
   */
  | { readonly delivered: false; readonly reason: 'deadline' | 'no receiver' | 'closed' };

export interface Message {
  readonly peer: string;
  readonly type: MessageType;
  readonly channel: string;
  /** How long it was under way, until the agent gave it to this program. */
  readonly ageMs: number;
  readonly bytes: Uint8Array;
}

export interface ConnectOptions {
  /** The agent's setting `messages.socket`. */
  readonly socket: string;
  /** What this program reads and, unless a write says otherwise, writes. */
  readonly channel?: string;
  /** Read so many messages and no more: what comes later is left to other programs. */
  readonly count?: number;
}

export interface WriteOptions {
  readonly channel?: string;
  readonly deadlineMs?: number;
}

export const MESSAGE_BYTES_MAX = 60_000;

/** So many messages and bytes are with the agent at once; more wait here, for it would not read them. */
const UNREPORTED_MAX = 64;
const UNREPORTED_BYTES_MAX = 200_000;
const MESSAGE_BYTES = 256;
/** An agent that says nothing for so long when something is due is asked whether it is there, and once more that long. */
const ANSWER_MS = 5000;

interface Write {
  readonly line: Readonly<Record<string, unknown>>;
  readonly size: number;
  readonly resolve: (report: Report) => void;
  readonly reject: (error: Error) => void;
}

type Line = Readonly<Record<string, unknown>>;

/** Connects to the agent of this node; rejects when none answers, or something else does. */
export async function connect(options: ConnectOptions): Promise<Client> {
  const failed = (why: string): Error => new Error(`messages socket ${options.socket}: ${why}`);
  const socket = await new Promise<Socket>((resolve, reject) => {
    const attempt = createConnection(options.socket);
    attempt.once('error', (error) => reject(failed(error.message)));
    attempt.once('connect', () => resolve(attempt));
  });
  const client = new Client(socket, options);
  if (await client.hello()) return client;
  await client.close();
  throw failed(client.error);
}

export class Client implements AsyncIterable<Message> {
  readonly #socket: Socket;
  readonly #channel: string;
  readonly #count: number | undefined;
  #text = '';
  #number = 0;
  readonly #waiting: Write[] = [];
  readonly #unreported = new Map<number, Write>();
  #unreportedBytes = 0;
  readonly #arrived: { readonly number: number; readonly message: Message }[] = [];
  readonly #readers: ((message: Message | null) => void)[] = [];
  #subscribed: { promise: Promise<void>; done: () => void } | null = null;
  readonly #drained: (() => void)[] = [];
  readonly #greeters: ((isThere: boolean) => void)[] = [];
  #quiet: NodeJS.Timeout | null = null;
  /** How often something came. */
  #heard = 0;
  #closed = false;
  #error = 'the connection to the agent is closed';

  /** Use {@link connect}. */
  constructor(socket: Socket, options: ConnectOptions) {
    this.#socket = socket;
    this.#channel = options.channel ?? '';
    this.#count = options.count;
    socket.setEncoding('utf8');
    socket.on('data', (piece: string) => this.#onData(piece));
    socket.on('error', () => socket.destroy());
    socket.on('close', () => this.#onClose());
  }

  /**
   * Sends a message to the programs on `peer` that listen on the channel. Messages of one type to one peer arrive in the
   * order of the calls. Rejects what cannot be sent at all (no such peer, too long); anything else is in the report.
   */
  async write(
    peer: string,
    type: MessageType,
    bytes: Uint8Array | string,
    options: WriteOptions = {},
  ): Promise<Report> {
    const content = typeof bytes === 'string' ? Buffer.from(bytes) : bytes;
    if (content.length > MESSAGE_BYTES_MAX) {
      throw new RangeError(`a message of ${content.length} bytes: at most ${MESSAGE_BYTES_MAX} go in one`);
    }
    if (this.#closed) return { delivered: false, reason: 'closed' };
    const line = {
      write: ++this.#number,
      peer,
      type,
      channel: options.channel ?? this.#channel,
      ...(options.deadlineMs === undefined ? {} : { deadlineMs: options.deadlineMs }),
      bytes: Buffer.from(content.buffer, content.byteOffset, content.byteLength).toString('base64'),
    };
    return new Promise((resolve, reject) => {
      this.#waiting.push({ line, size: content.length + MESSAGE_BYTES, resolve, reject });
      this.#sendWaiting();
    });
  }

  /** Resolves when a write would go to the agent at once: who writes much waits for it between writes. */
  async drained(): Promise<void> {
    if (this.#closed || this.#waiting.length === 0) return;
    await new Promise<void>((resolve) => this.#drained.push(resolve));
  }

  /** The next message on the channel; null when the connection has ended. */
  async read(): Promise<Message | null> {
    void this.subscribe();
    const next = this.#arrived.shift();
    if (next) {
      this.#say({ taken: next.number });
      return next.message;
    }
    if (this.#closed) return null;
    return new Promise((resolve) => this.#readers.push(resolve));
  }

  /** Listens from now on, before the first `read`; resolves when the agent has heard it. */
  async subscribe(): Promise<void> {
    if (!this.#subscribed) {
      let done = () => {};
      const promise = new Promise<void>((resolve) => (done = resolve));
      this.#subscribed = { promise, done };
      this.#say({ subscribe: this.#channel, ...(this.#count === undefined ? {} : { count: this.#count }) });
      if (this.#closed) done();
    }
    await this.#subscribed.promise;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Message> {
    for (let message = await this.read(); message; message = await this.read()) yield message;
  }

  /** Asks whether the agent is there; resolves to false, and the connection has ended, when it does not answer. */
  async hello(): Promise<boolean> {
    if (this.#closed) return false;
    return new Promise((resolve) => {
      this.#greeters.push(resolve);
      this.#say({ hello: 1 });
      this.#listen();
    });
  }

  /** What was read is still said to the agent; writes without a report settle as `closed`. */
  async close(): Promise<void> {
    if (this.#socket.destroyed) return;
    await new Promise<void>((resolve) => {
      this.#socket.once('close', () => resolve());
      this.#socket.end(() => this.#socket.destroy());
    });
  }

  /** Why the connection has ended, when the agent cut it off or did not answer. */
  get error(): string {
    return this.#error;
  }

  /**
   * While an answer is due and nothing comes the agent is asked; when it does not answer that either it hangs, and nobody is
   * left waiting for it.
   */
  #listen(): void {
    if (this.#quiet) clearTimeout(this.#quiet);
    this.#quiet = null;
    if (this.#closed || this.#unreported.size + this.#greeters.length === 0) return;
    this.#quiet = setTimeout(() => {
      if (this.#greeters.length === 0) {
        void this.hello();
        return;
      }
      // The program itself may have stood still: then the answer lies in the socket, and is read before this.
      const heard = this.#heard;
      setImmediate(() => {
        if (heard !== this.#heard || this.#closed) return;
        this.#error = `no answer in ${ANSWER_MS} ms: the agent hangs, or this is another socket`;
        this.#socket.destroy();
      });
    }, ANSWER_MS);
  }

  #say(line: Line): void {
    if (this.#socket.writable) this.#socket.write(`${JSON.stringify(line)}\n`);
  }

  #sendWaiting(): void {
    while (this.#unreported.size < UNREPORTED_MAX && this.#unreportedBytes < UNREPORTED_BYTES_MAX) {
      const next = this.#waiting.shift();
      if (!next) break;
      this.#unreported.set(Number(next.line['write']), next);
      this.#unreportedBytes += next.size;
      this.#say(next.line);
    }
    if (this.#waiting.length === 0) for (const resolve of this.#drained.splice(0)) resolve();
    if (!this.#quiet) this.#listen();
  }

  #onData(piece: string): void {
    this.#heard++;
    this.#text += piece;
    const lines = this.#text.split('\n');
    this.#text = lines.pop() ?? '';
    for (const line of lines) this.#onLine(parsed(line));
    this.#listen();
  }

  #onLine(line: Line): void {
    if (typeof line['report'] === 'number') this.#onReport(line['report'], line);
    else if (typeof line['message'] === 'number') this.#onMessage(line['message'], line);
    else if (typeof line['subscribed'] === 'string') this.#subscribed?.done();
    else if (typeof line['hello'] === 'number') for (const greeted of this.#greeters.splice(0)) greeted(true);
    else if (typeof line['error'] === 'string') {
      this.#error = line['error'];
      this.#socket.destroy();
    }
  }

  #onReport(number: number, line: Line): void {
    const write = this.#unreported.get(number);
    if (!write) return;
    this.#unreported.delete(number);
    this.#unreportedBytes -= write.size;
    const { refused, delivered, afterMs, reason } = line;
    if (typeof refused === 'string') write.reject(new Error(refused));
    else if (delivered === true) write.resolve({ delivered, afterMs: Number(afterMs) });
    else write.resolve({ delivered: false, reason: reason === 'no receiver' ? reason : 'deadline' });
    this.#sendWaiting();
  }

  #onMessage(number: number, line: Line): void {
    const message: Message = {
      peer: String(line['peer']),
      type: line['type'] as MessageType,
      channel: String(line['channel']),
      ageMs: Number(line['ageMs']),
      bytes: new Uint8Array(Buffer.from(String(line['bytes']), 'base64')),
    };
    const reader = this.#readers.shift();
    if (!reader) {
      this.#arrived.push({ number, message });
      return;
    }
    this.#say({ taken: number });
    reader(message);
  }

  #onClose(): void {
    this.#closed = true;
    for (const write of [...this.#unreported.values(), ...this.#waiting.splice(0)]) {
      write.resolve({ delivered: false, reason: 'closed' });
    }
    this.#unreported.clear();
    this.#listen();
    for (const greeted of this.#greeters.splice(0)) greeted(false);
    this.#subscribed?.done();
    for (const resolve of this.#drained.splice(0)) resolve();
    // What arrived and was not read can no longer be reported as delivered: it counts as missed, and is not handed out.
    this.#arrived.length = 0;
    for (const resolve of this.#readers.splice(0)) resolve(null);
  }
}

/** A line of the agent's; anything else is told like a word of its own. */
function parsed(text: string): Line {
  try {
    const line: unknown = JSON.parse(text);
    if (typeof line === 'object' && line !== null) return line as Line;
  } catch {
    // No JSON at all: told below, too.
  }
  return { error: 'it speaks otherwise than the agent: this is another socket' };
}
