/**
 * `stillbeat report --config FILE [--since T] [--until T] [--output FILE|-] [--force]`: what happened, as one HTML file. Made of what
 * the agent keeps on the disk, so that it can be made when the agent is dead.
 */
import { existsSync, readFileSync } from 'node:fs';
import { release } from 'node:os';
import { parseArgs } from 'node:util';
import { AgentError, EXIT } from '../base/errors.ts';
import { ask } from '../control-client.ts';
import { timeUs } from './operator-time.ts';
import { type KeptEvent, readEvents } from '../operate/event-file.ts';
import { isReport, reportHtml } from '../report/document.ts';
import { gather, type Range } from '../report/gather.ts';
import { settingsText } from '../report/secrets.ts';
import { loadSettings } from '../settings/load.ts';
import type { Settings } from '../settings/settings.ts';
import { readSource } from '../settings/source.ts';
import { beginningOf, outputKind, writeWhole } from '../platform/output-file.ts';
import { VERSION } from '../platform/version.ts';
import type { StatusView } from '../view/status.ts';
import { usageError } from './commands.ts';
import { refuseOwn } from './own-files.ts';
import { requireConfig } from './usage.ts';

const DAY_MS = 86_400_000;
const ANSWER_MS_MAX = 2000;

export async function report(argv: string[]): Promise<number> {
  const { values } = parseArgs({
    args: joined(argv),
    options: {
      config: { type: 'string' },
      since: { type: 'string' },
      until: { type: 'string' },
      output: { type: 'string' },
      force: { type: 'boolean', default: false },
    },
  });
  const file = requireConfig('report', values.config);
  // Said before anything is asked of anybody.
  rangeOf(values.since, values.until, Date.now());
  const settings = loadSettings(file);
  if (values.output !== undefined) checkOutput(values.output, settings, values.force);
  const status = await statusOf(settings);
  const minute = status === null ? null : await minuteOf(settings);
  // What the agent has just told is no future.
  const nowMs = Date.now();
  const asked = rangeOf(values.since, values.until, nowMs);
  const kept = [...keptOf(settings), ...(minute === null ? [] : [minute])];
  // A report of nothing would look like one of a quiet time.
  if (kept.length === 0 && status === null) {
    const where = settings.events.file;
    throw new AgentError(
      'failed',
      `nothing is kept in ${where}, and no agent runs: has it ever run with these settings?`,
    );
  }
  const peers = settings.peers.map(({ node }) => node);
  const text = reportHtml(gather(kept, status, peers, asked), {
    cluster: settings.cluster,
    node: settings.node,
    madeMs: nowMs,
    settings: settingsText(readSource(readFileSync(file, 'utf8'), file).value),
    versions: versionsOf(status),
    isRunning: status !== null,
    kept: settings.events,
  });
  write(values.output ?? defaultName(settings, asked), text, settings, values.force);
  return EXIT.ok;
}

/** `--since -5m` is what people write; parseArgs wants `--since=-5m`. */
function joined(argv: readonly string[]): string[] {
  const out: string[] = [];
  for (let i = 0; i < argv.length; i++) {
    const [name = '', value] = [argv[i], argv[i + 1]];
    const isTime = (name === '--since' || name === '--until') && value !== undefined && /^-\d/.test(value);
    out.push(isTime ? `${name}=${value}` : name);
    if (isTime) i++;
  }
  return out;
}

/** The last day, when nothing is said. */
function rangeOf(since: string | undefined, until: string | undefined, nowMs: number): Range {
  const moment = (option: string, text: string | undefined, none: number): number => {
    if (text === undefined) return none;
    const us = timeUs(text, nowMs);
    if (us === null) throw usageError('report', `--${option} ${text} is no time such as 2026-03-01T03:12:00Z or -5m`);
    return us / 1000;
  };
  const toMs = moment('until', until, nowMs);
  const fromMs = moment('since', since, toMs - DAY_MS);
  if (fromMs >= nowMs) throw usageError('report', `--since ${since ?? ''} is in the future`);
  if (fromMs >= toMs) throw usageError('report', '--since is not before --until');
  return { fromMs, toMs: Math.min(toMs, nowMs) };
}

const statusOf = async ({ controlSocket }: Settings): Promise<StatusView | null> =>
  ask(controlSocket, { command: 'status' }, ANSWER_MS_MAX).then(
    (answer) => answer as unknown as StatusView,
    () => null,
  );

/** The one that is under way is not kept yet. An older agent does not tell it. */
const minuteOf = async ({ controlSocket }: Settings): Promise<KeptEvent | null> =>
  ask(controlSocket, { command: 'figures' }, ANSWER_MS_MAX).then(
    (answer) => (answer['minute'] as KeptEvent | null | undefined) ?? null,
    () => null,
  );

function keptOf({ events: { file } }: Settings): KeptEvent[] {
  try {
    return readEvents(file);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? String(error);
    const mend = 'ask as the user that the agent runs as';
    throw new AgentError('failed', `${file} cannot be read (${code}): ${mend}`, { cause: error });
  }
}

function versionsOf(status: StatusView | null): [string, string][] {
  const pretty = existsSync('/etc/os-release') ? readFileSync('/etc/os-release', 'utf8') : '';
  const system = /^PRETTY_NAME="?([^"\n]*)/m.exec(pretty)?.[1] ?? 'Linux';
  return [
    ['stillbeat, the agent that runs', status?.version ?? 'none runs'],
    ['stillbeat, which made this report', VERSION],
    ['Node.js', process.version.slice(1)],
    ['kernel', release()],
    ['system', system],
  ];
}

const defaultName = ({ cluster, node }: Settings, { toMs }: Range): string =>
  `stillbeat-${cluster}-${node}-${new Date(toMs).toISOString().slice(0, 19).replaceAll(':', '')}Z.html`;

/** Throws when something else would be lost. */
function checkOutput(output: string, settings: Settings, isForced: boolean): ReturnType<typeof outputKind> {
  if (output === '-') return 'pipe';
  const { file, keyFile, events, storage, peers } = settings;
  const volumes = [storage.sendVolume, storage.localVolume, ...peers.map(({ receiveVolume }) => receiveVolume)];
  const { mirror } = storage;
  const journals = mirror ? [mirror.journal, ...mirror.peers.map(({ journal }) => journal)] : [];
  const kind = outputKind('--output', output, [
    { what: 'the settings file', path: file },
    ...(keyFile === null ? [] : [{ what: 'the key file', path: keyFile }]),
    { what: 'the file of events', path: events.file },
    { what: 'the file of events', path: `${events.file}.1` },
    ...volumes.flatMap((path) => (path === null ? [] : [{ what: 'a volume', path }])),
    ...journals.map(({ path }) => ({ what: 'a journal', path })),
  ]);
  if (kind !== 'file') return kind;
  refuseOwn('--output', output);
  if (isForced) return kind;
  const beginning = beginningOf(output, 1024).toString();
  if (beginning !== '' && !isReport(beginning)) {
    throw new AgentError('usage', `${output} exists and is no report: name another file, or add --force to replace it`);
  }
  return kind;
}

function write(output: string, text: string, settings: Settings, isForced: boolean): void {
  if (output === '-') return void process.stdout.write(text);
  // Looked at once more: it may have come since.
  writeWhole(output, checkOutput(output, settings, isForced), text);
  process.stdout.write(`${output}\n`);
}
