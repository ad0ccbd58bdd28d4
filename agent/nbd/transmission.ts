/**
 * The transmission: requests come out of a stream, are checked, go to the volume, and are answered in the order in which
 * the volume is done. It knows no socket and no clock. A write reaches the volume when all of its payload is here, so
 * that a client that dies in the middle has written nothing.
 */
import { assert } from '../base/errors.ts';
import type { ByteStream } from './byte-stream.ts';
import type { Agreement } from './handshake.ts';
import type { Outbox, Place } from './outbox.ts';
import { Payload } from './payload.ts';
import {
  CHUNK,
  CHUNK_DONE,
  CHUNK_HEADER_BYTES,
  COMMAND,
  COMMAND_FLAG,
  NBD_ERROR,
  PAYLOAD_BYTES_MAX,
  REQUEST_BYTES,
  REQUEST_MAGIC,
  SIMPLE_REPLY_BYTES,
  SIMPLE_REPLY_MAGIC,
  STRUCTURED_REPLY_MAGIC,
  wireError,
} from './protocol.ts';
import type { Extent } from './volume.ts';

/** What a request costs beside its payload: its own memory, and the processor's time if there are very many. */
export const REQUEST_COST_BYTES = 4096;
/** In one reply, for each context; the client asks again from where they end. */
const EXTENTS_MAX = 4096;
const EXTENT_BYTES = 8;

const { fua, noHole, dontFragment, requestOne, fastZero } = COMMAND_FLAG;
/** Flags that each command may have. FUA is for all of them, even where it means nothing. */
const FLAGS_ALLOWED: ReadonlyMap<number, number> = new Map([
  [COMMAND.read, fua | dontFragment],
  [COMMAND.write, fua],
  [COMMAND.flush, fua],
  [COMMAND.trim, fua],
  [COMMAND.cache, fua],
  [COMMAND.writeZeroes, fua | noHole | fastZero],
  [COMMAND.blockStatus, fua | requestOne],
]);
const WRITING: ReadonlySet<number> = new Set([COMMAND.write, COMMAND.trim, COMMAND.writeZeroes]);

interface Request {
  readonly type: number;
  readonly flags: number;
  /** The client's own mark of the request, given back as it came. */
  readonly cookieHigh: number;
  readonly cookieLow: number;
  /** Infinity when it is beyond what a number can count. */
  readonly offset: number;
  readonly length: number;
  /** Room that it takes until its reply has been sent. */
  readonly cost: number;
  isAnswered: boolean;
}

export interface TransmissionHost {
  readonly outbox: Outbox;
  isStopping(): boolean;
  /** Takes room for a request, or answers false: then `step` is called again when the room has been taken. */
  admit(cost: number): boolean;
  /** The reply to an admitted request of this cost lies in the outbox. */
  replied(cost: number): void;
  /** The client leaves in order, when what it asked for has been answered. */
  leave(): void;
  /** Closes at once, with one line in the log. */
  refuse(why: string): void;
}

export class Transmission {
  readonly #host: TransmissionHost;
  readonly #agreement: Agreement;
  readonly #size: number;
  /** A request that waits for room. */
  #waiting: Request | null = null;
  #write: { readonly request: Request; readonly fault: number; readonly payload: Payload } | null = null;

  constructor(agreement: Agreement, host: TransmissionHost) {
    this.#agreement = agreement;
    this.#size = agreement.volume.size;
    this.#host = host;
  }

  /** True while a write lacks some of its payload. */
  get isInPayload(): boolean {
    return this.#write !== null;
  }

  /** The client is gone: a write that lacks some of its payload is forgotten. Answers the room that it had taken. */
  abandon(): number {
    const cost = this.#write?.request.cost ?? 0;
    this.#write?.payload.free();
    this.#write = null;
    return cost;
  }

  /** Goes on by one step; false when it needs more bytes or more room. */
  step(stream: ByteStream): boolean {
    if (this.#write) return this.#collect(stream);
    const request = this.#waiting ?? this.#decode(stream);
    if (!request) return false;
    this.#waiting = request;
    if (!this.#host.admit(request.cost)) return false;
    this.#waiting = null;
    const fault = this.#fault(request);
    if (request.type === COMMAND.write && request.length > 0) {
      this.#write = { request, fault, payload: new Payload(request.length) };
    } else if (fault !== 0) this.#done(request, fault);
    else this.#execute(request);
    return true;
  }

  #decode(stream: ByteStream): Request | null {
    if (!stream.take(REQUEST_BYTES)) return null;
    const { bytes, at } = stream;
    if (bytes.readUInt32BE(at) !== REQUEST_MAGIC) {
      this.#host.refuse('a request that does not begin with the magic number');
      return null;
    }
    const type = bytes.readUInt16BE(at + 6);
    const length = bytes.readUInt32BE(at + 24);
    if (type === COMMAND.disconnect) {
      this.#host.leave();
      return null;
    }
    if (type === COMMAND.write && length > PAYLOAD_BYTES_MAX) {
      this.#host.refuse(`a write of ${length} bytes, more than ${PAYLOAD_BYTES_MAX}`);
      return null;
    }
    const offset = bytes.readUInt32BE(at + 16) * 0x1_0000_0000 + bytes.readUInt32BE(at + 20);
    return {
      type,
      flags: bytes.readUInt16BE(at + 4),
      cookieHigh: bytes.readUInt32BE(at + 8),
      cookieLow: bytes.readUInt32BE(at + 12),
      offset: Number.isSafeInteger(offset) ? offset : Infinity,
      length,
      cost: REQUEST_COST_BYTES + this.#memory(type, length),
      isAnswered: false,
    };
  }

  /** Bytes of payload, there or back, that a request holds. */
  #memory(type: number, length: number): number {
    if (type === COMMAND.write) return length;
    if (type === COMMAND.read) return length > PAYLOAD_BYTES_MAX ? 0 : length;
    if (type === COMMAND.blockStatus) return this.#agreement.contexts.length * EXTENTS_MAX * EXTENT_BYTES;
    return 0;
  }

