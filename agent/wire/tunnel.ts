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
import { dataView, getU64, sameBytes, setU64, toHex } from '../base/bytes.ts';
import { defineFields } from '../base/fields.ts';
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

/** Refuses a counter that came before; remembers the last 4,096, older ones are refused. */
export class ReplayWindow {
  static readonly SIZE = 4096;
  readonly #seen = new Uint8Array(ReplayWindow.SIZE);
  #highest = 0;

  /** True when `counter` is new; it is then remembered. */
  accept(counter: number): boolean {
    const size = ReplayWindow.SIZE;
    if (counter + size <= this.#highest) return false;
    if (counter > this.#highest) {
      const gone = Math.min(counter - this.#highest, size);
      for (let i = 1; i <= gone; i++) this.#seen[(this.#highest + i) % size] = 0;
      this.#highest = counter;
    }
    if (this.#seen[counter % size] === 1) return false;
    this.#seen[counter % size] = 1;
    return true;
  }
}

export const TUNNEL_COUNTERS = ['messages', 'garbage', 'unauthentic', 'replayed', 'unassembled', 'version'] as const;
export type TunnelCounter = (typeof TUNNEL_COUNTERS)[number];

/** One incarnation of the peer, as its datagrams show it. */
export interface TunnelSession {
  readonly incarnation: Uint8Array;
  readonly seal: Seal;
  readonly window: ReplayWindow;
}

/** Gets an opened message. The bytes are valid during the call only. */
export type MessageSink = (session: TunnelSession, message: Uint8Array) => void;

interface Assembly {
  counter: number;
  total: number;
  got: number;
  chunkBytes: number;
  readonly have: Uint8Array;
  readonly bytes: Uint8Array;
}

const ASSEMBLIES = 16;
/** A stranger's incarnation costs a key derivation: this many for each second and peer. */
const STRANGERS_PER_SECOND = 20;

/** Takes one peer's datagrams and opens its messages. Knows the accepted incarnation, a newcomer, and one the volume names. */
export class TunnelReceiver {
  readonly #sealFor: (incarnation: Uint8Array) => Seal;
  readonly #sink: MessageSink;
  readonly #assemblies: Assembly[] = [];
  readonly counters: Record<TunnelCounter, number> = {
    messages: 0,
    garbage: 0,
    unauthentic: 0,
    replayed: 0,
    unassembled: 0,
    version: 0,
  };
  /** The version of the last datagram that was refused for it; 0 when none was. */
  foreignVersion = 0;
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
    const assembly = this.#assemblyFor(counter, total);
    const isLast = offset + chunk.length === total;
    if (!isLast && assembly.chunkBytes === 0) assembly.chunkBytes = chunk.length;
    const index = isLast ? assembly.have.length - 1 : offset / assembly.chunkBytes;
    const fits =
      isLast || (Number.isInteger(index) && chunk.length === assembly.chunkBytes && index < assembly.have.length - 1);
    if (!fits || assembly.have[index] === 1) {
      this.counters.garbage++;
      return;
    }
    assembly.have[index] = 1;
    assembly.bytes.set(chunk, offset);
    assembly.got += chunk.length;
    if (assembly.got < total) return;
    assembly.counter = 0;
    this.#open(session, counter, header, assembly.bytes.subarray(0, total));
  }

  /** The place where this message is put together; the oldest unfinished one makes room. */
  #assemblyFor(counter: number, total: number): Assembly {
    let place: Assembly | undefined;
    for (const assembly of this.#assemblies) {
      if (assembly.counter === counter && assembly.total === total) return assembly;
      if (!place || assembly.counter < place.counter) place = assembly;
    }
    if (!place || (place.counter !== 0 && this.#assemblies.length < ASSEMBLIES)) {
      place = {
        counter: 0,
        total: 0,
        got: 0,
        chunkBytes: 0,
        have: new Uint8Array(256),
        bytes: new Uint8Array(MESSAGE_BYTES_MAX + TAG_BYTES),
      };
      this.#assemblies.push(place);
    }
    if (place.counter !== 0) this.counters.unassembled++;
    place.counter = counter;
    place.total = total;
    place.got = 0;
    place.chunkBytes = 0;
    place.have.fill(0);
    return place;
  }
}

/** The number of the node that a datagram of any version says it is from; -1 when it is not one of ours. */
export function datagramSender(bytes: Uint8Array, start: number, end: number): number {
  if (end - start <= DATAGRAM_HEADER_BYTES || bytes[start] !== TUNNEL_MAGIC) return -1;
  return dataView(bytes).getUint32(start + at.sender, true);
}

/** For the log: the first bytes of an incarnation. */
export const shortIncarnation = (incarnation: Uint8Array): string => toHex(incarnation.subarray(0, 4));
