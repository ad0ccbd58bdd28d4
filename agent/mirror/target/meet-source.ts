/**
 * What a target says to a source that greets it, and why a session with that source cannot begin: only what stands behind a point
 * that both have is taken, and only from who comes after, or is, the source of the copy here (MI5, MI13).
 */
import { sameBytes, toHex } from '../../base/bytes.ts';
import { short } from '../core/generation.ts';
import type { Diverged, Point } from '../core/meeting.ts';
import { ancestryShown, encodeWelcome, type Begin, type Hello, type Stop } from '../link/greeting.ts';
import { POLICY, type Policy } from '../store/superblock.ts';
import { GENERATION_BYTES } from '../wire/layout.ts';
import type { Copy } from './copy.ts';

export interface TargetFacts {
  readonly group: string;
  /** What a former source's volumes hold beyond what its successor has. */
  readonly diverged?: Diverged | null;
}

export function welcomeTo(hello: Hello, copy: Copy, { group, diverged }: TargetFacts): Uint8Array {
  const { shown, session, hasCut, volumes, arrivals } = copy;
  const ours = generationOf(copy);
  let { prefix } = shown;
  // Beyond the last mark that the source has of our generation there is nothing to compare with; below our cut the chain is
  // not known any more.
  const last = lastOf(hello, ours);
  if (last !== null && last < prefix.mark) {
    const chain = shown.chainAt(last);
    prefix = chain === null ? shown.cut : { mark: last, chain };
  }
  return encodeWelcome({
    group,
    volumes,
    generation: ours,
    ancestry: ancestryShown(copy.ancestry),
    diverged: hasCut ? null : (diverged ?? null),
    hasCut,
    cut: shown.cut,
    prefix,
    isTakenOver: false,
    session,
    roomBytes: arrivals.roomBytes,
    isFollowed: copy.isFollowed,
    ...copy.ring,
  });
}

/** Empty before the first source. */
function generationOf({ generation }: Copy): string {
  return sameBytes(generation, 0, new Uint8Array(GENERATION_BYTES), 0, GENERATION_BYTES) ? '' : toHex(generation);
}

export interface BeginFacts extends TargetFacts {
  readonly copy: Copy;
  readonly isBegun: boolean;
  /** What the source said of itself that is here, with a session that runs; null: none is. */
  readonly running: Hello | null;
}

/** Why this session cannot begin, or null. */
export function beginFault(
  { copy, group, isBegun, running }: BeginFacts,
  hello: Hello,
  session: number,
  begin: Begin,
): Stop | null {
  const never = (reason: string): Stop => ({ reason, again: false });
  const again = (reason: string): Stop => ({ reason, again: true });
  const { volumes, hasCut } = copy;
  if (isBegun) return never('a session is begun once on a connection, with a hello for a new one');
  if (session <= copy.session) return again(`session ${copy.session} was begun here already`);
  if (hello.group !== group) return never(`this target mirrors group "${group}"`);
  const isSame = ({ name, bytes }: Hello['volumes'][number], i: number) =>
    volumes[i]?.name === name && volumes[i]?.bytes === bytes;
  if (hello.volumes.length !== volumes.length || !hello.volumes.every(isSame)) {
    const ours = volumes.map(({ name, bytes }) => `${name} (${bytes} bytes)`).join(', ');
    return never(`the volumes here are ${ours}, in this order: name them so at the source`);
  }
  if (hello.generation === '') return never('a source without a generation');
  const ours = generationOf(copy);
  if (hasCut && copy.ancestry.some(({ generation }) => toHex(generation) === hello.generation)) {
    return never(
      `generation ${short(ours)} was begun behind ${short(hello.generation)}: an older source must not write`,
    );
  }
  if (running && running.generation !== hello.generation && !succeeds(hello, running)) {
    const [here, other] = [short(running.generation), short(hello.generation)];
    return never(
      `a source of generation ${here} is here, and ${other} does not come after it: two sources must not run`,
    );
  }
  // What a comparison has brought is the copy's when all of it is there: nothing goes on behind another cut before.
  if (copy.isStaged && copy.isApplying) return again('a comparison is still being brought in');
  if (begin.how === 'replay') return hasCut ? replayFault(copy, hello, begin.from) : again('there is no cut here');
  if (copy.isApplying) return again('a cut is still being brought in');
  if (!begin.isFirst) return hasCut ? null : again('there is no cut here');
  if (!hasCut || begin.isInPlace) return null;
  return never(
    'the volumes here are a copy already: without resync --in-place they are not written to before all is there',
  );
}

/** Whether a source goes on from where another one was. */
const succeeds = ({ ancestry }: Hello, { generation }: Hello): boolean =>
  ancestry.some((former) => former.generation === generation);

function replayFault(copy: Copy, hello: Hello, from: Point): Stop | null {
  const { shown: receiver } = copy;
  const ours = generationOf(copy);
  const last = lastOf(hello, ours);
  if (last === null || (hello.generation !== ours && last < from.mark)) {
    const reason = `the copy here is of generation ${short(ours)}, not ${short(hello.generation)}`;
    return { reason, again: false };
  }
  if (from.mark < receiver.committed) {
    return { reason: `what is committed here reaches mark ${receiver.committed}, beyond ${from.mark}`, again: true };
  }
  if (receiver.chainAt(from.mark) === from.chain) return null;
  return { reason: `mark ${from.mark} is not here as it is at the source`, again: true };
}

/** The last mark that the source has of a generation: its own, or one that it comes from; null of any other. */
function lastOf({ generation, durable, ancestry }: Hello, wanted: string): number | null {
  if (generation === wanted) return durable.mark;
  return ancestry.find((former) => former.generation === wanted)?.until.mark ?? null;
}

/** Who gives up his role has everything here: else his word would make a part of it the whole. */
export function policyOf({ policy, durable }: Hello, { how, from }: Begin): Policy {
  const isWhole = how === 'replay' && from.mark === durable.mark;
  return policy === 'released' && !isWhole ? POLICY.degrade : POLICY[policy];
}
