/** `stillbeat history list`, `at` and `diff`: what is recorded, what the state was, what changed. */
import { createHash } from 'node:crypto';
import { AgentError, EXIT } from '../base/errors.ts';
import { aheadAt } from '../history/core/clock.ts';
import { gapText, timeText, unclearText } from '../history/core/spans.ts';
import type { Loaded } from '../history/store/load.ts';
import { State, STEP_BYTES } from '../history/store/state.ts';
import { isEntry, RECORD_KIND } from '../history/wire/record.ts';
import { loadHistoryPlace } from '../settings/history.ts';
import { usageError } from './commands.ts';
import { foldersOf, loadAll, loadForState, momentOf, oneFolder, parse, toldTime, writtenText } from './history-open.ts';
import { Walk } from './history-progress.ts';
import { bytesText } from './mirror-text.ts';

type Document = Readonly<Record<string, unknown>>;

/** Monitors, ranges, gaps and sizes. */
export async function list(argv: string[]): Promise<number> {
  const { values } = parse(argv, {});
  const asked = values.config === undefined ? null : loadHistoryPlace(values.config).retention;
  const faults: unknown[] = [];
  const documents = loadAll(values, faults).map((loaded) => describe(loaded, asked));
  if (values.json === true) process.stdout.write(`${JSON.stringify({ recordings: documents })}\n`);
  else for (const document of documents) process.stdout.write(listText(document));
  return statusOf(faults);
}

/** What could be read was said; that one could not shows in the status. */
const statusOf = ([fault]: readonly unknown[]): number =>
  fault === undefined ? EXIT.ok : fault instanceof AgentError ? fault.exitStatus : EXIT.failed;

interface Described {
  readonly monitor: string;
  readonly folder: string;
  readonly generation: string;
  readonly volumes: readonly { readonly name: string; readonly bytes: number }[];
  readonly base: string;
  readonly spans: readonly {
    readonly from: number;
    readonly to: number;
    /** Null: it cannot be told. */
    readonly since: string | null;
    readonly until: string | null;
  }[];
  readonly gaps: readonly string[];
  /** Times that cannot be told. */
  readonly unclear: readonly string[];
  /** All that was written until then is here; null: there is no state, or it cannot be told. */
  readonly knownUntil: string | null;
  /** The recorder's clock was ahead: before it is there again no time can be told. Null: it was not. */
  readonly toldFrom: string | null;
  readonly writes: number;
  readonly segmentBytes: number;
  readonly clockAheadSeconds: number;
  readonly retention: string | null;
  readonly damage: readonly string[];
}

function describe(loaded: Loaded, asked: { readonly hours: number; readonly bytes: number } | null): Described {
  const { head, folder, table, extent, segments, clocks, damage } = loaded;
  const hasStates = extent.spans.length > 0;
  return {
    monitor: head.monitor,
    folder,
    generation: head.generation,
    volumes: head.volumes,
    base: head.base.state,
    spans: extent.spans.map(({ from, to, fromUs, toUs }) => ({
      from,
      to,
      since: toldTime(fromUs),
      until: toldTime(toUs),
    })),
    gaps: extent.gaps.map(gapText),
    knownUntil: hasStates ? toldTime(extent.knownUs) : null,
    toldFrom: hasStates && toldTime(extent.knownUs) === null ? timeText(extent.knownUs) : null,
    unclear: extent.unclear.map(unclearText),
    writes: writesIn(table),
    segmentBytes: segments.reduce((sum, one) => sum + one.controlBytes + one.dataBytes, 0),
    clockAheadSeconds: aheadAt(clocks, Infinity) / 1e6,
    retention: asked && retentionText(loaded, asked.hours),
    damage,
  };
}

