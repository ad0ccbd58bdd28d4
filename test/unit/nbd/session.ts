/** One connection without a socket, its client's words to send, and its own words taken apart. */
import type { Prng } from '../../../agent/base/prng.ts';
import { Budget } from '../../../agent/nbd/budget.ts';
import { Connection } from '../../../agent/nbd/connection.ts';
import type { Intake } from '../../../agent/nbd/intake.ts';
import { OPTION, REQUEST_MAGIC } from '../../../agent/nbd/protocol.ts';
import { SlabPool } from '../../../agent/nbd/slab.ts';
import type { ServedVolume } from '../../../agent/nbd/volume.ts';

export interface SessionOptions {
  readonly needsTls?: boolean;
  readonly budget?: Budget;
  readonly pool?: SlabPool;
  readonly shareBytes?: number;
  /** Replies lie in the socket until `readAll`. */
  readonly isDeaf?: boolean;
}

const BUDGET_BYTES = 128 * 1024 * 1024;

export class Session {
  readonly connection: Connection;
  readonly budget: Budget;
  /** Why it was closed. */
  refusal: string | null = null;
  hasEnded = false;
  isPaused = false;
  hasTls = false;
  /** Bytes that were fed while reading was paused. */
  readonly #sentPieces: Buffer[] = [];
  readonly #unread: (() => void)[] = [];
  #soon: (() => void)[] = [];

  constructor(volumes: readonly ServedVolume[], options: SessionOptions = {}) {
    this.budget = options.budget ?? new Budget(BUDGET_BYTES);
    const settings = {
      exports: { list: () => volumes },
      needsTls: options.needsTls ?? false,
      pool: options.pool ?? new SlabPool(2 * this.budget.limit),
      budget: this.budget,
      shareBytes: options.shareBytes ?? this.budget.limit / 2,
    };
    this.connection = new Connection(settings, {
      send: (pieces, sent) => {
        // A copy, for the memory is used again once it is sent.
        this.#sentPieces.push(...pieces.map((piece) => Buffer.from(piece)));
        if (options.isDeaf === true) this.#unread.push(sent);
        else this.#soon.push(sent);
      },
      pause: () => (this.isPaused = true),
      resume: () => (this.isPaused = false),
      startTls: () => (this.hasTls = true),
      end: () => (this.hasEnded = true),
      refuse: (why) => {
        this.refusal ??= why;
        this.connection.close();
      },
      soon: (action) => this.#soon.push(action),
    });
    this.connection.greet();
    this.turn();
  }

  /** What the server has sent so far. */
  get output(): Buffer {
    return Buffer.concat(this.#sentPieces);
  }

  /** Sends bytes in one chunk; the chunk is the connection's, so it gets a copy. */
  feed(bytes: Uint8Array): this {
    this.connection.feed(Buffer.from(bytes));
    this.turn();
    return this;
  }

  /** Sends bytes as a socket brings them that receives into slabs; each receive brings `most` bytes at most. */
  receive(bytes: Uint8Array, intake: Intake, most: number): this {
    for (let at = 0; at < bytes.length;) {
      const room = intake.room();
      const part = bytes.subarray(at, at + Math.min(most, room.length));
      room.set(part);
      intake.arrived(part.length, (chunk, slab) => this.connection.feed(chunk, slab));
      at += part.length;
    }
    this.turn();
    return this;
  }

  /** The end of a turn of the event loop. */
  turn(): void {
    while (this.#soon.length > 0) {
      const actions = this.#soon;
      this.#soon = [];
      for (const action of actions) action();
    }
  }

  /** The client reads all that was sent. */
  readAll(): void {
    for (const sent of this.#unread.splice(0)) sent();
    this.turn();
  }
}

const u16 = (value: number): Buffer => {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return bytes;
};
export const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
};
const u64 = (value: number | bigint): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
};

export const clientFlags = (flags = 3): Buffer => u32(flags);

export const option = (number: number, data: Uint8Array = Buffer.alloc(0), length: number = data.length): Buffer =>
  Buffer.concat([Buffer.from('IHAVEOPT'), u32(number), u32(length), data]);

const text = (value: string): Buffer => Buffer.concat([u32(Buffer.byteLength(value)), Buffer.from(value)]);

