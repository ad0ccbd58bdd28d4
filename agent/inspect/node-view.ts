/** What the head blocks say of each node, with the figures that follow from comparing them. */
import { sameBytes, toHex } from '../base/bytes.ts';
import { PATHS } from '../base/paths.ts';
import { decodeHead, headVersion, parseHead, withIdentity, type Head, type HeadEntry } from '../volume/head.ts';
import { FORMAT_VERSION, HEAD_STATE } from '../volume/layout.ts';
import { HELLO_FLAG } from '../wire/message.ts';
import type { InspectedVolume } from './inspected-volume.ts';
import type { Openers } from './openers.ts';

export interface PeerView {
  readonly node: string;
  readonly path: string;
  readonly flags: readonly string[];
  /** How far the node has read this peer's ring, and how far the peer has written beyond that; null: unknown. */
  readonly readPosition: number;
  readonly lagBytes: number | null;
  readonly nextData: number;
  readonly nextBulk: number;
  readonly floorHeartbeat: number;
  readonly floorData: number;
  readonly floorBulk: number;
}

export interface NodeView {
  readonly node: string;
  readonly slot: number;
  readonly state: 'never' | 'running' | 'stopped' | 'version' | 'foreign' | 'damaged' | 'unreadable';
  /** False: sealed, and there is no key to prove it with. */
  readonly proven: boolean;
  readonly head: {
    readonly incarnation: string;
    readonly incarnationNumber: number;
    readonly beaconTime: string;
    readonly beaconAgeMs: number;
    readonly headMark: number;
    readonly orderMark: number;
    readonly reservedMark: number;
    readonly position: number;
    readonly startPosition: number;
    readonly hostId: string;
    readonly pid: number;
    readonly keyId: string | null;
    /** What the slowest reader that echoes this incarnation has not read, and how much of the ring that is. */
    readonly unreadBytes: number;
    readonly fill: number;
    readonly peers: readonly PeerView[];
  } | null;
}

/** Each slot's head, when it can be had: believed, or unproven for want of the key. */
export interface SlotHead {
  readonly slot: number;
  readonly head: Head | null;
  readonly state: NodeView['state'];
  readonly proven: boolean;
}

export function readSlotHeads(
  volume: InspectedVolume,
  heads: readonly Uint8Array[] | null,
  openers: Openers,
): readonly SlotHead[] {
  return volume.slots.map((slot) => {
    const block = heads?.[slot];
    return block ? slotHead(volume, slot, block, openers) : { slot, head: null, state: 'unreadable', proven: false };
  });
}

function slotHead(volume: InspectedVolume, slot: number, block: Uint8Array, openers: Openers): SlotHead {
  if (![-1, FORMAT_VERSION >>> 16].includes(headVersion(block))) {
    return { slot, head: null, state: isAltered(volume, slot, block, openers) ? 'damaged' : 'version', proven: false };
  }
  const seals = openers.forHead(block);
  if (seals === null) {
    const head = parseHead(block);
    const isPlausible = Number.isSafeInteger(head.position) && head.nodeIndex === volume.tenant(slot);
    return { slot, head: isPlausible ? head : null, state: isPlausible ? stateOf(head) : 'damaged', proven: false };
  }
  const decoded = decodeHead(block, volume.tenant(slot), volume.superblock.clusterUuid, seals);
  if (decoded.ok) return { slot, head: decoded.head, state: stateOf(decoded.head), proven: true };
  const { fault } = decoded;
  const isDamaged = fault === 'foreign' && isAltered(volume, slot, block, openers);
  return { slot, head: null, state: fault === 'absent' ? 'never' : isDamaged ? 'damaged' : fault, proven: false };
}