/** What there is where something was let go of before the time that was asked for; null where nothing was: it has just begun. */
function retentionText({ extent, head }: Loaded, hours: number): string | null {
  const [first] = extent.spans;
  if (!first || hours === 0 || head.base.clock === undefined) return null;
  const letGo = 'what is older was let go of';
  if (toldTime(first.fromUs) === null)
    return `how much is there of ${hours} h that were asked for cannot be told: ${letGo}`;
  const there = Math.max(0, Date.now() * 1000 - first.fromUs) / 3_600_000_000;
  if (there >= hours) return null;
  return `${there.toFixed(there < 1 ? 3 : 1)} h are there of ${hours} h that were asked for: ${letGo}`;
}

const UNTOLD = '(cannot be told)';

function listText(one: Described): string {
  const volumes = one.volumes.map(({ name, bytes }) => `${name} (${bytesText(bytes)})`).join(', ');
  const ahead = one.clockAheadSeconds;
  const lines = [
    `${one.monitor}: ${volumes}; ${one.writes} writes in ${bytesText(one.segmentBytes)}`,
    ...one.spans.map(
      ({ from, to, since, until }) => `  ${since ?? UNTOLD} to ${until ?? UNTOLD}  marks ${from} to ${to}`,
    ),
    ...(one.knownUntil === null ? [] : [`  all that was written until ${one.knownUntil} is known`]),
    ...(one.toldFrom === null
      ? []
      : [`  no time can be told until ${one.toldFrom}, where the recorder's clock was before: name marks`]),
    ...(one.spans.length === 0 ? ['  nothing can be restored yet: the base is not all there'] : []),
    ...one.gaps.map((gap) => `  gap: ${gap}`),
    ...one.unclear.map((unclear) => `  ${unclear}`),
    ...(ahead === 0
      ? []
      : [
          `  its clock is ${Math.abs(ahead).toFixed(0)} s ${ahead > 0 ? 'ahead of' : 'behind'} the recorder's; times are the recorder's`,
        ]),
    ...(one.retention === null ? [] : [`  ${one.retention}`]),
    ...one.damage.map((damage) => `  damage: ${damage}`),
  ];
  return `${lines.join('\n')}\n`;
}

/** What the state was: mark, time, and a digest of each volume. */
export async function at(argv: string[]): Promise<number> {
  const { values, positionals } = parse(argv, { digest: { type: 'boolean' } });
  const [time, ...more] = positionals;
  if (time === undefined || more.length > 0) throw usageError('history', 'history at takes one time');
  const states: Document[] = [];
  const faults: unknown[] = [];
  for (const folder of foldersOf(values, [time], faults)) {
    const loaded = loadForState(folder);
    const moment = momentOf(loaded, time);
    const state = new State(loaded, moment.mark);
    try {
      const volumes: Document[] = [];
      for (const [index, { name, bytes }] of state.volumes.entries()) {
        const digest = values.digest === true ? await digestOf(state, index, bytes, values.json === true) : undefined;
        volumes.push({
          name,
          bytes,
          changedBlocks: state.touched(index).length,
          ...(digest ? { sha256: digest } : {}),
        });
      }
      states.push({ monitor: loaded.head.monitor, mark: moment.mark, time: toldTime(moment.timeUs), volumes });
    } finally {
      state.close();
    }
  }
  if (values.json === true) process.stdout.write(`${JSON.stringify({ states })}\n`);
  else for (const state of states) process.stdout.write(stateText(state));
  return statusOf(faults);
}

function stateText(state: Document): string {
  const volumes = state['volumes'] as Document[];
  const written = writtenText(state['time'] as string | null);
  const head = `${String(state['monitor'])}: mark ${String(state['mark'])}, ${written}\n`;
  return volumes.reduce((text, { name, bytes, sha256 }) => {
    const digest = typeof sha256 === 'string' ? `  sha256 ${sha256}` : '';
    return `${text}  ${String(name)}  ${bytesText(bytes)}${digest}\n`;
  }, head);
}

