/**
 * The client's half of the handshake: greeting, TLS where a key is given, and the choice of an export. Nothing that the server says
 * is taken on trust: not the lengths of its answers, nor how many there are, nor what it answers to.
 */
import type { Socket } from 'node:net';
import { connect as dialTls } from 'node:tls';
import { AgentError } from '../base/errors.ts';
import {
  BLOCK_BYTES,
  BLOCK_SIZE_INFO_BYTES,
  CLIENT_FLAGS_BYTES,
  EXPORT_INFO_BYTES,
  GREETING_BYTES,
  GREETING_MAGIC,
  HANDSHAKE,
  INFO,
  OPTION,
  OPTION_HEADER_BYTES,
  OPTION_MAGIC,
  OPTION_REPLY_HEADER_BYTES,
  OPTION_REPLY_MAGIC,
  PAYLOAD_BYTES_MAX,
  REPLY,
} from './protocol.ts';
import { TLS_SETTINGS } from './tls.ts';

/** Of one reply to an option, and how many there may be. */
const REPLY_BYTES_MAX = 65_536;
const REPLIES_MAX = 64;

export interface ClientKey {
  readonly identity: string;
  readonly key: Uint8Array;
}

export interface ChosenExport {
  /** What the transmission goes over: under TLS another one than the connection's. */
  readonly socket: Socket;
  readonly size: number;
  readonly flags: number;
  /** No request may be for less, or not aligned to it, nor for more at once. */
  readonly blockBytesMin: number;
  readonly payloadBytesMax: number;
}

/** Rejects with an AgentError when the export cannot be had, and when the connection ends before. */
export async function chooseExport(tcp: Socket, name: string, key: ClientKey | null): Promise<ChosenExport> {
  let words = new Words(tcp);
  const greeting = await words.take(GREETING_BYTES);
  if (!isPair(greeting, 0, GREETING_MAGIC) || !isPair(greeting, 8, OPTION_MAGIC))
    throw broken('greets as no NBD server');
  const offered = greeting.readUInt16BE(16);
  if ((offered & HANDSHAKE.fixedNewstyle) === 0) throw broken('knows only the old handshake');
  const flags = Buffer.alloc(CLIENT_FLAGS_BYTES);
  flags.writeUInt32BE(offered & (HANDSHAKE.fixedNewstyle | HANDSHAKE.noZeroes));
  tcp.write(flags);
  if (key) words = new Words(await secured(tcp, words, key));
  words.socket.write(option(OPTION.go, goData(name)));
  const found = await chosen(words, name);
  words.release();
  return found;
}

async function secured(tcp: Socket, words: Words, { identity, key }: ClientKey): Promise<Socket> {
  tcp.write(option(OPTION.startTls, Buffer.alloc(0)));
  const { kind } = await reply(words, OPTION.startTls);
  if (kind !== REPLY.ack) throw new AgentError('key', 'it takes no TLS: write nbd in place of nbds');
  words.release();
  // What came in the clear behind it could be anybody's.
  if (tcp.readableLength > 0) throw broken('sent something in the clear behind its word for TLS');
  const socket = dialTls({
    socket: tcp,
    ...TLS_SETTINGS,
    // There are no certificates: both have the key, or there is no connection.
    checkServerIdentity: () => undefined,
    pskCallback: () => ({ psk: key, identity }),
  });
  await new Promise<void>((resolve, reject) => {
    const refused = (): void => reject(new AgentError('key', `it does not take the key of ${identity}`));
    socket.once('secureConnect', resolve);
    socket.once('error', refused);
    socket.once('close', refused);
  });
  return socket;
}

