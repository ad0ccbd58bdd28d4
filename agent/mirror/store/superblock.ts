/**
 * A journal's superblock: whose journal this is, where its ring begins to matter, and what a start must know. Two copies
 * are written in turn, so that a torn write leaves the former one.
 */
import { bytesText, dataView, getU64, sameBytes, setU64, textBytes } from '../../base/bytes.ts';
import { crc32 } from '../../base/crc32.ts';
import { defineFields } from '../../base/fields.ts';
import {
  ANCESTRY_MAX,
  ENTRY_ALIGN,
  GENERATION_BYTES,
  JOURNAL_MAGIC,
  JOURNAL_RING_OFFSET,
  MIRROR_VERSION,
  VOLUMES_MAX,
} from '../wire/layout.ts';
import type { Disk } from './disk.ts';
import { decodeOrders, encodeOrders, ORDERS_BYTES, type TargetOrder } from './orders.ts';

export const ANCESTOR = defineFields({ generation: GENERATION_BYTES, mark: 8, chain: 8 } as const);

export const JOURNAL_SUPER = defineFields({
  magic: 8,
  version: 4,
  role: 4,
  sequence: 8,
  group: 32,
  generation: GENERATION_BYTES,
  successor: GENERATION_BYTES,
  ancestorCount: 8,
  ringBytes: 8,
  tailPosition: 8,
  tailMark: 8,
  tailChain: 8,
  session: 8,
  cut: 8,
  cutChain: 8,
  committed: 8,
  state: 4,
  policy: 4,
  intentBytes: 8,
  windowBytes: 8,
  durablePosition: 8,
  volumeCount: 4,
  volumeNames: VOLUMES_MAX * 32,
  volumeBytes: VOLUMES_MAX * 8,
  tailTime: 8,
  tailCycle: 8,
  sessionPosition: 8,
  sessionMark: 8,
  ancestry: ANCESTRY_MAX * ANCESTOR.bytes,
  baseGeneration: GENERATION_BYTES,
  baseMark: 8,
  baseChain: 8,
  basePosition: 8,
  orders: ORDERS_BYTES,
  zero: 432,
  crc32: 4,
} as const);

export const JOURNAL_ROLE = { source: 1, target: 2 } as const;
export type JournalRole = (typeof JOURNAL_ROLE)[keyof typeof JOURNAL_ROLE];

export const JOURNAL_STATE = {
  initialising: 0,
  consistent: 1,
  clean: 2,
  overtaken: 3,
  takenOver: 4,
  released: 5,
} as const;
export type JournalState = (typeof JOURNAL_STATE)[keyof typeof JOURNAL_STATE];

export const POLICY = { degrade: 0, strict: 1, logged: 2, released: 3 } as const;
export type Policy = (typeof POLICY)[keyof typeof POLICY];

export interface JournalVolume {
  readonly name: string;
  readonly bytes: number;
}

/** A former generation, and the last point of it that the next one holds. */
export interface JournalAncestor {
  readonly generation: Uint8Array;
  readonly until: { readonly mark: number; readonly chain: bigint };
}

export interface JournalSuper {
  readonly version: number;
  readonly role: JournalRole;
  /** Raised by each write; odd while a checkpoint is applied. */
  readonly sequence: number;
  readonly group: string;
  readonly generation: Uint8Array;
  /** Source, `overtaken`: the generation that was begun without it, at `cut`. Zeros without. */
  readonly successor: Uint8Array;
  /** Newest first, at most ANCESTRY_MAX. */
  readonly ancestry: readonly JournalAncestor[];
  readonly ringBytes: number;
  /** The oldest entry that is needed, its mark, and the chain before it. */
  readonly tailPosition: number;
  readonly tailMark: number;
  readonly tailChain: bigint;
  /** Time stamp and cycle of the entry before it, which may be gone: stamps go on from there. */
  readonly tailTime: bigint;
  readonly tailCycle: number;
  readonly session: number;
  /** Target: what lies before this position and bears a mark beyond `sessionMark` was dropped when the session began. */
  readonly sessionPosition: number;
  readonly sessionMark: number;
  /**
   * Target: a staged comparison runs. What lies from `basePosition` on is of this generation and stands behind this point; with
   * an odd `sequence` it is committed up to `committed`, else it is dropped by a start. `basePosition` 0: none runs.
   */
  readonly baseGeneration: Uint8Array;
  readonly baseMark: number;
  readonly baseChain: bigint;
  readonly basePosition: number;
  readonly cut: number;
  readonly cutChain: bigint;
  readonly committed: number;
  readonly state: JournalState;
  /** Target: as its source last said it. Source: the most that a target may still go by. */
  readonly policy: Policy;
  /** Source: what an operator has said of its targets. */
  readonly orders: readonly TargetOrder[];
  readonly intentBytes: number;
  readonly windowBytes: number;
  readonly durablePosition: number;
  /** In the order of their indices. */
  readonly volumes: readonly JournalVolume[];
}