  #collect(stream: ByteStream): boolean {
    const write = this.#write;
    if (!write) return false;
    const { payload, request, fault } = write;
    const chunk = stream.takeSome(payload.missing);
    if (!chunk) return false;
    payload.add(chunk, stream.slab);
    if (payload.missing > 0) return true;
    this.#write = null;
    if (fault === 0) this.#writeAll(request, payload);
    else {
      payload.free();
      this.#done(request, fault);
    }
    return true;
  }

  /** The error that a request has earned before the volume hears of it; 0 for none. */
  #fault({ type, flags, offset, length }: Request): number {
    if (this.#host.isStopping()) return NBD_ERROR.ESHUTDOWN;
    const allowed = FLAGS_ALLOWED.get(type);
    const { isStructured, volume, contexts } = this.#agreement;
    if (allowed === undefined || (flags & ~allowed) !== 0) return NBD_ERROR.EINVAL;
    if (type === COMMAND.flush) return offset === 0 && length === 0 ? 0 : NBD_ERROR.EINVAL;
    if (WRITING.has(type) && volume.readOnly) return NBD_ERROR.EPERM;
    if (offset + length > this.#size) {
      return type === COMMAND.write || type === COMMAND.writeZeroes ? NBD_ERROR.ENOSPC : NBD_ERROR.EINVAL;
    }
    if (type === COMMAND.read) {
      if ((flags & dontFragment) !== 0 && !isStructured) return NBD_ERROR.EINVAL;
      if (length > PAYLOAD_BYTES_MAX) return isStructured ? NBD_ERROR.EOVERFLOW : NBD_ERROR.EINVAL;
    }
    if (type === COMMAND.blockStatus && (contexts.length === 0 || length === 0)) return NBD_ERROR.EINVAL;
    return 0;
  }

  #execute(request: Request): void {
    const { volume } = this.#agreement;
    const { type, flags, offset, length } = request;
    const done = (errno: number) => this.#done(request, errno);
    if (type === COMMAND.flush) return volume.flush(done);
    if (type === COMMAND.read) return this.#read(request);
    if (type === COMMAND.blockStatus) return this.#status(request);
    // The protocol leaves open what nothing at all means; CACHE is a hint, and the system reads ahead by itself.
    if (length === 0 || type === COMMAND.cache) return this.#done(request, 0);
    const isDurable = (flags & fua) !== 0;
    if (type === COMMAND.trim) return volume.trim(offset, length, isDurable, done);
    const how = { fua: isDurable, mayPunch: (flags & noHole) === 0, onlyIfFast: (flags & fastZero) !== 0 };
    volume.zero(offset, length, how, (errno) => {
      const isHonest = errno !== NBD_ERROR.ENOTSUP || how.onlyIfFast;
      this.#done(request, isHonest ? errno : NBD_ERROR.EIO);
    });
  }

  #writeAll(request: Request, payload: Payload): void {
    const isDurable = (request.flags & fua) !== 0;
    this.#agreement.volume.write(request.offset, request.length, payload.chunks, isDurable, (errno) => {
      payload.free();
      this.#done(request, errno);
    });
  }

  #read(request: Request): void {
    const { isStructured, volume } = this.#agreement;
    const { offset, length } = request;
    if (length === 0) return this.#done(request, 0);
    const head = isStructured ? CHUNK_HEADER_BYTES + 8 : SIMPLE_REPLY_BYTES;
    const place = this.#host.outbox.reserve(head + length);
    const into = place.bytes.subarray(place.at + head, place.at + head + length);
    volume.read(offset, into, (errno) => {
      if (errno !== 0) {
        this.#host.outbox.drop(place);
        return this.#done(request, errno);
      }
      if (isStructured) {
        chunkHeader(place, request, CHUNK.offsetData, CHUNK_DONE, length + 8);
        writeU64(place.bytes, place.at + CHUNK_HEADER_BYTES, offset);
      } else simpleReply(place, request, 0);
      this.#answer(request, place);
    });
  }

  #status(request: Request): void {
    const { contexts, volume } = this.#agreement;
    const answers: (readonly Extent[])[] = [];
    let missing = contexts.length;
    let failed = 0;
    for (const [index, context] of contexts.entries()) {
      volume.status(context, request.offset, request.length, (errno, extents) => {
        const kept = errno === 0 ? fitting(extents, request) : [];
        answers[index] = kept;
        if (errno !== 0 || kept.length === 0) failed = errno || NBD_ERROR.EIO;
        missing--;
        if (missing > 0) return;
        if (failed !== 0) this.#done(request, failed);
        else this.#statusReply(request, answers);
      });
    }
  }

  #statusReply(request: Request, answers: readonly (readonly Extent[])[]): void {
    const sizes = answers.map((extents) => CHUNK_HEADER_BYTES + 4 + EXTENT_BYTES * extents.length);
    const place = this.#host.outbox.reserve(sizes.reduce((sum, size) => sum + size, 0));
    const { bytes } = place;
    let { at } = place;
    for (const [index, extents] of answers.entries()) {
      const flags = index === answers.length - 1 ? CHUNK_DONE : 0;
      const chunk = { bytes, at };
      chunkHeader(chunk, request, CHUNK.blockStatus, flags, 4 + EXTENT_BYTES * extents.length);
      bytes.writeUInt32BE(index + 1, at + CHUNK_HEADER_BYTES);
      at += CHUNK_HEADER_BYTES + 4;
      for (const extent of extents) {
        bytes.writeUInt32BE(extent.length, at);
        bytes.writeUInt32BE(extent.flags, at + 4);
        at += EXTENT_BYTES;
      }
    }
    this.#answer(request, place);
  }

  /** Answers a request whose reply has no payload. */
  #done(request: Request, errno: number): void {
    const { isStructured } = this.#agreement;
    const needsChunk = request.type === COMMAND.read || (request.type === COMMAND.blockStatus && errno !== 0);
    if (!isStructured || !needsChunk) {
      const place = this.#host.outbox.reserve(SIMPLE_REPLY_BYTES);
      simpleReply(place, request, wireError(errno));
      return this.#answer(request, place);
    }
    const place = this.#host.outbox.reserve(CHUNK_HEADER_BYTES + (errno === 0 ? 0 : 6));
    if (errno === 0) chunkHeader(place, request, CHUNK.none, CHUNK_DONE, 0);
    else {
      chunkHeader(place, request, CHUNK.error, CHUNK_DONE, 6);
      place.bytes.writeUInt32BE(wireError(errno), place.at + CHUNK_HEADER_BYTES);
      // Without a text: the number says it.
      place.bytes.writeUInt16BE(0, place.at + CHUNK_HEADER_BYTES + 4);
    }
    this.#answer(request, place);
  }

  #answer(request: Request, place: Place): void {
    assert(!request.isAnswered, 'a volume answered one request twice');
    request.isAnswered = true;
    this.#host.outbox.push(place);
    this.#host.replied(request.cost);
  }
}

