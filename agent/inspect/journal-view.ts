/** A journal of the mirror as documents and as lines: its superblock, and the entries of its ring. */
import { toHex } from '../base/bytes.ts';
import { escaped } from '../base/text.ts';
import { sizeText } from '../check/system.ts';
import { JOURNAL_ROLE, JOURNAL_STATE, POLICY, type JournalSuper } from '../mirror/store/superblock.ts';
import { ENTRY_FLAG, ENTRY_KIND, type Entry } from '../mirror/wire/entry.ts';

/** What a journal's superblock says. */
export interface JournalView {
  readonly version: string;
  readonly group: string;
  readonly role: string;
  readonly state: string;
  /** What a target's source does without it; null of a source. */
  readonly policy: string | null;
  readonly generation: string;
  readonly successor: string | null;
  readonly ancestors: readonly { readonly generation: string; readonly untilMark: number }[];
  readonly sequence: number;
  readonly session: number;
  readonly cut: number;
  readonly committed: number;
  readonly isApplying: boolean;
  readonly tailMark: number;
  readonly tailPosition: number;
  readonly durablePosition: number;
  readonly ringBytes: number;
  readonly windowBytes: number;
  readonly comparison: { readonly generation: string; readonly behindMark: number } | null;
  readonly volumes: readonly { readonly name: string; readonly bytes: number }[];
}

export function journalView(superblock: JournalSuper): JournalView {
  const { version, group, role, state, policy, generation, ancestry, volumes, successor } = superblock;
  const { sequence, session, cut, committed, tailMark, tailPosition, durablePosition } = superblock;
  const { ringBytes, windowBytes, basePosition, baseGeneration, baseMark } = superblock;
  const isTarget = role === JOURNAL_ROLE.target;
  return {
    version: `${version >>> 16}.${version & 0xffff}`,
    group: escaped(group),
    role: nameOf(JOURNAL_ROLE, role),
    state: nameOf(JOURNAL_STATE, state),
    policy: isTarget ? nameOf(POLICY, policy) : null,
    generation: toHex(generation),
    successor: successor.some((byte) => byte !== 0) ? toHex(successor) : null,
    ancestors: ancestry.map((former) => ({ generation: toHex(former.generation), untilMark: former.until.mark })),
    sequence,
    session,
    cut,
    committed,
    tailMark,
    tailPosition,
    durablePosition,
    ringBytes,
    windowBytes,
    isApplying: isTarget && sequence % 2 === 1,
    comparison: basePosition > 0 ? { generation: toHex(baseGeneration), behindMark: baseMark } : null,
    volumes: volumes.map(({ name, bytes }) => ({ name: escaped(name), bytes })),
  };
}

export function journalText(path: string, view: JournalView, copies: readonly string[]): string[] {
  const { role, group, state, version, sequence, session, generation, successor, ancestors, volumes } = view;
  const overtaken = successor === null ? '' : `, overtaken by ${successor}`;
  const applying = view.isApplying ? ', a checkpoint is being applied' : '';
  return [
    `journal ${path}: ${role} of group ${group}, ${state}`,
    `  format ${version}, superblock ${sequence}, session ${session}`,
    ...copies.flatMap((copy, i) => (copy === 'good' ? [] : [`  ! copy ${i} of the superblock: ${copy}`])),
    `  generation ${generation}${overtaken}`,
    ...ancestors.map((former) => `  before it ${former.generation} up to mark ${former.untilMark}`),
    role === 'target'
      ? `  shows cut ${view.cut}, committed ${view.committed}${applying}; policy of its source: ${view.policy}`
      : `  oldest mark that is needed ${view.tailMark}`,
    ...(view.comparison === null ? [] : ['  a comparison of the whole copy runs']),
    ...volumes.map(({ name, bytes }, index) => `  volume ${index}: ${name}, ${sizeText(bytes)}`),
    '',
  ];
}

export interface EntryView {
  readonly mark: number;
  readonly time: string;
  readonly kind: string;
  readonly cycle: number;
  /** Where the entry is of a volume. */
  readonly volume?: string;
  readonly offset?: number;
  readonly length?: number;
  /** The client waited for a flush. */
  readonly durable: boolean;
  readonly position: number;
}

export function entryView(entry: Entry, { volumes }: JournalSuper): EntryView {
  const { kind, flags, mark, time, cycle, offset, length, volume, position } = entry;
  const name = escaped(volumes[volume]?.name ?? `volume ${volume}`);
  return {
    mark,
    time: timeOf(time),
    kind: nameOf(ENTRY_KIND, kind),
    cycle,
    ...(kind === ENTRY_KIND.seal ? {} : { volume: name, offset, length }),
    durable: (flags & ENTRY_FLAG.durable) !== 0,
    position,
  };
}

export function entryText({ mark, time, kind, cycle, volume, offset, length, durable }: EntryView): string {
  const what = volume === undefined ? '' : ` ${volume} ${length} bytes at ${offset}`;
  return `${time} #${mark} ${kind}${what}, cycle ${cycle}${durable ? ', to be flushed' : ''}`;
}

const nameOf = (table: Readonly<Record<string, number>>, value: number): string =>
  Object.keys(table).find((name) => table[name] === value) ?? String(value);

/** ns since 1970 as ISO text; an impossible number as it is. */
function timeOf(ns: bigint): string {
  const ms = Number(ns / 1_000_000n);
  if (ms > 8.64e15) return String(ns);
  return `${new Date(ms).toISOString().slice(0, -4)}${String(ns % 1_000_000_000n).padStart(9, '0')}Z`;
}