export type SuperFault = 'absent' | 'version' | 'checksum' | 'range';
export type SuperResult =
  { readonly ok: true; readonly superblock: JournalSuper } | { readonly ok: false; readonly fault: SuperFault };

const { at, bytes: BYTES } = JOURNAL_SUPER;
const NAME_BYTES = 32;
const MAGIC = textBytes(JOURNAL_MAGIC, 8);
const COUNTS = [
  'sequence',
  'ringBytes',
  'tailPosition',
  'tailMark',
  'tailCycle',
  'session',
  'sessionPosition',
  'sessionMark',
  'baseMark',
  'basePosition',
  'cut',
  'committed',
  'intentBytes',
  'windowBytes',
  'durablePosition',
] as const;

/** One copy as a block. */
export function encodeSuper(superblock: JournalSuper): Uint8Array {
  const block = new Uint8Array(BYTES);
  const view = dataView(block);
  block.set(MAGIC, at.magic);
  view.setUint32(at.version, superblock.version, true);
  view.setUint32(at.role, superblock.role, true);
  block.set(textBytes(superblock.group, NAME_BYTES), at.group);
  block.set(superblock.generation, at.generation);
  block.set(superblock.successor, at.successor);
  for (const name of COUNTS) setU64(view, at[name], superblock[name]);
  view.setBigUint64(at.tailChain, superblock.tailChain, true);
  view.setBigUint64(at.tailTime, superblock.tailTime, true);
  view.setBigUint64(at.cutChain, superblock.cutChain, true);
  block.set(superblock.baseGeneration, at.baseGeneration);
  view.setBigUint64(at.baseChain, superblock.baseChain, true);
  view.setUint32(at.state, superblock.state, true);
  view.setUint32(at.policy, superblock.policy, true);
  view.setUint32(at.volumeCount, superblock.volumes.length, true);
  superblock.volumes.forEach(({ name, bytes }, index) => {
    block.set(textBytes(name, NAME_BYTES), at.volumeNames + index * NAME_BYTES);
    setU64(view, at.volumeBytes + index * 8, bytes);
  });
  encodeAncestry(superblock.ancestry, block, view);
  encodeOrders(superblock.orders, block.subarray(at.orders, at.orders + ORDERS_BYTES));
  view.setUint32(at.crc32, crc32(block.subarray(0, at.crc32)), true);
  return block;
}

function encodeAncestry(ancestry: readonly JournalAncestor[], block: Uint8Array, view: DataView): void {
  const kept = ancestry.slice(0, ANCESTRY_MAX);
  setU64(view, at.ancestorCount, kept.length);
  kept.forEach(({ generation, until }, index) => {
    const from = at.ancestry + index * ANCESTOR.bytes;
    block.set(generation, from + ANCESTOR.at.generation);
    setU64(view, from + ANCESTOR.at.mark, until.mark);
    view.setBigUint64(from + ANCESTOR.at.chain, until.chain, true);
  });
}

function decodeAncestry(count: number, block: Uint8Array, view: DataView): JournalAncestor[] {
  return Array.from({ length: count }, (_, index) => {
    const from = at.ancestry + index * ANCESTOR.bytes;
    const mark = getU64(view, from + ANCESTOR.at.mark);
    const generation = from + ANCESTOR.at.generation;
    return {
      generation: block.slice(generation, generation + GENERATION_BYTES),
      until: { mark, chain: view.getBigUint64(from + ANCESTOR.at.chain, true) },
    };
  });
}

