/**
 * Which states can be restored ([HI1]), and which mark a time means ([HI6]). A gap is what lies between: marks that are missing, or
 * of which control or data is.
 */
import { CLOCK_NOISE_US, countedAhead, type ClockNote, type Unclear } from './clock.ts';
import { isEntry } from '../wire/record.ts';
import type { RecordTable, WholePoint } from './table.ts';

/** Marks from `from` to `to` can be restored, both included. Times in microseconds since 1970, by the recorder's clock. */
export interface Span {
  readonly from: number;
  readonly to: number;
  readonly fromUs: number;
  readonly toUs: number;
}

export interface Gap {
  readonly first: number;
  readonly last: number;
  readonly fromUs: number;
  /** Null: nothing behind it can be restored yet. */
  readonly untilUs: number | null;
  /** Of how many of its marks nothing was recorded, or one of the two; none at all: of no mark, but they stand on no base. */
  readonly lacks: { readonly all: number; readonly control: number; readonly data: number };
}

export interface Extent {
  readonly spans: readonly Span[];
  readonly gaps: readonly Gap[];
  /** [HI9] What was written behind this time may be missing. */
  readonly knownUs: number;
  /** [HI6] Times of which there is no state. */
  readonly unclear: readonly UnclearMarks[];
}

/** From the mark behind that of its note on. */
export interface UnclearMarks extends Unclear {
  readonly from: number;
}

/**
 * The times of `order`, corrected, and never going back. `known`: what is behind its mark was given behind its time, whatever a clock
 * says that was set meanwhile.
 */
export function correctedTimes(
  table: RecordTable,
  floorUs = 0,
  notes: readonly ClockNote[] = table.clocks,
  known: WholePoint = { mark: 0, timeUs: 0 },
): Float64Array {
  const times = new Float64Array(table.count);
  const clocks = notes.toSorted((a, b) => a.mark - b.mark);
  let [next, ahead, newest] = [0, 0, floorUs];
  let unclear: Unclear | undefined;
  for (let i = 0; i < times.length; i++) {
    const record = table.order[i] ?? 0;
    const mark = table.mark(record);
    for (let note = clocks[next]; note && note.mark < mark; note = clocks[++next]) {
      ahead = countedAhead(note.aheadUs);
      ({ unclear } = note);
    }
    if (isEntry(table.kind(record))) {
      const time = table.timeUs(record) - ahead;
      const told = unclear && mark <= unclear.upTo ? within(time, unclear) : time;
      newest = Math.max(newest, told, mark > known.mark ? known.timeUs + 1 : 0);
    }
    times[i] = newest;
  }
  return times;
}

const within = (us: number, { fromUs, untilUs }: Unclear): number => Math.min(Math.max(us, fromUs + 1), untilUs);

/** `known`: nothing beyond its mark was written until then. Where that is not noted, what is here tells. */
export function extentOf(
  table: RecordTable,
  base: WholePoint | null,
  times: Float64Array,
  known: WholePoint = { mark: 0, timeUs: 0 },
  unclear: readonly UnclearMarks[] = [],
): Extent {
  const wholes = table.wholes.filter(({ mark }) => base !== null && mark >= base.mark);
  // Without a base nothing that is known later is a state.
  const starts = base ? [base, ...wholes] : [];
  const spans: Span[] = [];
  let place = 0;
  for (const { mark: from, timeUs: fromUs, isLeft } of starts) {
    const former = spans.at(-1);
    if (former && from <= former.to) {
      // Nothing that is missing behind it was written until then.
      if (from === former.to && !isLeft) spans.splice(-1, 1, { ...former, toUs: Math.max(former.toUs, fromUs) });
      continue;
    }
    while (place < table.count && table.mark(table.order[place] ?? 0) <= from) place++;
    let [to, toUs] = [from, fromUs];
    for (; place < table.count; place++) {
      const record = table.order[place] ?? 0;
      const mark = table.mark(record);
      if (!isEntry(table.kind(record))) continue;
      if (mark !== to + 1 || !table.isComplete(record)) break;
      to = mark;
      toUs = Math.max(toUs, times[place] ?? toUs);
    }
    spans.push({ from, to, fromUs, toUs });
  }
  // The times of newer marks are those of a clock that may just have been set.
  const knownUs = known.timeUs > 0 ? known.timeUs : (spans.at(-1)?.toUs ?? 0);
  return { spans, gaps: gapsOf(table, spans, times, known.mark), knownUs, unclear };
}

