/**
 * The handshake: greeting, client flags, then options one after the other until one of them enters the transmission. It
 * reads from a stream and answers into an outbox; it knows no socket and no clock.
 */
import type { ByteStream } from './byte-stream.ts';
import { decodeContexts, decodeInfo, selectContexts } from './option-data.ts';
import { type Outbox } from './outbox.ts';
import {
  ALLOCATION_CONTEXT,
  BLOCK_BYTES,
  BLOCK_SIZE_INFO_BYTES,
  CLIENT_FLAGS_BYTES,
  EXPORT_INFO_BYTES,
  EXPORT_NAME_PADDING_BYTES,
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
  TRANSMISSION,
} from './protocol.ts';
import { type Exports, findExport, type ServedVolume } from './volume.ts';

/** Data of one option; the longest sensible one is a list of queries for metadata. */
const OPTION_BYTES_MAX = 65_536;

/** What was agreed. */
export interface Agreement {
  readonly volume: ServedVolume;
  readonly isStructured: boolean;
  /** Selected metadata contexts; the id of each is its index + 1. */
  readonly contexts: readonly string[];
}

export interface HandshakeHost {
  readonly exports: Exports;
  readonly outbox: Outbox;
  /** Nothing but the upgrade is answered before TLS; without it the upgrade is refused. */
  readonly needsTls: boolean;
  isStopping(): boolean;
  /** Sends what waits in the outbox, then the connection goes on over TLS and calls `secured`. */
  startTls(): void;
  enter(agreement: Agreement): void;
  /** The client leaves in order. */
  leave(): void;
  /** Closes at once, with one line in the log. */
  refuse(why: string): void;
}

export class Handshake {
  readonly #host: HandshakeHost;
  #step: (stream: ByteStream) => boolean;
  #isFixed = false;
  #withoutZeroes = false;
  #isSecure = false;
  #isStructured = false;
  #contexts: { readonly volume: string; readonly names: readonly string[] } | null = null;
  #option = 0;
  #data: Buffer = Buffer.alloc(0);
  #received = 0;

  constructor(host: HandshakeHost) {
    this.#host = host;
    this.#step = (stream) => this.#clientFlags(stream);
  }

  greet(): void {
    const { bytes, at } = this.#place(GREETING_BYTES);
    bytes.writeUInt32BE(GREETING_MAGIC.high, at);
    bytes.writeUInt32BE(GREETING_MAGIC.low, at + 4);
    bytes.writeUInt32BE(OPTION_MAGIC.high, at + 8);
    bytes.writeUInt32BE(OPTION_MAGIC.low, at + 12);
    bytes.writeUInt16BE(HANDSHAKE.fixedNewstyle | HANDSHAKE.noZeroes, at + 16);
  }

  /** Goes on by one step; false when it needs more bytes. */
  step(stream: ByteStream): boolean {
    return this.#step(stream);
  }

  /** TLS runs: what was agreed before could have been forged, so it counts no more. */
  secured(): void {
    this.#isSecure = true;
    this.#isStructured = false;
    this.#contexts = null;
  }