export const info = (name: string, kinds: readonly number[] = [], number: number = OPTION.info): Buffer =>
  option(number, Buffer.concat([text(name), u16(kinds.length), ...kinds.map(u16)]));

export const go = (name: string, kinds: readonly number[] = []): Buffer => info(name, kinds, OPTION.go);

export const contexts = (number: number, name: string, queries: readonly string[]): Buffer =>
  option(number, Buffer.concat([text(name), u32(queries.length), ...queries.map(text)]));

export interface RequestWords {
  readonly type: number;
  readonly flags?: number;
  readonly cookie?: number | bigint;
  readonly offset?: number | bigint;
  readonly length?: number;
  readonly data?: Uint8Array;
}

export const request = ({ type, flags = 0, cookie = 1, offset = 0, length, data }: RequestWords): Buffer =>
  Buffer.concat([
    u32(REQUEST_MAGIC),
    u16(flags),
    u16(type),
    u64(cookie),
    u64(offset),
    u32(length ?? data?.length ?? 0),
    data ?? Buffer.alloc(0),
  ]);

/** Greeting's and flags' bytes, then option replies; what follows them is the transmission's. */
export interface OptionReply {
  readonly option: number;
  readonly kind: number;
  readonly data: Buffer;
}

const OPTION_REPLY_MAGIC = 0x0003e889045565a9n;

export function optionReplies(output: Buffer): OptionReply[] {
  const replies: OptionReply[] = [];
  let at = 18;
  while (at + 20 <= output.length && output.readBigUInt64BE(at) === OPTION_REPLY_MAGIC) {
    const length = output.readUInt32BE(at + 16);
    const data = output.subarray(at + 20, at + 20 + length);
    replies.push({ option: output.readUInt32BE(at + 8), kind: output.readUInt32BE(at + 12), data });
    at += 20 + length;
  }
  return replies;
}

export interface Reply {
  readonly cookie: bigint;
  readonly error: number;
  /** Of a structured reply: type and flags of the chunk; -1 for a simple one. */
  readonly type: number;
  readonly flags: number;
  readonly data: Buffer;
}

/** Replies of the transmission from `from` on; simple ones have `lengths[cookie]` bytes of data. */
export function replies(output: Buffer, from: number, lengths: Readonly<Record<string, number>> = {}): Reply[] {
  const found: Reply[] = [];
  let at = from;
  while (at < output.length) {
    const magic = output.readUInt32BE(at);
    const cookie = output.readBigUInt64BE(at + 8);
    if (magic === 0x67446698) {
      const error = output.readUInt32BE(at + 4);
      const length = error === 0 ? (lengths[String(cookie)] ?? 0) : 0;
      found.push({ cookie, error, type: -1, flags: 0, data: output.subarray(at + 16, at + 16 + length) });
      at += 16 + length;
      continue;
    }
    if (magic !== 0x668e33ef) throw new Error(`no reply begins at byte ${at}: 0x${magic.toString(16)}`);
    const length = output.readUInt32BE(at + 16);
    const type = output.readUInt16BE(at + 6);
    const data = output.subarray(at + 20, at + 20 + length);
    const error = (type & 0x8000) !== 0 ? data.readUInt32BE(0) : 0;
    found.push({ cookie, error, type, flags: output.readUInt16BE(at + 4), data });
    at += 20 + length;
  }
  return found;
}

/** A session in the transmission with `volume`; what was sent until then is left out of `since`. */
export function transmitting(
  volume: ServedVolume,
  words: readonly Uint8Array[] = [option(OPTION.structuredReply)],
  options: SessionOptions = {},
): { readonly session: Session; readonly since: (lengths?: Readonly<Record<string, number>>) => Reply[] } {
  const session = new Session([volume], options);
  session.feed(Buffer.concat([clientFlags(), ...words, go(volume.name)]));
  session.readAll();
  const from = session.output.length;
  return { session, since: (lengths = {}) => replies(session.output, from, lengths) };
}

/** One of them. */
export function pick<T>(random: Prng, from: readonly T[]): T {
  const chosen = from[random.below(from.length)];
  if (chosen === undefined) throw new RangeError('nothing to pick from');
  return chosen;
}
