/**
 * The tunnel over the primary network. A message is sealed once, then cut into datagrams of path-MTU size, each with the
 * header below; the receiver puts them together again and opens the whole.
 *
 *   magic u8 | version u8 | key id u16 | sender u32 | incarnation 16 | counter u64 | total u32 | offset u32 | bytes
 *
 * `total` counts the sealed bytes (message and 16-byte tag); `counter` is the nonce, once per message and incarnation.
 * Everything in the header but `offset` is authenticated. A datagram without the incarnation (random at each start of
 * an agent) cannot spoil a message; one who can read the wire could spoil it, but never alter it.
 */
import { dataView, getU64, sameBytes, setU64 } from '../base/bytes.ts';
import { defineFields } from '../base/fields.ts';
import { Reassembly } from './reassembly.ts';
import { ReplayWindow } from './replay-window.ts';
import type { Seal } from './seal.ts';

export const TUNNEL_MAGIC = 0x5b;
/** 1: first version. A range (min, max) is accepted so that nodes can be upgraded one by one. */
export const TUNNEL_VERSION_MIN = 1;
export const TUNNEL_VERSION_MAX = 1;
export const TAG_BYTES = 16;

export const DATAGRAM = defineFields({
  magic: 1,
  version: 1,
  /** The first bytes of the key's id; zero without a key. */
  keyId: 2,
  /** Number of the sending node: the first four bytes of SHA-256 over its name. */
  sender: 4,
  incarnation: 16,
  counter: 8,
  total: 4,
  offset: 4,
} as const);
export const DATAGRAM_HEADER_BYTES: number = DATAGRAM.bytes;
const { at } = DATAGRAM;
/** The authenticated part of the header. */
const AAD_BYTES = at.offset;

/** The longest message: one super-packet with its record header, or many small frames. */
export const MESSAGE_BYTES_MAX = 72 * 1024;
/** One sendmsg with UDP_SEGMENT takes at most 64 segments, and at most what a UDP length can say. */
const SEGMENTS_MAX = 64;
const SEND_BYTES_MAX = 65_000;

/** Puts datagrams on the network: `length` bytes in segments of `segmentBytes`. False: no room now, nothing was sent. */
export type Transmit = (bytes: Uint8Array, length: number, segmentBytes: number) => boolean;

/** Seals messages to one peer and cuts them. */
export class TunnelSender {
  readonly #seal: Seal;
  readonly #transmit: Transmit;
  readonly #sealed: Uint8Array;
  readonly #out: Uint8Array;
  readonly #outView: DataView;
  readonly #header = new Uint8Array(DATAGRAM_HEADER_BYTES);
  #counter: number;
  #segmentBytes: number;