async function chosen(words: Words, name: string): Promise<ChosenExport> {
  let size = -1;
  let flags = 0;
  let [blockBytesMin, payloadBytesMax]: [number, number] = [BLOCK_BYTES.minimum, PAYLOAD_BYTES_MAX];
  for (let count = 0; count < REPLIES_MAX; count++) {
    const { kind, data } = await reply(words, OPTION.go);
    if (kind === REPLY.ack) {
      if (!Number.isSafeInteger(size) || size < 0) throw broken('says no size of the export');
      return { socket: words.socket, size, flags, blockBytesMin, payloadBytesMax };
    }
    if (kind !== REPLY.info) throw refusal(kind, name);
    const what = data.length < 2 ? -1 : data.readUInt16BE(0);
    if (what === INFO.export && data.length === EXPORT_INFO_BYTES) {
      size = Number(data.readBigUInt64BE(2));
      flags = data.readUInt16BE(10);
    } else if (what === INFO.blockSize && data.length === BLOCK_SIZE_INFO_BYTES) {
      blockBytesMin = data.readUInt32BE(2);
      payloadBytesMax = Math.min(data.readUInt32BE(10), PAYLOAD_BYTES_MAX);
    } else if (what === INFO.export || what === INFO.blockSize) throw broken('describes the export in too many words');
  }
  throw broken('answers without end');
}

function refusal(kind: number, name: string): AgentError {
  if (kind === REPLY.unknown) return new AgentError('volume', `it has no export ${JSON.stringify(name)}`);
  if (kind === REPLY.tlsRequired) {
    return new AgentError('key', 'it wants TLS: write nbds://IDENTITY@HOST:PORT/NAME?tls-psk-file=PATH');
  }
  if (kind === REPLY.unsupported) return broken('is too old: it does not know the option GO');
  if (kind === REPLY.shutdown) return broken('is stopping');
  return broken(`does not give the export away (0x${kind.toString(16)})`);
}

async function reply(words: Words, asked: number): Promise<{ readonly kind: number; readonly data: Buffer }> {
  const head = await words.take(OPTION_REPLY_HEADER_BYTES);
  const length = head.readUInt32BE(16);
  if (!isPair(head, 0, OPTION_REPLY_MAGIC) || head.readUInt32BE(8) !== asked)
    throw broken('answers what was not asked');
  if (length > REPLY_BYTES_MAX) throw broken(`announces an answer of ${length} bytes`);
  return { kind: head.readUInt32BE(12), data: await words.take(length) };
}

function option(number: number, data: Buffer): Buffer {
  const head = Buffer.alloc(OPTION_HEADER_BYTES);
  head.writeUInt32BE(OPTION_MAGIC.high, 0);
  head.writeUInt32BE(OPTION_MAGIC.low, 4);
  head.writeUInt32BE(number, 8);
  head.writeUInt32BE(data.length, 12);
  return Buffer.concat([head, data]);
}

/** The name, and that block sizes are of interest. */
function goData(name: string): Buffer {
  const text = Buffer.from(name);
  const data = Buffer.alloc(4 + text.length + 4);
  data.writeUInt32BE(text.length, 0);
  text.copy(data, 4);
  data.writeUInt16BE(1, 4 + text.length);
  data.writeUInt16BE(INFO.blockSize, 6 + text.length);
  return data;
}

const isPair = (bytes: Buffer, at: number, { high, low }: { readonly high: number; readonly low: number }): boolean =>
  bytes.readUInt32BE(at) === high && bytes.readUInt32BE(at + 4) === low;

const broken = (what: string): AgentError => new AgentError('failed', `the server ${what}`);

const WAKING = ['readable', 'end', 'close'] as const;

/** So many bytes at a time, and no more than that in memory. */
class Words {
  readonly socket: Socket;
  #wake: () => void = () => {};
  readonly #heard = (): void => this.#wake();

  /** Listened to until `release`: a listener for `readable` that comes anew hears at once of what it has seen. */
  constructor(socket: Socket) {
    this.socket = socket;
    for (const event of WAKING) socket.on(event, this.#heard);
  }

  release(): void {
    for (const event of WAKING) this.socket.off(event, this.#heard);
  }

  async take(count: number): Promise<Buffer> {
    if (count === 0) return Buffer.alloc(0);
    const { socket } = this;
    for (;;) {
      const got = socket.read(count) as Buffer | null;
      if (got?.length === count) return got;
      if (got || socket.readableEnded || socket.destroyed) throw broken('closed the connection');
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }
}
