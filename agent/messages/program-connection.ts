/**
 * One program at the local socket. Always true: what it can make the agent keep is bounded, whatever it does.
 *
 * - It floods: while {@link UNREPORTED_MAX} of its messages wait for their reports its socket is not read.
 * - It never reads: beyond {@link UNREAD_BYTES_MAX} that it was given or told and has not read, it is cut off.
 * - It sends garbage: it is told so in a line and cut off.
 */
import type { Socket } from 'node:net';
import type { MessageHub } from './hub.ts';
import {
  errorLine,
  helloLine,
  LINE_BYTES_MAX,
  messageLine,
  parseLine,
  refusedLine,
  reportLine,
  subscribedLine,
} from './lines.ts';
import type { Listener, ReceivedMessage, WriteRequest, WriteResult, Writer } from './program.ts';

/**
 * Messages and their bytes on their way at once: several round trips' worth, and little beside a lane's memory. The client
 * library stays well below: a program whose socket is not read cannot say either what it has read.
 */
export const UNREPORTED_MAX = 128;
export const UNREPORTED_BYTES_MAX = 524_288;
const UNREAD_BYTES_MAX = 1024 * 1024;
/** Around a message's content, in our memory and in the socket. */
const MESSAGE_BYTES = 256;
const LAST_WORDS_MS = 100;

export class ProgramConnection implements Writer, Listener {
  readonly #socket: Socket;
  readonly #hub: MessageHub;
  readonly #onCut: (why: string) => void;
  /** What came and was not looked at. */
  #text = '';
  /** Bytes of the messages that wait for their reports, by the program's numbers. */
  readonly #unreported = new Map<number, number>();
  #unreportedBytes = 0;
  /** Bytes of what the program was given, by our numbers. */
  readonly #unread = new Map<number, number>();
  #unreadBytes = 0;

  /** `onCut` hears, once, why a program that did wrong was cut off. */
  constructor(socket: Socket, hub: MessageHub, onCut: (why: string) => void) {
    this.#socket = socket;
    this.#hub = hub;
    this.#onCut = onCut;
    socket.setEncoding('utf8');
    socket.on('error', () => socket.destroy());
    socket.on('data', (piece: string) => {
      this.#text += piece;
      this.#goOn();
    });
    socket.on('drain', () => this.#goOn());
    socket.once('close', () => {
      this.#hub.forget(this, this.#unread.keys());
      this.#unread.clear();
    });
  }

  get #isFull(): boolean {
    return (
      this.#unreported.size >= UNREPORTED_MAX ||
      this.#unreportedBytes >= UNREPORTED_BYTES_MAX ||
      this.#socket.writableLength > UNREPORTED_BYTES_MAX
    );
  }

  /** Looks at the lines that are there, as long as the program may go on. */
  #goOn(): void {
    let start = 0;
    while (!this.#isFull && this.#socket.writable) {
      const end = this.#text.indexOf('\n', start);
      if (end < 0) break;
      this.#line(this.#text.slice(start, end));
      start = end + 1;
    }
    if (start > 0) this.#text = this.#text.slice(start);
    if (!this.#socket.writable) return;
    if (this.#isFull) this.#socket.pause();
    else if (this.#text.length > LINE_BYTES_MAX) this.#cut(`a line is longer than ${LINE_BYTES_MAX} bytes`);
    else this.#socket.resume();
  }

  #line(text: string): void {
    const line = parseLine(text);
    if (line.kind === 'garbage') this.#cut(line.why);
    else if (line.kind === 'refused') this.#say(refusedLine(line.number, line.why));
    else if (line.kind === 'taken') this.#taken(line.number);
    else if (line.kind === 'hello') this.#say(helloLine(line.number));
    else if (line.kind === 'write') this.#write(line.request);
    else {
      this.#say(subscribedLine(line.channel));
      this.#hub.subscribe(this, line.channel, line.count);
    }
  }

  #write(request: WriteRequest): void {
    const { number, bytes } = request;
    if (this.#unreported.has(number)) {
      this.#cut(`write ${number} waits for its report, and there is another one of this number`);
      return;
    }
    const size = bytes.length + MESSAGE_BYTES;
    this.#unreported.set(number, size);
    this.#unreportedBytes += size;
    const refusal = this.#hub.write(this, request);
    if (refusal === null) return;
    this.#forgetWrite(number);
    this.#say(refusedLine(number, refusal));
  }

  #forgetWrite(number: number): void {
    this.#unreportedBytes -= this.#unreported.get(number) ?? 0;
    this.#unreported.delete(number);
  }

  report(number: number, result: WriteResult): void {
    this.#forgetWrite(number);
    this.#say(reportLine(number, result));
    // Not at once: the hub is in the midst of its own work.
    if (this.#socket.isPaused()) setImmediate(() => this.#goOn());
  }

  give(message: ReceivedMessage): void {
    const size = message.bytes.length + MESSAGE_BYTES;
    this.#unread.set(message.number, size);
    this.#unreadBytes += size;
    this.#say(messageLine(message));
    if (this.#unreadBytes > UNREAD_BYTES_MAX) this.#cut(`it has not read ${this.#unreadBytes} bytes that it was given`);
  }

  #taken(number: number): void {
    this.#unreadBytes -= this.#unread.get(number) ?? 0;
    if (this.#unread.delete(number)) this.#hub.taken(number);
  }

  #say(line: Readonly<Record<string, unknown>>): void {
    if (!this.#socket.writable) return;
    this.#socket.write(`${JSON.stringify(line)}\n`);
    if (this.#socket.writableLength > 2 * UNREAD_BYTES_MAX) this.#cut('it does not read what it is told');
  }

  #cut(why: string): void {
    if (!this.#socket.writable) return;
    this.#onCut(why);
    // What still comes is read and dropped for a moment: with it unread, the end would take the last line away too.
    this.#socket.removeAllListeners('data').resume();
    this.#socket.end(`${JSON.stringify(errorLine(why))}\n`);
    setTimeout(() => this.#socket.destroy(), LAST_WORDS_MS).unref();
    this.#text = '';
  }

  close(): void {
    this.#socket.destroy();
  }
}