  /**
   * `out`: memory for one send, at least 64 KiB; where the edge needs its address it is shared memory. `spent`: the counter
   * of the last message that was ever sealed for this peer in this incarnation: a nonce must not serve twice.
   */
  constructor(
    seal: Seal,
    sender: number,
    incarnation: Uint8Array,
    segmentBytes: number,
    out: Uint8Array,
    transmit: Transmit,
    spent = 0,
  ) {
    this.#counter = spent;
    this.#seal = seal;
    this.#transmit = transmit;
    this.#segmentBytes = segmentBytes;
    this.#sealed = new Uint8Array(MESSAGE_BYTES_MAX + TAG_BYTES);
    this.#out = out;
    this.#outView = dataView(out);
    const view = dataView(this.#header);
    view.setUint8(at.magic, TUNNEL_MAGIC);
    view.setUint8(at.version, TUNNEL_VERSION_MAX);
    view.setUint32(at.sender, sender, true);
    this.#header.set(incarnation, at.incarnation);
  }

  /** The counter of the last message. */
  get spent(): number {
    return this.#counter;
  }

  /** The path MTU changed: datagrams of at most this many bytes of UDP payload. */
  set segmentBytes(bytes: number) {
    this.#segmentBytes = bytes;
  }

  get segmentBytes(): number {
    return this.#segmentBytes;
  }

  /** Sends `length` bytes of `message`. False when the network had no room for all of it: what went is lost. */
  send(message: Uint8Array, length: number): boolean {
    const total = length + TAG_BYTES;
    const header = this.#header;
    const view = dataView(header);
    setU64(view, at.counter, ++this.#counter);
    view.setUint32(at.total, total, true);
    this.#sealed.set(message.subarray(0, length));
    this.#seal.seal(
      this.#counter,
      header.subarray(0, AAD_BYTES),
      this.#sealed.subarray(0, length),
      this.#sealed.subarray(length, total),
    );
    return this.#cut(total);
  }

  #cut(total: number): boolean {
    const chunkBytes = this.#segmentBytes - DATAGRAM_HEADER_BYTES;
    const perSend = Math.min(SEGMENTS_MAX, Math.floor(SEND_BYTES_MAX / this.#segmentBytes));
    let offset = 0;
    while (offset < total) {
      let end = 0;
      for (let i = 0; i < perSend && offset < total; i++) {
        const chunk = Math.min(chunkBytes, total - offset);
        this.#out.set(this.#header, end);
        this.#outView.setUint32(end + at.offset, offset, true);
        this.#out.set(this.#sealed.subarray(offset, offset + chunk), end + DATAGRAM_HEADER_BYTES);
        end += DATAGRAM_HEADER_BYTES + chunk;
        offset += chunk;
      }
      if (!this.#transmit(this.#out, end, this.#segmentBytes)) return false;
    }
    return true;
  }
}

export interface TunnelCounters {
  messages: number;
  garbage: number;
  unauthentic: number;
  replayed: number;
  /** Datagrams of a version that is not understood. */
  version: number;
}

/** One incarnation of the peer, as its datagrams show it. */
export interface TunnelSession {
  readonly incarnation: Uint8Array;
  readonly seal: Seal;
  readonly window: ReplayWindow;
}

/** Gets an opened message. The bytes are valid during the call only. */
export type MessageSink = (session: TunnelSession, message: Uint8Array) => void;

/** A stranger's incarnation costs a key derivation: this many for each second and peer. */
const STRANGERS_PER_SECOND = 20;

/** Takes one peer's datagrams and opens its messages. Knows the accepted incarnation, a newcomer, and one the volume names. */
export class TunnelReceiver {
  readonly #sealFor: (incarnation: Uint8Array) => Seal;
  readonly #sink: MessageSink;
  readonly #reassembly = new Reassembly(MESSAGE_BYTES_MAX + TAG_BYTES);
  readonly counters: TunnelCounters = { messages: 0, garbage: 0, unauthentic: 0, replayed: 0, version: 0 };
  /** The version of the last datagram that was refused for it; null when none was. */
  foreignVersion: number | null = null;
  #accepted: TunnelSession | null = null;
  #newcomer: TunnelSession | null = null;
  #expected: TunnelSession | null = null;
  #strangers = 0;
  #strangersSecond = 0;

  constructor(sealFor: (incarnation: Uint8Array) => Seal, sink: MessageSink) {
    this.#sealFor = sealFor;
    this.#sink = sink;
  }

  /** From now on `incarnation` is the peer's; messages of any other are openable but reach the sink as a newcomer's. */
  accept(incarnation: Uint8Array): void {
    this.#accepted = this.#known(incarnation, 0) ?? this.#makeSession(incarnation);
    this.#newcomer = null;
    this.#expected = null;
  }

  /**
   * The peer's head block, which nobody else can write, names this incarnation: its datagrams are no strangers', however
   * many of those there are.
   */
  expect(incarnation: Uint8Array): void {
    this.#expected = this.#known(incarnation, 0) ?? this.#makeSession(incarnation);
  }

  #known(bytes: Uint8Array, offset: number): TunnelSession | null {
    for (const session of [this.#accepted, this.#newcomer, this.#expected]) {
      if (session && sameBytes(bytes, offset, session.incarnation, 0, 16)) return session;
    }
    return null;
  }

  #makeSession(incarnation: Uint8Array): TunnelSession {
    return { incarnation: incarnation.slice(), seal: this.#sealFor(incarnation), window: new ReplayWindow() };
  }

  /** One datagram: `bytes[start, end)`. The message, when it is complete, is opened in place. */
  receive(bytes: Uint8Array, start: number, end: number, nowMs: number): void {
    if (end - start <= DATAGRAM_HEADER_BYTES || bytes[start + at.magic] !== TUNNEL_MAGIC) {
      this.counters.garbage++;
      return;
    }
    const version = bytes[start + at.version] ?? 0;
    if (version < TUNNEL_VERSION_MIN || version > TUNNEL_VERSION_MAX) {
      this.counters.version++;
      this.foreignVersion = version;
      return;
    }
    const view = dataView(bytes);
    const counter = getU64(view, start + at.counter);
    const total = view.getUint32(start + at.total, true);
    const offset = view.getUint32(start + at.offset, true);
    const chunk = end - start - DATAGRAM_HEADER_BYTES;
    if (total <= TAG_BYTES || total > MESSAGE_BYTES_MAX + TAG_BYTES || offset + chunk > total || counter === Infinity) {
      this.counters.garbage++;
      return;
    }
    const session = this.#sessionOf(bytes, start + at.incarnation, nowMs);
    if (!session) return;
    const header = bytes.subarray(start, start + AAD_BYTES);
    if (chunk === total) this.#open(session, counter, header, bytes.subarray(end - chunk, end));
    else this.#assemble(session, counter, total, offset, bytes.subarray(end - chunk, end), header);
  }

  #sessionOf(bytes: Uint8Array, offset: number, nowMs: number): TunnelSession | null {
    if (this.#accepted && sameBytes(bytes, offset, this.#accepted.incarnation, 0, 16)) return this.#accepted;
    const known = this.#known(bytes, offset);
    if (known) return known;
    const second = Math.floor(nowMs / 1000);
    if (second !== this.#strangersSecond) {
      this.#strangersSecond = second;
      this.#strangers = 0;
    }
    if (++this.#strangers > STRANGERS_PER_SECOND) {
      this.counters.unauthentic++;
      return null;
    }
    return this.#makeSession(bytes.subarray(offset, offset + 16));
  }

  #open(session: TunnelSession, counter: number, header: Uint8Array, sealed: Uint8Array): void {
    const body = sealed.subarray(0, sealed.length - TAG_BYTES);
    if (!session.seal.open(counter, header, body, sealed.subarray(sealed.length - TAG_BYTES))) {
      this.counters.unauthentic++;
      return;
    }
    // Only now is the sender believed: a forged counter must not move the window, nor a forged stranger become known.
    if (!session.window.accept(counter)) {
      this.counters.replayed++;
      return;
    }
    if (session !== this.#accepted) this.#newcomer = session;
    this.counters.messages++;
    this.#sink(session, body);
  }

  #assemble(
    session: TunnelSession,
    counter: number,
    total: number,
    offset: number,
    chunk: Uint8Array,
    header: Uint8Array,
  ): void {
    if (session !== this.#accepted) return; // strangers' words fit into one datagram
    const whole = this.#reassembly.take(counter, total, offset, chunk);
    if (whole === 'garbage') this.counters.garbage++;
    else if (whole !== 'more') this.#open(session, counter, header, whole);
  }
}

/** The number of the node that a datagram of any version says it is from; -1 when it is not one of ours. */
export function datagramSender(bytes: Uint8Array, start: number, end: number): number {
  if (end - start <= DATAGRAM_HEADER_BYTES || bytes[start] !== TUNNEL_MAGIC) return -1;
  return dataView(bytes).getUint32(start + at.sender, true);
}
