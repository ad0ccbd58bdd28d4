/**
 * What corosync says in a datagram: knet's header (on-wire version 1) and, behind it or by itself (udpu), totem's (corosync 3).
 *
 * knet's numbers are big-endian; totem's are in the order of the sender's processor, which its magic tells. Where corosync
 * encrypts (`crypto_cipher`), the whole datagram is: then nothing of it can be told, and `corosyncView` answers null.
 *
 * Any bytes may come in. Nothing outside them is read: each look goes through a view of just these bytes, which would throw.
 */
import { dataView } from '../base/bytes.ts';

const KNET_VERSION = 1;
const KNET_HEADER_BYTES = 6;
const KNET_DATA_BYTES = 8;
const KNET_PING_BYTES = 20;
const KNET_PMTUD_BYTES = 3;
/** A higher one is no knet of this decade: bytes that look like knet by chance. */
const KNET_MAX_VERSION = 16;

const TOTEM_MAGIC = 0xc070;
const TOTEM_VERSION = 3;
const TOTEM_HEADER_BYTES = 13;
/** corosync's own limit is 384; a list in the output is for eyes. */
const LIST_MAX = 64;

export type KnetView = { readonly node: number } & (
  | {
      readonly kind: 'data';
      readonly sequence: number;
      readonly channel: number;
      readonly fragment: number;
      readonly fragments: number;
      readonly compressed: boolean;
      readonly toAll: boolean;
      readonly bytes: number;
    }
  | {
      readonly kind: 'ping' | 'pong';
      readonly link: number;
      readonly sequence: number;
      readonly timed: boolean;
    }
  | { readonly kind: 'pmtud' | 'pmtud reply'; readonly link: number; readonly size: number }
);

/** The identity of a membership: the node that formed it, and its number, which rises. */
export interface RingId {
  readonly node: number;
  readonly sequence: number;
}

export type TotemView = { readonly node: number } & (
  | {
      readonly kind: 'orf token';
      readonly target: number;
      readonly ring: RingId;
      readonly sequence: number;
      readonly tokenSequence: number;
      /** All have received up to this. */
      readonly aru: number;
      readonly backlog: number;
      readonly retransmits: number;
    }
  | {
      readonly kind: 'mcast';
      readonly ring: RingId;
      readonly from: number;
      readonly sequence: number;
      readonly encapsulated: boolean;
      readonly bytes: number;
    }
  | { readonly kind: 'memb merge detect'; readonly ring: RingId; readonly from: number }
  | {
      readonly kind: 'memb join';
      readonly from: number;
      readonly ringSequence: number;
      readonly members: readonly number[];
      readonly failed: readonly number[];
    }
  | {
      readonly kind: 'memb commit token';
      readonly ring: RingId;
      readonly tokenSequence: number;
      readonly members: readonly number[];
    }
  | { readonly kind: 'token hold cancel'; readonly ring: RingId }
);

export interface CorosyncView {
  readonly knet?: KnetView;
  readonly totem?: TotemView;
}

/** What a datagram's payload is; null when it is neither (encrypted, another version, something else, or cut short). */
export function corosyncView(payload: Uint8Array): CorosyncView | null {
  const totem = totemView(payload);
  if (totem) return { totem };
  const knet = knetView(payload);
  if (!knet) return null;
  if (knet.kind !== 'data' || knet.compressed || knet.fragment > 1) return { knet };
  const inside = totemView(payload.subarray(KNET_HEADER_BYTES + KNET_DATA_BYTES));
  return inside ? { knet, totem: inside } : { knet };
}

const KNET_DATA = 0;
const KNET_PINGS: Readonly<Record<number, 'ping' | 'pong'>> = { 0x81: 'ping', 0x82: 'pong' };
const KNET_PMTUDS: Readonly<Record<number, 'pmtud' | 'pmtud reply'>> = { 0x83: 'pmtud', 0x84: 'pmtud reply' };

export function knetView(payload: Uint8Array): KnetView | null {
  if (payload.length < KNET_HEADER_BYTES) return null;
  const view = dataView(payload);
  const type = view.getUint8(1);
  const isKnet = view.getUint8(0) === KNET_VERSION && view.getUint8(4) <= KNET_MAX_VERSION && view.getUint8(5) === 0;
  if (!isKnet) return null;
  const node = view.getUint16(2);
  const at = KNET_HEADER_BYTES;
  const left = payload.length - at;
  const [ping, pmtud] = [KNET_PINGS[type], KNET_PMTUDS[type]];
  if (type === KNET_DATA && left >= KNET_DATA_BYTES) {
    return {
      node,
      kind: 'data',
      sequence: view.getUint16(at),
      channel: view.getInt8(at + 7),
      fragment: view.getUint8(at + 6),
      fragments: view.getUint8(at + 5),
      compressed: view.getUint8(at + 2) !== 0,
      toAll: view.getUint8(at + 4) !== 0,
      bytes: left - KNET_DATA_BYTES,
    };
  }
  if (ping && left >= KNET_PING_BYTES) {
    const sequence = view.getUint16(at + 17);
    return { node, kind: ping, link: view.getUint8(at), sequence, timed: view.getUint8(at + 19) !== 0 };
  }
  if (pmtud && left >= KNET_PMTUD_BYTES) {
    return { node, kind: pmtud, link: view.getUint8(at), size: view.getUint16(at + 1) };
  }
  return null;
}