/** What of a volume's answer may be told: no empty extent, none beyond what was asked, and no more than the client wants. */
function fitting(extents: readonly Extent[], request: Request): Extent[] {
  const most = (request.flags & requestOne) !== 0 ? 1 : EXTENTS_MAX;
  const kept: Extent[] = [];
  let left = request.length;
  for (const { length, flags } of extents) {
    if (kept.length === most || left === 0) break;
    if (length <= 0) continue;
    kept.push({ length: Math.min(length, left), flags });
    left -= Math.min(length, left);
  }
  return kept;
}

interface At {
  readonly bytes: Buffer;
  readonly at: number;
}

function simpleReply({ bytes, at }: At, request: Request, error: number): void {
  bytes.writeUInt32BE(SIMPLE_REPLY_MAGIC, at);
  bytes.writeUInt32BE(error, at + 4);
  bytes.writeUInt32BE(request.cookieHigh, at + 8);
  bytes.writeUInt32BE(request.cookieLow, at + 12);
}

function chunkHeader({ bytes, at }: At, request: Request, type: number, flags: number, length: number): void {
  bytes.writeUInt32BE(STRUCTURED_REPLY_MAGIC, at);
  bytes.writeUInt16BE(flags, at + 4);
  bytes.writeUInt16BE(type, at + 6);
  bytes.writeUInt32BE(request.cookieHigh, at + 8);
  bytes.writeUInt32BE(request.cookieLow, at + 12);
  bytes.writeUInt32BE(length, at + 16);
}

function writeU64(bytes: Buffer, at: number, value: number): void {
  bytes.writeUInt32BE(Math.floor(value / 0x1_0000_0000), at);
  bytes.writeUInt32BE(value % 0x1_0000_0000, at + 4);
}