/** Reads one copy. Faults in the order they are told: no such magic; another major version; damage; impossible values. */
export function decodeSuper(block: Uint8Array): SuperResult {
  if (block.length < BYTES || !sameBytes(block, at.magic, MAGIC, 0, 8)) return { ok: false, fault: 'absent' };
  const view = dataView(block);
  const version = view.getUint32(at.version, true);
  if (version >>> 16 !== MIRROR_VERSION >>> 16) return { ok: false, fault: 'version' };
  if (crc32(block.subarray(0, at.crc32)) !== view.getUint32(at.crc32, true)) return { ok: false, fault: 'checksum' };
  const counts = {} as Record<(typeof COUNTS)[number], number>;
  for (const name of COUNTS) counts[name] = getU64(view, at[name]);
  const volumeCount = view.getUint32(at.volumeCount, true);
  const ancestorCount = getU64(view, at.ancestorCount);
  if (volumeCount > VOLUMES_MAX || ancestorCount > ANCESTRY_MAX) return { ok: false, fault: 'range' };
  const superblock: JournalSuper = {
    ...counts,
    version,
    role: view.getUint32(at.role, true) as JournalRole,
    group: bytesText(block.subarray(at.group, at.group + NAME_BYTES)),
    generation: block.slice(at.generation, at.generation + GENERATION_BYTES),
    successor: block.slice(at.successor, at.successor + GENERATION_BYTES),
    ancestry: decodeAncestry(ancestorCount, block, view),
    tailChain: view.getBigUint64(at.tailChain, true),
    tailTime: view.getBigUint64(at.tailTime, true),
    cutChain: view.getBigUint64(at.cutChain, true),
    baseGeneration: block.slice(at.baseGeneration, at.baseGeneration + GENERATION_BYTES),
    baseChain: view.getBigUint64(at.baseChain, true),
    state: view.getUint32(at.state, true) as JournalState,
    policy: view.getUint32(at.policy, true) as Policy,
    orders: decodeOrders(block.subarray(at.orders, at.orders + ORDERS_BYTES)),
    volumes: Array.from({ length: volumeCount }, (_, index) => {
      const name = at.volumeNames + index * NAME_BYTES;
      return {
        name: bytesText(block.subarray(name, name + NAME_BYTES)),
        bytes: getU64(view, at.volumeBytes + index * 8),
      };
    }),
  };
  return isSane(superblock) ? { ok: true, superblock } : { ok: false, fault: 'range' };
}

function isSane(superblock: JournalSuper): boolean {
  const { ringBytes, windowBytes, tailPosition, durablePosition } = superblock;
  return (
    COUNTS.every((name) => superblock[name] !== Infinity) &&
    superblock.volumes.every(({ bytes }) => bytes !== Infinity) &&
    superblock.ancestry.every(({ until }) => until.mark !== Infinity) &&
    Object.values<number>(JOURNAL_ROLE).includes(superblock.role) &&
    Object.values<number>(JOURNAL_STATE).includes(superblock.state) &&
    Object.values<number>(POLICY).includes(superblock.policy) &&
    windowBytes > 0 &&
    windowBytes % ENTRY_ALIGN === 0 &&
    ringBytes >= windowBytes &&
    ringBytes % windowBytes === 0 &&
    tailPosition % ENTRY_ALIGN === 0 &&
    durablePosition % ENTRY_ALIGN === 0 &&
    durablePosition >= tailPosition &&
    durablePosition - tailPosition <= ringBytes &&
    superblock.basePosition % ENTRY_ALIGN === 0 &&
    superblock.intentBytes <= JOURNAL_RING_OFFSET - 2 * BYTES
  );
}

/** Which copy it was read from, beside it: the next one goes onto the other. */
export type ReadSuper =
  { readonly ok: true; readonly superblock: JournalSuper; readonly copy: number } | Extract<SuperResult, { ok: false }>;

/**
 * The better of the two copies, or the fault that says most; a negative errno where one of them cannot be read. That one may be
 * the newer: a torn write leaves a wrong checksum, but what cannot be read says nothing, and to go by the other could be to take
 * back what is so. `isOneEnough`: for who asks only whose journal it is.
 */
export function readSuper(disk: Disk, isOneEnough = false): ReadSuper | number {
  const faults: SuperFault[] = [];
  let best: { ok: true; superblock: JournalSuper; copy: number } | null = null;
  let errno = 0;
  for (const copy of [0, 1]) {
    const block = new Uint8Array(BYTES);
    const got = disk.read(copy * BYTES, block);
    if (got < 0) errno = got;
    const result = decodeSuper(got < 0 ? block.subarray(0, 0) : block);
    if (!result.ok) faults.push(result.fault);
    else if (best === null || result.superblock.sequence > best.superblock.sequence) best = { ...result, copy };
  }
  if (errno < 0 && !(isOneEnough && best)) return errno;
  if (best) return best;
  const order: SuperFault[] = ['version', 'range', 'checksum'];
  return { ok: false, fault: order.find((one) => faults.includes(one)) ?? 'absent' };
}

/** Writes superblocks in turn. A write that failed may have torn its copy: the next one goes there again. */
export class SuperWriter {
  #copy: number;

  /** `newest`: the copy that must outlive the next write. */
  constructor(newest: number) {
    this.#copy = 1 - newest;
  }

  /** Writes and flushes `block`: 0, or a negative errno. */
  write(disk: Disk, block: Uint8Array): number {
    const put = disk.write(this.#copy * BYTES, block);
    const result = put < 0 ? put : disk.flush();
    if (result >= 0) this.#copy = 1 - this.#copy;
    return Math.min(result, 0);
  }
}