/** Numbers of a totem message, in its sender's order. */
class TotemBytes {
  readonly #view: DataView;
  readonly #isLittle: boolean;
  readonly length: number;

  constructor(view: DataView, isLittle: boolean) {
    this.#view = view;
    this.#isLittle = isLittle;
    this.length = view.byteLength;
  }

  u8(at: number): number {
    return this.#view.getUint8(at);
  }

  u32(at: number): number {
    return this.#view.getUint32(at, this.#isLittle);
  }

  u64(at: number): number {
    return Number(this.#view.getBigUint64(at, this.#isLittle));
  }

  ring(at: number): RingId {
    return { node: this.u32(at), sequence: this.u64(at + 4) };
  }

  /** `count` node ids from `at` on: as many as the bytes hold, and no more than somebody would read. */
  nodes(at: number, count: number): number[] {
    const there = Math.floor((this.length - at) / 4);
    return Array.from({ length: Math.max(0, Math.min(count, there, LIST_MAX)) }, (_, i) => this.u32(at + 4 * i));
  }
}

type Reader = (bytes: TotemBytes) => TotemView;

const nodeOf = (bytes: TotemBytes): number => bytes.u32(5);

/** By message type: the bytes that its fixed part takes, and how it is read. */
const TOTEM_TYPES: readonly (readonly [bytes: number, read: Reader])[] = [
  [
    57,
    (bytes) => ({
      kind: 'orf token',
      node: nodeOf(bytes),
      target: bytes.u32(9),
      ring: bytes.ring(29),
      sequence: bytes.u32(13),
      tokenSequence: bytes.u32(17),
      aru: bytes.u32(21),
      backlog: bytes.u32(41),
      retransmits: bytes.u32(53),
    }),
  ],
  [
    45,
    (bytes) => ({
      kind: 'mcast',
      node: nodeOf(bytes),
      ring: bytes.ring(25),
      from: bytes.u32(13),
      sequence: bytes.u32(17),
      encapsulated: bytes.u8(4) === 1,
      bytes: bytes.length - 45,
    }),
  ],
  [29, (bytes) => ({ kind: 'memb merge detect', node: nodeOf(bytes), ring: bytes.ring(17), from: bytes.u32(13) })],
  [
    33,
    (bytes) => {
      const members = bytes.nodes(33, bytes.u32(17));
      return {
        kind: 'memb join',
        node: nodeOf(bytes),
        from: bytes.u32(13),
        ringSequence: bytes.u64(25),
        members,
        failed: bytes.nodes(33 + 4 * bytes.u32(17), bytes.u32(21)),
      };
    },
  ],
  [
    41,
    (bytes) => ({
      kind: 'memb commit token',
      node: nodeOf(bytes),
      ring: bytes.ring(17),
      tokenSequence: bytes.u32(13),
      members: bytes.nodes(41, bytes.u32(37)),
    }),
  ],
  [25, (bytes) => ({ kind: 'token hold cancel', node: nodeOf(bytes), ring: bytes.ring(13) })],
];

export function totemView(payload: Uint8Array): TotemView | null {
  if (payload.length < TOTEM_HEADER_BYTES) return null;
  const view = dataView(payload);
  const isLittle = view.getUint16(0, true) === TOTEM_MAGIC;
  if (!isLittle && view.getUint16(0, false) !== TOTEM_MAGIC) return null;
  const type = TOTEM_TYPES[view.getUint8(3)];
  if (view.getUint8(2) !== TOTEM_VERSION || !type || payload.length < type[0]) return null;
  return type[1](new TotemBytes(view, isLittle));
}

/** The same as a few words. */
export function corosyncText({ knet, totem }: CorosyncView): string {
  return [knet && knetText(knet), totem && totemText(totem)].filter((part) => part !== undefined).join(', ');
}

function knetText(view: KnetView): string {
  switch (view.kind) {
    case 'data': {
      const part = view.fragments > 1 ? ` part ${view.fragment} of ${view.fragments}` : '';
      return `knet data of node ${view.node} sequence ${view.sequence}${part}${view.compressed ? ' compressed' : ''}`;
    }
    case 'ping':
    case 'pong':
      return `knet ${view.kind} of node ${view.node} link ${view.link} sequence ${view.sequence}`;
    default:
      return `knet ${view.kind} of node ${view.node} link ${view.link} size ${view.size}`;
  }
}

const ringText = ({ node, sequence }: RingId): string => `ring ${node}.${sequence.toString(16)}`;

function totemText(view: TotemView): string {
  const who = `totem ${view.kind} of node ${view.node}`;
  switch (view.kind) {
    case 'orf token': {
      const again = view.retransmits > 0 ? ` retransmits ${view.retransmits}` : '';
      return `${who} ${ringText(view.ring)} sequence ${view.sequence} aru ${view.aru} token ${view.tokenSequence}${again}`;
    }
    case 'mcast':
      return `${who} ${ringText(view.ring)} sequence ${view.sequence} ${view.bytes} bytes`;
    case 'memb join':
      return `${who} members ${listText(view.members)} failed ${listText(view.failed)}`;
    case 'memb commit token':
      return `${who} ${ringText(view.ring)} members ${listText(view.members)}`;
    default:
      return `${who} ${ringText(view.ring)}`;
  }
}

const listText = (nodes: readonly number[]): string => (nodes.length === 0 ? 'none' : nodes.join(','));