const NOTHING: Gap['lacks'] = { all: 0, control: 0, data: 0 };

function gapsOf(table: RecordTable, spans: readonly Span[], times: Float64Array, knownMark: number): Gap[] {
  const gaps: Gap[] = [];
  const lastRecord = table.order.at(-1);
  const recorded = lastRecord === undefined ? 0 : table.mark(lastRecord);
  const newest = Math.max(recorded, table.orphans.at(-1) ?? 0, knownMark);
  spans.forEach((span, i) => {
    const next = spans[i + 1];
    const last = next ? next.from - 1 : newest;
    if (last > span.to) gaps.push(gapFrom(table, times, span.to + 1, last, span.toUs, next?.fromUs ?? null));
  });
  const first = table.order[0];
  if (spans.length === 0 && newest > 0) {
    const mark = first === undefined ? (table.orphans[0] ?? 1) : table.mark(first);
    gaps.push({ first: mark, last: newest, fromUs: times[0] ?? 0, untilUs: null, lacks: NOTHING });
  }
  return gaps;
}

function gapFrom(
  table: RecordTable,
  times: Float64Array,
  first: number,
  last: number,
  fromUs: number,
  untilUs: number | null,
): Gap {
  let [here, data, knownUs] = [0, 0, fromUs];
  for (let place = table.placeOf(first - 1) + 1; place < table.count; place++) {
    const record = table.order[place] ?? 0;
    if (table.mark(record) > last) break;
    if (!isEntry(table.kind(record))) continue;
    here++;
    if (!table.isComplete(record)) data++;
    // Its time is known: before it nothing is missing.
    if (table.mark(record) === first) knownUs = Math.max(fromUs, (times[place] ?? fromUs) - 0.5);
  }
  const control = table.orphans.filter((mark) => mark >= first && mark <= last).length;
  const all = last - first + 1 - here - control;
  return { first, last, fromUs: knownUs, untilUs, lacks: { all, control, data } };
}

/** A mark, or a time. */
export type When = { readonly mark: number } | { readonly timeUs: number };

export type Found =
  | { readonly ok: true; readonly mark: number; readonly timeUs: number }
  /** `why` is what is wrong, for an operator; `earliest` and `latest` what there is. */
  | { readonly ok: false; readonly why: string };

export function findMark(
  table: RecordTable,
  { spans, gaps, knownUs, unclear }: Extent,
  times: Float64Array,
  when: When,
  nowUs: number,
): Found {
  const [first, last] = [spans[0], spans.at(-1)];
  if (!first || !last) return { ok: false, why: 'nothing can be restored yet: the base is not all there' };
  if ('mark' in when) return byMark(table, spans, gaps, times, when.mark);
  const { timeUs } = when;
  if (timeUs > nowUs) return { ok: false, why: `${timeText(timeUs)} is in the future` };
  if (timeUs < first.fromUs) return { ok: false, why: beginning(timeText(timeUs), first) };
  const inGap = gaps.find(({ fromUs, untilUs }) => timeUs > fromUs && timeUs < (untilUs ?? Infinity));
  if (inGap) return { ok: false, why: `${timeText(timeUs)} lies in a gap: ${gapText(inGap)}` };
  const untold = unclear.find(({ fromUs, untilUs }) => timeUs > fromUs && timeUs < untilUs);
  if (untold) return { ok: false, why: `${timeText(timeUs)} cannot be told: ${untoldText(untold, last.to)}` };
  const isSet = knownUs > nowUs + CLOCK_NOISE_US;
  if (isSet) return { ok: false, why: `${timeText(timeUs)} cannot be told: ${futureText(knownUs, last.to)}` };
  if (timeUs > knownUs) return { ok: false, why: `${timeText(timeUs)} ${notKnown(knownUs, last.to)}` };
  const span = spans.findLast(({ fromUs }) => fromUs <= timeUs) ?? first;
  let place = table.placeOf(span.to);
  while (place >= 0 && (times[place] ?? 0) > timeUs && table.mark(table.order[place] ?? 0) > span.from) place--;
  const mark = place < 0 ? span.from : Math.max(span.from, table.mark(table.order[place] ?? 0));
  return { ok: true, mark, timeUs: mark === span.from ? span.fromUs : (times[place] ?? span.fromUs) };
}