/** The proof holds once the block says whose it should be: that was altered, and it is nobody else's. */
function isAltered(volume: InspectedVolume, slot: number, block: Uint8Array, openers: Openers): boolean {
  const [tenant, { clusterUuid }] = [volume.tenant(slot), volume.superblock];
  const mended = withIdentity(block, tenant, clusterUuid);
  const seals = openers.forHead(mended);
  return seals !== null && decodeHead(mended, tenant, clusterUuid, seals).ok;
}

const stateOf = (head: Head): 'running' | 'stopped' => (head.state === HEAD_STATE.stopped ? 'stopped' : 'running');

let lastSecond = -1;
let lastSecondText = '';

/** Microseconds since 1970 as ISO text; an impossible number as it is. */
export function timeText(us: number): string {
  const second = Math.floor(us / 1e6);
  if (!Number.isSafeInteger(us) || second > 8.64e12) return String(us);
  // Batches come in the order of time, many in a second.
  if (second !== lastSecond) lastSecondText = new Date(second * 1000).toISOString().slice(0, -4);
  lastSecond = second;
  return `${lastSecondText}${String(us - second * 1e6).padStart(6, '0')}Z`;
}

export function nodeViews(volume: InspectedVolume, heads: readonly SlotHead[], nowMs: number): NodeView[] {
  return heads.map(({ slot, head, state, proven }) => {
    const view = { node: volume.nodeName(slot), slot, state, proven };
    return { ...view, head: head && headView(volume, heads, slot, head, nowMs) };
  });
}

function headView(
  volume: InspectedVolume,
  heads: readonly SlotHead[],
  slot: number,
  head: Head,
  nowMs: number,
): NonNullable<NodeView['head']> {
  const unreadBytes = unread(heads, volume.tenant(slot), head);
  const hasKey = head.keyId.some((byte) => byte !== 0);
  return {
    incarnation: toHex(head.incarnation),
    incarnationNumber: head.incarnationNumber,
    beaconTime: timeText(head.wallUs),
    beaconAgeMs: Math.round(nowMs - head.wallUs / 1000),
    headMark: head.headMark,
    orderMark: head.orderMark,
    reservedMark: head.reservedMark,
    position: head.position,
    startPosition: head.startPosition,
    hostId: toHex(head.hostId),
    pid: head.pid,
    keyId: hasKey ? toHex(head.keyId) : null,
    unreadBytes,
    fill: Math.round((unreadBytes / volume.superblock.slotBytes) * 1e6) / 1e6,
    peers: head.entries.map((entry) => peerView(volume, heads, entry)),
  };
}

/** What the slowest reader of this incarnation has not read. */
function unread(heads: readonly SlotHead[], tenant: number, head: Head): number {
  const cursors = heads.flatMap((reader) => {
    const entry = reader.head?.entries.find(({ peerIndex }) => peerIndex === tenant);
    return entry && sameBytes(entry.echoIncarnation, 0, head.incarnation, 0, 16) ? [entry.readPosition] : [];
  });
  return Math.max(0, ...cursors.map((cursor) => head.position - Math.max(cursor, head.startPosition)));
}

function peerView(volume: InspectedVolume, heads: readonly SlotHead[], entry: HeadEntry): PeerView {
  const peer = heads.find(({ slot }) => volume.tenant(slot) === entry.peerIndex)?.head;
  const echoes = peer && sameBytes(entry.echoIncarnation, 0, peer.incarnation, 0, 16);
  return {
    node: volume.tenantName(entry.peerIndex),
    path: PATHS[entry.path] ?? `path ${entry.path}`,
    flags: Object.entries(HELLO_FLAG).flatMap(([name, bit]) => ((entry.flags & bit) === 0 ? [] : [name])),
    readPosition: entry.readPosition,
    lagBytes: echoes ? Math.max(0, peer.position - entry.readPosition) : null,
    nextData: entry.nextData,
    nextBulk: entry.nextBulk,
    floorHeartbeat: entry.floorHeartbeat,
    floorData: entry.floorData,
    floorBulk: entry.floorBulk,
  };
}
