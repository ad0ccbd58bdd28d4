/** What stands on a log device: one record of the source, one of each target, each with two copies. FORMAT.md draws them. */
import { bytesText, dataView, getU64, sameBytes, setU64, textBytes } from '../../base/bytes.ts';
import { crc32 } from '../../base/crc32.ts';
import { defineFields } from '../../base/fields.ts';
import { GENERATION_BYTES, LOG_MAGIC, MIRROR_VERSION } from '../wire/layout.ts';

const TARGETS_MAX = 8;
const ANCESTORS_MAX = 16;

export const LOG_TARGET = defineFields({ name: 32, isOutdated: 8, cut: 8 } as const);

export const LOG_RECORD = defineFields({
  magic: 8,
  version: 4,
  kind: 4,
  sequence: 8,
  group: 32,
  generation: GENERATION_BYTES,
  parent: GENERATION_BYTES,
  branchMark: 8,
  isStanding: 4,
  targetCount: 4,
  targets: TARGETS_MAX * LOG_TARGET.bytes,
  ancestors: ANCESTORS_MAX * GENERATION_BYTES,
  zero: 3348,
  crc32: 4,
} as const);

export const LOG_KIND = { source: 1, claim: 2 } as const;

export interface LogTarget {
  readonly name: string;
  /** The last mark that it is known to have, when writes behind that were answered without it; else null. */
  readonly outdatedSince: number | null;
}

export interface LogRecord {
  readonly kind: (typeof LOG_KIND)[keyof typeof LOG_KIND];
  readonly sequence: number;
  readonly group: string;
  readonly generation: Uint8Array;
  /** Of a claim: what it overtakes, and up to where; zeros of a source. */
  readonly parent: Uint8Array;
  /** Of a claim: the generations before `parent`, newest first, as far as there is room for them. */
  readonly ancestors: readonly Uint8Array[];
  readonly branchMark: number;
  readonly isStanding: boolean;
  readonly targets: readonly LogTarget[];
}

const { at, bytes: BYTES } = LOG_RECORD;
const MAGIC = textBytes(LOG_MAGIC, 8);

export function encodeLogRecord(record: LogRecord): Uint8Array {
  const block = new Uint8Array(BYTES);
  const view = dataView(block);
  block.set(MAGIC, at.magic);
  view.setUint32(at.version, MIRROR_VERSION, true);
  view.setUint32(at.kind, record.kind, true);
  setU64(view, at.sequence, record.sequence);
  block.set(textBytes(record.group, 32), at.group);
  block.set(record.generation, at.generation);
  block.set(record.parent, at.parent);
  record.ancestors.slice(0, ANCESTORS_MAX).forEach((generation, index) => {
    block.set(generation, at.ancestors + index * GENERATION_BYTES);
  });
  setU64(view, at.branchMark, record.branchMark);
  view.setUint32(at.isStanding, record.isStanding ? 1 : 0, true);
  view.setUint32(at.targetCount, record.targets.length, true);
  record.targets.forEach(({ name, outdatedSince }, index) => {
    const from = at.targets + index * LOG_TARGET.bytes;
    block.set(textBytes(name, 32), from + LOG_TARGET.at.name);
    setU64(view, from + LOG_TARGET.at.isOutdated, outdatedSince === null ? 0 : 1);
    setU64(view, from + LOG_TARGET.at.cut, outdatedSince ?? 0);
  });
  view.setUint32(at.crc32, crc32(block.subarray(0, at.crc32)), true);
  return block;
}

/** Null for what is no record, of another version, or damaged. */
export function decodeLogRecord(block: Uint8Array): LogRecord | null {
  if (block.length < BYTES || !sameBytes(block, at.magic, MAGIC, 0, 8)) return null;
  const view = dataView(block);
  if (view.getUint32(at.version, true) >>> 16 !== MIRROR_VERSION >>> 16) return null;
  if (crc32(block.subarray(0, at.crc32)) !== view.getUint32(at.crc32, true)) return null;
  const kind = view.getUint32(at.kind, true);
  const targetCount = view.getUint32(at.targetCount, true);
  const [sequence, branchMark] = [getU64(view, at.sequence), getU64(view, at.branchMark)];
  if ((kind !== LOG_KIND.source && kind !== LOG_KIND.claim) || targetCount > TARGETS_MAX) return null;
  if (sequence === Infinity || branchMark === Infinity) return null;
  return {
    kind,
    sequence,
    group: bytesText(block.subarray(at.group, at.group + 32)),
    generation: block.slice(at.generation, at.generation + GENERATION_BYTES),
    parent: block.slice(at.parent, at.parent + GENERATION_BYTES),
    ancestors: ancestorsAt(block),
    branchMark,
    isStanding: view.getUint32(at.isStanding, true) === 1,
    targets: Array.from({ length: targetCount }, (_, index) => targetAt(block, view, index)),
  };
}

/** Whether it is neither blank nor what is left of a record, however a crash tore it. */
export function isForeign(block: Uint8Array): boolean {
  const isBlank = (from: number, to: number): boolean => block.subarray(from, to).every((byte) => byte === 0);
  if (sameBytes(block, at.magic, MAGIC, 0, 8)) return false;
  return !isBlank(at.magic, at.version) || !isBlank(at.zero, at.crc32);
}

function ancestorsAt(block: Uint8Array): Uint8Array[] {
  const places = Array.from({ length: ANCESTORS_MAX }, (_, index) => at.ancestors + index * GENERATION_BYTES);
  const found = places.map((from) => block.slice(from, from + GENERATION_BYTES));
  return found.filter((generation) => generation.some((byte) => byte !== 0));
}

function targetAt(block: Uint8Array, view: DataView, index: number): LogTarget {
  const from = at.targets + index * LOG_TARGET.bytes;
  const name = from + LOG_TARGET.at.name;
  const isOutdated = getU64(view, from + LOG_TARGET.at.isOutdated) !== 0;
  return {
    name: bytesText(block.subarray(name, name + 32)),
    outdatedSince: isOutdated ? getU64(view, from + LOG_TARGET.at.cut) : null,
  };
}

/** Of two copies the one that counts, and where the next one goes; null when neither is a record. */
export function newestRecord(
  copies: readonly Uint8Array[],
): { readonly record: LogRecord; readonly copy: number } | null {
  let best: { record: LogRecord; copy: number } | null = null;
  copies.forEach((block, copy) => {
    const record = decodeLogRecord(block);
    if (record && (best === null || record.sequence > best.record.sequence)) best = { record, copy };
  });
  return best;
}