function byMark(
  table: RecordTable,
  spans: readonly Span[],
  gaps: readonly Gap[],
  times: Float64Array,
  mark: number,
): Found {
  const span = spans.find(({ from, to }) => from <= mark && mark <= to);
  if (span) return { ok: true, mark, timeUs: mark === span.from ? span.fromUs : (times[table.placeOf(mark)] ?? 0) };
  const gap = gaps.find((one) => one.first <= mark && mark <= one.last);
  if (gap) return { ok: false, why: `mark ${mark} lies in a gap: ${gapText(gap)}` };
  const [first, last] = [spans[0], spans.at(-1)];
  if (first && mark < first.from) return { ok: false, why: beginning(`mark ${mark}`, first) };
  return { ok: false, why: `mark ${mark} is not recorded yet: the newest is ${last?.to ?? 0}` };
}

const beginning = (what: string, first: Span): string =>
  `${what} lies before the beginning of what is kept: the earliest is ${timeText(first.fromUs)}, mark ${first.from}`;

const notKnown = (knownUs: number, mark: number): string =>
  `lies behind ${timeText(knownUs)}, until when all that was written is known here: name a time up to then, or #${mark} for the newest state that is here`;

/** Of a recording of which no clock is known it has no begin, and no end. */
const stretchText = ({ fromUs, untilUs }: Unclear): string =>
  `${fromUs > 0 ? `from ${timeText(fromUs)} ` : ''}${untilUs === Infinity ? 'on' : `to ${timeText(untilUs)}`}`;

export function unclearText({ from, upTo, ...stretch }: UnclearMarks): string {
  const marks = upTo > from && upTo < Infinity ? `, #${from + 1} to #${upTo}` : '';
  return `times ${stretchText({ upTo, ...stretch })} cannot be told, for a clock was set: name marks there${marks}`;
}

const untoldText = (unclear: Unclear, newest: number): string =>
  `a clock was set, and times ${stretchText(unclear)} are not known: name another, or a mark; the newest state that is here is #${newest}`;

const futureText = (knownUs: number, newest: number): string =>
  `what is recorded goes on until ${timeText(knownUs)}, so a clock was set: name a mark; the newest state that is here is #${newest}`;

const LACKS: Readonly<Record<keyof Gap['lacks'], string>> = {
  all: 'were never recorded',
  control: 'have data and no control',
  data: 'have control and no data',
};

/** What is missing everywhere in it, or of how many of its marks what. */
function lacksText({ first, last, lacks }: Gap): string {
  const kinds = (['all', 'control', 'data'] as const).filter((kind) => lacks[kind] > 0);
  const [one] = kinds;
  if (one === undefined) return 'have no base that they stand on';
  if (lacks[one] === last - first + 1) return LACKS[one];
  return `are not all here: ${kinds.map((kind) => `${lacks[kind]} ${LACKS[kind]}`).join(', ')}`;
}

export function gapText(gap: Gap): string {
  const { first, last, fromUs, untilUs } = gap;
  const until = untilUs === null ? 'on' : `to ${timeText(untilUs)}`;
  const from = fromUs > 0 ? `from ${timeText(fromUs)}` : 'from before the first time that is known';
  return `marks ${first} to ${last}, ${from} ${until}, ${lacksText(gap)}`;
}

export const timeText = (us: number): string => new Date(Math.floor(us / 1000)).toISOString();
