/** Bodies of the frames of a comparison: digests of runs of what a level is made of, and what the target wants to see next. */
import { dataView, getU64, setU64 } from '../../base/bytes.ts';
import { defineFields } from '../../base/fields.ts';
import { BLOCK_BYTES, CHUNK_BYTES, QUARTER_BYTES, REGION_BYTES, VOLUMES_MAX } from './layout.ts';

export const COMPARE_RUN = defineFields({
  volume: 2,
  level: 1,
  flags: 1,
  count: 4,
  first: 8,
} as const);

/** In the order in which a comparison goes down. */
export const COMPARE_LEVEL = { regions: 1, chunks: 2, quarters: 3, blocks: 4, images: 5 } as const;
export type CompareLevel = (typeof COMPARE_LEVEL)[keyof typeof COMPARE_LEVEL];

const LEVEL_BYTES = {
  [COMPARE_LEVEL.regions]: REGION_BYTES,
  [COMPARE_LEVEL.chunks]: CHUNK_BYTES,
  [COMPARE_LEVEL.quarters]: QUARTER_BYTES,
  [COMPARE_LEVEL.blocks]: BLOCK_BYTES,
  [COMPARE_LEVEL.images]: BLOCK_BYTES,
} as const;

/** Bytes of one of a level; the last one of a volume may be short. */
export const levelBytes = (level: CompareLevel): number => LEVEL_BYTES[level];

/** Of digests: these were the last regions that there are; with these begins what is told of them. */
const LAST = 1;
const BEGIN = 2;

export interface CompareRun {
  readonly volume: number;
  readonly level: CompareLevel;
  readonly isLast: boolean;
  /** Nobody asked for them: the source begins a comparison here. Regions are always told so. */
  readonly isBegin?: boolean;
  /** Consecutive ones of the level, from number `first` on. */
  readonly first: number;
  readonly count: number;
}

const { at, bytes: BYTES } = COMPARE_RUN;

export function encodeRun(run: CompareRun): Uint8Array {
  const bytes = new Uint8Array(BYTES);
  const view = dataView(bytes);
  view.setUint16(at.volume, run.volume, true);
  bytes[at.level] = run.level;
  bytes[at.flags] = (run.isLast ? LAST : 0) | (run.isBegin === true ? BEGIN : 0);
  view.setUint32(at.count, run.count, true);
  setU64(view, at.first, run.first);
  return bytes;
}

/** The run at `offset`; null for one that nobody writes. */
export function decodeRun(bytes: Uint8Array, offset: number): CompareRun | null {
  if (offset + BYTES > bytes.length) return null;
  const view = dataView(bytes.subarray(offset, offset + BYTES));
  const level = view.getUint8(at.level);
  const run = {
    volume: view.getUint16(at.volume, true),
    level: level as CompareLevel,
    isLast: (view.getUint8(at.flags) & LAST) !== 0,
    ...((view.getUint8(at.flags) & BEGIN) === 0 ? {} : { isBegin: true }),
    count: view.getUint32(at.count, true),
    first: getU64(view, at.first),
  };
  const isSane =
    run.volume < VOLUMES_MAX &&
    level >= COMPARE_LEVEL.regions &&
    level <= COMPARE_LEVEL.images &&
    Number.isSafeInteger(run.first + run.count);
  return isSane ? run : null;
}

/** Whether the volume has all of it. */
export function isWithin(run: CompareRun, volumes: readonly { readonly bytes: number }[]): boolean {
  const volume = volumes[run.volume];
  return (
    volume !== undefined && (run.count === 0 || (run.first + run.count - 1) * levelBytes(run.level) < volume.bytes)
  );
}