  #clientFlags(stream: ByteStream): boolean {
    if (!stream.take(CLIENT_FLAGS_BYTES)) return false;
    const flags = stream.bytes.readUInt32BE(stream.at);
    if ((flags & ~(HANDSHAKE.fixedNewstyle | HANDSHAKE.noZeroes)) !== 0) {
      this.#host.refuse(`unknown client flags 0x${flags.toString(16)}`);
      return false;
    }
    this.#isFixed = (flags & HANDSHAKE.fixedNewstyle) !== 0;
    this.#withoutZeroes = (flags & HANDSHAKE.noZeroes) !== 0;
    this.#step = (next) => this.#optionHeader(next);
    return true;
  }

  #optionHeader(stream: ByteStream): boolean {
    if (!stream.take(OPTION_HEADER_BYTES)) return false;
    const { bytes, at } = stream;
    if (bytes.readUInt32BE(at) !== OPTION_MAGIC.high || bytes.readUInt32BE(at + 4) !== OPTION_MAGIC.low) {
      this.#host.refuse('an option that does not begin with the magic number');
      return false;
    }
    this.#option = bytes.readUInt32BE(at + 8);
    const length = bytes.readUInt32BE(at + 12);
    if (length > OPTION_BYTES_MAX) {
      this.#host.refuse(`an option of ${length} bytes, more than ${OPTION_BYTES_MAX}`);
      return false;
    }
    this.#data = Buffer.allocUnsafe(length);
    this.#received = 0;
    this.#step = (next) => this.#optionData(next);
    return true;
  }

  #optionData(stream: ByteStream): boolean {
    while (this.#received < this.#data.length) {
      const part = stream.takeSome(this.#data.length - this.#received);
      if (!part) return false;
      this.#data.set(part, this.#received);
      this.#received += part.length;
    }
    const data = this.#data;
    this.#data = Buffer.alloc(0);
    this.#step = (next) => this.#optionHeader(next);
    this.#answer(this.#option, data, stream);
    return true;
  }

  #answer(option: number, data: Buffer, stream: ByteStream): void {
    if (option === OPTION.abort) {
      this.#reply(REPLY.ack);
      return this.#host.leave();
    }
    if (option === OPTION.exportName) return this.#exportName(data.toString('utf8'));
    if (this.#host.isStopping()) return this.#reply(REPLY.shutdown);
    if (option === OPTION.startTls) return this.#startTls(data, stream);
    if (this.#host.needsTls && !this.#isSecure) return this.#reply(REPLY.tlsRequired);
    switch (option) {
      case OPTION.list:
        return this.#list(data);
      case OPTION.info:
      case OPTION.go:
        return this.#info(data);
      case OPTION.structuredReply:
        if (data.length > 0) return this.#reply(REPLY.invalid);
        this.#isStructured = true;
        return this.#reply(REPLY.ack);
      case OPTION.listMetaContext:
      case OPTION.setMetaContext:
        return this.#metaContext(data);
      default:
        return this.#reply(REPLY.unsupported);
    }
  }

  #startTls(data: Buffer, stream: ByteStream): void {
    if (!this.#host.needsTls) return this.#reply(REPLY.policy);
    if (data.length > 0 || this.#isSecure || !this.#isFixed) return this.#reply(REPLY.invalid);
    // What came in the clear behind it could be somebody else's, to be taken for the client's once TLS runs.
    if (stream.length > 0) return this.#host.refuse('bytes in the clear after the request for TLS');
    this.#reply(REPLY.ack);
    this.#host.startTls();
  }

  #list(data: Buffer): void {
    if (data.length > 0) return this.#reply(REPLY.invalid);
    for (const { name, description } of this.#host.exports.list()) {
      const text = Buffer.from(name);
      const head = Buffer.alloc(4);
      head.writeUInt32BE(text.length);
      this.#reply(REPLY.server, Buffer.concat([head, text, Buffer.from(description)]));
    }
    this.#reply(REPLY.ack);
  }

  /** Cannot be answered with an error, so what cannot be had ends the connection. */
  #exportName(name: string): void {
    if (this.#host.needsTls && !this.#isSecure) return this.#host.refuse('asked for an export without TLS');
    const volume = this.#host.isStopping() ? null : findExport(this.#host.exports, name);
    if (!volume) return this.#host.refuse(`asked for export "${name.slice(0, 64)}", which is not here`);
    const { bytes, at } = this.#place(10 + (this.#withoutZeroes ? 0 : EXPORT_NAME_PADDING_BYTES));
    bytes.writeBigUInt64BE(BigInt(volume.size), at);
    bytes.writeUInt16BE(transmissionFlags(volume, this.#isStructured), at + 8);
    if (!this.#withoutZeroes) bytes.fill(0, at + 10, at + 10 + EXPORT_NAME_PADDING_BYTES);
    this.#enter(volume);
  }

  #info(data: Buffer): void {
    const asked = decodeInfo(data);
    if (!asked) return this.#reply(REPLY.invalid);
    const volume = findExport(this.#host.exports, asked.name);
    if (!volume) return this.#reply(REPLY.unknown, Buffer.from('no such export'));
    const about = Buffer.alloc(EXPORT_INFO_BYTES);
    about.writeUInt16BE(INFO.export);
    about.writeBigUInt64BE(BigInt(volume.size), 2);
    about.writeUInt16BE(transmissionFlags(volume, this.#isStructured), 10);
    this.#reply(REPLY.info, about);
    if (asked.kinds.has(INFO.name)) this.#reply(REPLY.info, textInfo(INFO.name, volume.name));
    if (asked.kinds.has(INFO.description)) this.#reply(REPLY.info, textInfo(INFO.description, volume.description));
    if (asked.kinds.has(INFO.blockSize)) this.#reply(REPLY.info, blockSizeInfo());
    this.#reply(REPLY.ack);
    if (this.#option === OPTION.go) this.#enter(volume);
  }

  #metaContext(data: Buffer): void {
    const isSet = this.#option === OPTION.setMetaContext;
    if (isSet) this.#contexts = null;
    const asked = decodeContexts(data);
    if (!asked || !this.#isStructured) return this.#reply(REPLY.invalid);
    const volume = findExport(this.#host.exports, asked.name);
    if (!volume) return this.#reply(REPLY.unknown, Buffer.from('no such export'));
    const names = selectContexts(this.#option, asked.queries, [ALLOCATION_CONTEXT, ...volume.contexts]);
    for (const [index, name] of names.entries()) {
      const id = Buffer.alloc(4);
      id.writeUInt32BE(isSet ? index + 1 : 0);
      this.#reply(REPLY.metaContext, Buffer.concat([id, Buffer.from(name)]));
    }
    if (isSet) this.#contexts = { volume: volume.name, names };
    this.#reply(REPLY.ack);
  }

  #enter(volume: ServedVolume): void {
    const selected = this.#contexts;
    // Contexts count for the export that they were selected for alone.
    const contexts = selected?.volume === volume.name ? selected.names : [];
    this.#host.enter({ volume, isStructured: this.#isStructured, contexts });
  }

  #reply(kind: number, data?: Buffer): void {
    const length = data?.length ?? 0;
    const { bytes, at } = this.#place(OPTION_REPLY_HEADER_BYTES + length);
    bytes.writeUInt32BE(OPTION_REPLY_MAGIC.high, at);
    bytes.writeUInt32BE(OPTION_REPLY_MAGIC.low, at + 4);
    bytes.writeUInt32BE(this.#option, at + 8);
    bytes.writeUInt32BE(kind, at + 12);
    bytes.writeUInt32BE(length, at + 16);
    data?.copy(bytes, at + OPTION_REPLY_HEADER_BYTES);
  }

  #place(length: number): { readonly bytes: Buffer; readonly at: number } {
    const place = this.#host.outbox.reserve(length);
    this.#host.outbox.push(place);
    return place;
  }
}

function transmissionFlags(volume: ServedVolume, isStructured: boolean): number {
  const { hasFlags, flush, fua, multipleConnections, cache } = TRANSMISSION;
  let flags = hasFlags | flush | fua | multipleConnections | cache;
  if (volume.readOnly) flags |= TRANSMISSION.readOnly;
  else flags |= TRANSMISSION.trim | TRANSMISSION.writeZeroes | TRANSMISSION.fastZero;
  if (isStructured) flags |= TRANSMISSION.dontFragment;
  return flags;
}

function textInfo(kind: number, text: string): Buffer {
  const head = Buffer.alloc(2);
  head.writeUInt16BE(kind);
  return Buffer.concat([head, Buffer.from(text)]);
}

function blockSizeInfo(): Buffer {
  const info = Buffer.alloc(BLOCK_SIZE_INFO_BYTES);
  info.writeUInt16BE(INFO.blockSize);
  info.writeUInt32BE(BLOCK_BYTES.minimum, 2);
  info.writeUInt32BE(BLOCK_BYTES.preferred, 6);
  info.writeUInt32BE(PAYLOAD_BYTES_MAX, 10);
  return info;
}
