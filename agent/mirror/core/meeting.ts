/**
 * What a source decides about a target that it meets (MI5, MI11, MI13): nothing is in sync by rule. Equal generation, mark
 * and chain at that mark is the only way round a comparison, and volumes that nobody has told to belong together never meet.
 */
import { kinship, short, splitText, type Kinship } from './generation.ts';

/** Consecutive regions of a volume. */
export interface RegionRun {
  readonly volume: number;
  readonly first: number;
  readonly count: number;
}

export interface VolumeShape {
  readonly name: string;
  readonly bytes: number;
}

/** A point in the order of writes: the mark, and the digest over all entries of its generation up to it. */
export interface Point {
  readonly mark: number;
  readonly chain: bigint;
}

export interface Ancestor {
  readonly generation: string;
  /** The last point of it that the next generation holds. */
  readonly until: Point;
}

export interface SourceView {
  readonly group: string;
  readonly volumes: readonly VolumeShape[];
  readonly generation: string;
  /** Former generations, newest first. */
  readonly ancestry: readonly Ancestor[];
  /** What the ring still holds: entries behind `tail` up to `durable`. */
  readonly tail: Point;
  readonly durable: Point;
  /** The chain at a mark from `tail` to `durable`. */
  chainAt(mark: number): bigint;
  /** Whether this target's bitmap has all that a copy at this cut lacks. */
  isCovered(cut: Point): boolean;
  /** An operator wants all of it compared, whatever is known. */
  readonly isScanWanted: boolean;
  /** An operator lets a copy be written in place: it shows nothing until it is whole again. */
  readonly isInPlaceWanted: boolean;
}

export interface TargetView {
  readonly group: string;
  readonly volumes: readonly VolumeShape[];
  /** Empty in one that was never written to. */
  readonly generation: string;
  /** Former generations, newest first. */
  readonly ancestry: readonly Ancestor[];
  readonly hasCut: boolean;
  readonly cut: Point;
  /** Its durable prefix, or the source's last mark in that generation (the hello says it) where the prefix goes further. */
  readonly prefix: Point;
  /** It was a source, and is no copy: what it wrote beyond the point that it has in common with its successor. Null: not known. */
  readonly diverged: Diverged | null;
  /** It is a source itself: clients may have written to it, and `prefix` is its last mark. */
  readonly isTakenOver: boolean;
}

/** What a former source holds beyond `until`, by regions of its volumes. */
export interface Diverged {
  readonly until: Point;
  readonly regions: readonly RegionRun[];
}

export type Meeting =
  /** All behind `from` is sent; what the target has beyond it is dropped. */
  | { readonly how: 'replay'; readonly from: number }
  /** The bitmap's chunks are compared; what is written meanwhile is sent behind `from`. */
  | { readonly how: 'bitmap'; readonly from: number; readonly isFirst: boolean; readonly also?: readonly RegionRun[] }
  /** Everything is; `isFirst`: the target is no copy, or shall not be one meanwhile, and is written in place. */
  | { readonly how: 'scan'; readonly from: number; readonly isFirst: boolean }
  /** `reason` for the operator, complete: what, and what to do. */
  | { readonly how: 'refuse'; readonly reason: string; readonly rival?: Rival };

/** Who else was, or is, a source of what we are. */
export interface Rival {
  /** `overtaken`: it was begun without us, and we are the past. `split`: it comes from where we come from. */
  readonly kin: 'overtaken' | 'split';
  readonly generation: string;
  /** The last point that both hold; behind it everything here is here alone. */
  readonly until: Point;
}

const refuse = (reason: string): Meeting => ({ how: 'refuse', reason });

export function meet(source: SourceView, target: TargetView): Meeting {
  const misfit = groupMisfit(source, target);
  if (misfit !== null) return refuse(misfit);
  if (!target.hasCut) return meetBlank(source, target);
  const kin = kinship(source, target);
  if (kin.kin === 'overtaken') return overtaken(source, target, kin.until);
  if (target.isTakenOver) return meetSource(source, target, kin);
  if (kin.kin === 'same') return sameGeneration(source, target);
  // Whatever it has beyond the branch was never part of what we are; below it a comparison brings it here.
  if (kin.kin === 'successor') return ancestorsCopy(source, target, kin.until);
  return refuse(
    `the target belongs to generation ${short(target.generation)}, which is no ancestor of ${short(source.generation)}; ${OVERWRITE}`,
  );
}