async function digestOf(state: State, volume: number, bytes: number, isQuiet: boolean): Promise<string> {
  const hash = createHash('sha256');
  const walk = new Walk('digest', bytes, isQuiet);
  const content = new Uint8Array(STEP_BYTES);
  for (let done = 0; done < bytes; done += STEP_BYTES) {
    const part = content.subarray(0, Math.min(STEP_BYTES, bytes - done));
    state.read(volume, done, part);
    hash.update(part);
    await walk.at(done);
  }
  walk.end();
  return hash.digest('hex');
}

interface Range {
  from: number;
  to: number;
}

/** What was written between two times, by ranges of each volume. */
export async function diff(argv: string[]): Promise<number> {
  const { values, positionals } = parse(argv, {});
  const [first, second, ...more] = positionals;
  if (second === undefined || more.length > 0) throw usageError('history', 'history diff takes two times');
  const loaded = loadForState(oneFolder(values, [first, second]));
  const moments = [momentOf(loaded, first), momentOf(loaded, second)].sort((a, b) => a.mark - b.mark);
  const [from, to] = [moments[0]?.mark ?? 0, moments[1]?.mark ?? 0];
  const volumes = await changedRanges(loaded, from, to);
  const writes = writesBetween(loaded, from, to);
  const gaps = loaded.extent.gaps.filter((gap) => gap.first <= to && gap.last > from).map(gapText);
  if (values.json === true)
    process.stdout.write(`${JSON.stringify({ monitor: loaded.head.monitor, from, to, writes, gaps, volumes })}\n`);
  else {
    process.stdout.write(
      `${loaded.head.monitor}: ${writes} writes between mark ${from} and ${to}${gaps.length === 0 ? '' : ' are recorded, and a gap lies between'}\n`,
    );
    for (const gap of gaps) process.stdout.write(`  gap: ${gap}\n`);
    for (const { name, ranges } of volumes) {
      const bytes = ranges.reduce((sum, range) => sum + range.to - range.from, 0);
      process.stdout.write(`  ${name}: ${bytesText(bytes)} differ\n`);
      for (const range of ranges) process.stdout.write(`    ${range.to - range.from} bytes from ${range.from} on\n`);
    }
  }
  return EXIT.ok;
}

const writesBetween = ({ table }: Loaded, from: number, to: number): number =>
  writesIn(table, table.placeOf(from) + 1, table.placeOf(to));

/** Without seals, and images. */
function writesIn(table: Loaded['table'], first = 0, last: number = table.count - 1): number {
  let count = 0;
  for (let place = first; place <= last; place++) {
    const kind = table.kind(table.order[place] ?? 0);
    if (isEntry(kind) && kind !== RECORD_KIND.seal) count++;
  }
  return count;
}

/** Ranges whose bytes differ, by blocks, of what was written to in between. */
async function changedRanges(
  loaded: Loaded,
  from: number,
  to: number,
): Promise<{ readonly name: string; readonly ranges: readonly Range[] }[]> {
  const [before, after] = [new State(loaded, from), new State(loaded, to)];
  const found: { name: string; ranges: Range[] }[] = [];
  try {
    for (const [volume, { name, bytes }] of loaded.head.volumes.entries()) {
      const ranges: Range[] = [];
      const blocks = after.touched(volume);
      const walk = new Walk(name, blocks.length * 4096, false);
      for (const [i, block] of blocks.entries()) {
        const start = block * 4096;
        const end = Math.min(bytes, start + 4096);
        const [old, young] = [new Uint8Array(end - start), new Uint8Array(end - start)];
        before.read(volume, start, old);
        after.read(volume, start, young);
        await walk.at(i * 4096);
        if (Buffer.compare(old, young) === 0) continue;
        const last = ranges.at(-1);
        if (last?.to === start) last.to = end;
        else ranges.push({ from: start, to: end });
      }
      walk.end();
      found.push({ name, ranges });
    }
  } finally {
    before.close();
    after.close();
  }
  return found;
}