/** What shows nothing is written in place. Of a former source it is known what it holds more, and what it lacks. */
function meetBlank(source: SourceView, target: TargetView): Meeting {
  const from = source.durable.mark;
  const { diverged } = target;
  const kin = kinship(source, target);
  const isKnown =
    diverged !== null &&
    kin.kin === 'successor' &&
    kin.until.mark === diverged.until.mark &&
    kin.until.chain === diverged.until.chain;
  if (!isKnown || source.isScanWanted || !source.isCovered(diverged.until)) return { how: 'scan', from, isFirst: true };
  return { how: 'bitmap', from, isFirst: true, also: diverged.regions };
}

function overtaken(source: SourceView, target: TargetView, until: Point): Meeting {
  const by = target.generation;
  const beyond = source.durable.mark - until.mark;
  const lost =
    beyond <= 0 ? 'nothing was written here since' : `marks ${until.mark + 1} to ${source.durable.mark} are here alone`;
  const reason = `generation ${short(by)} was begun without us behind mark ${until.mark}, and ${lost}; no writes are served here any more: say stillbeat mirror failback${beyond <= 0 ? '' : ' --discard, which gives these marks up,'} to become its target`;
  return { how: 'refuse', reason, rival: { kin: 'overtaken', generation: by, until } };
}

/** Another source answers where a target was expected. */
function meetSource(source: SourceView, target: TargetView, kin: Kinship): Meeting {
  if (kin.kin === 'split') {
    const reason = splitText({ ...source, end: source.durable }, { ...target, end: target.prefix }, kin);
    return { how: 'refuse', reason, rival: { kin: 'split', generation: target.generation, until: kin.ours } };
  }
  if (kin.kin === 'successor') {
    return refuse(
      `it is still a source, of generation ${short(target.generation)}, which was overtaken at mark ${kin.until.mark}; say there: stillbeat mirror failback`,
    );
  }
  const what = kin.kin === 'same' ? 'of the same generation: one journal was copied' : 'of a generation that is no kin';
  return refuse(`it is a source itself, ${what}; name another target, or give it new volumes and a new journal`);
}

/** A copy of a former generation. With nothing beyond the branch it can go on from where it is, if the ring has that. */
function ancestorsCopy(source: SourceView, target: TargetView, until: Point): Meeting {
  const { mark } = target.prefix;
  const isBefore = mark <= until.mark && target.cut.mark <= until.mark;
  if (isBefore && isHeld(source, target)) return { how: 'replay', from: mark };
  return { how: 'scan', from: source.durable.mark, isFirst: source.isInPlaceWanted };
}

/** Whether the ring has all behind the target's prefix, and the prefix is the same as here. */
function isHeld(source: SourceView, { prefix, cut }: TargetView): boolean {
  const { mark, chain } = prefix;
  const isInside = mark >= source.tail.mark && mark <= source.durable.mark && mark >= cut.mark;
  return isInside && !source.isScanWanted && source.chainAt(mark) === chain;
}

/** What is asked of an operator, because it takes a whole copy away: nothing that is said by mistake does. */
const OVERWRITE =
  'to overwrite it, stop the target, remove its journal (of a device: overwrite its first MiB with zeroes) and start it with settings that say role: target; then all of it is compared';

function sameGeneration(source: SourceView, target: TargetView): Meeting {
  const { durable } = source;
  const from = durable.mark;
  // Beyond `mark` it may hold what a crash took from us: answered to nobody, dropped by it (MI3).
  if (isHeld(source, target)) return { how: 'replay', from: target.prefix.mark };
  if (target.cut.mark > durable.mark) {
    return refuse(
      `the target shows mark ${target.cut.mark} and the source's journal ends at ${durable.mark}: the source was put back to an older state; ${OVERWRITE}`,
    );
  }
  if (!source.isScanWanted && source.isCovered(target.cut))
    return { how: 'bitmap', from, isFirst: source.isInPlaceWanted };
  return { how: 'scan', from, isFirst: source.isInPlaceWanted };
}

function groupMisfit(source: SourceView, target: TargetView): string | null {
  if (source.group !== target.group) {
    return `the target mirrors group "${target.group}", not "${source.group}"; set group: or connect: right`;
  }
  for (const volume of source.volumes) {
    const copy = target.volumes.find(({ name }) => name === volume.name);
    if (!copy) return `the target has no volume "${volume.name}"; add it to its settings`;
    if (copy.bytes !== volume.bytes) {
      return `volume "${volume.name}" has ${volume.bytes} bytes at the source and ${copy.bytes} at the target; they must be equal`;
    }
  }
  const extra = target.volumes.find(({ name }) => !source.volumes.some((volume) => volume.name === name));
  return extra ? `the source has no volume "${extra.name}"; take it out of the target's settings` : null;
}
