/** `stillbeat mirror pause|resume|resync|verify`: what an operator does with a source's targets. */
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { EXIT } from '../base/errors.ts';
import { ask } from '../control-client.ts';
import { loadMirror } from '../settings/mirror.ts';
import { usageError } from './commands.ts';
import { bytesText } from './mirror-text.ts';

type Values = Readonly<Record<string, unknown>>;

const START = 'stillbeat mirror source';
const LOOK_MS = 200;
const BAR_CHARACTERS = 30;

interface Asked {
  readonly socket: string;
  readonly target: string | undefined;
  readonly inPlace: boolean;
  readonly json: boolean;
}

function readArguments(argv: string[], action: string, isTargetNeeded: boolean): Asked {
  const { values, positionals } = parseArgs({
    args: argv,
    allowPositionals: true,
    options: {
      config: { type: 'string' },
      socket: { type: 'string' },
      json: { type: 'boolean' },
      ...(action === 'resync' ? { 'in-place': { type: 'boolean' } as const } : {}),
    },
  });
  if (values.socket === undefined && values.config === undefined) {
    throw usageError('mirror', '--config or --socket is missing');
  }
  const [target, ...more] = positionals;
  if (more.length > 0) throw usageError('mirror', `mirror ${action} takes one target, not ${positionals.join(' ')}`);
  if (target === undefined && isTargetNeeded) throw usageError('mirror', `mirror ${action} of which target?`);
  const given = values as Values;
  const socket = values.socket ?? loadMirror(values.config ?? '').controlSocket;
  return { socket, target, inPlace: given['in-place'] === true, json: values.json === true };
}

const simple =
  (action: string, said: (target: string, answer: Values) => string) =>
  async (argv: string[]): Promise<number> => {
    const { socket, target, inPlace, json } = readArguments(argv, action, true);
    const answer = await ask(socket, { command: `mirror-${action}`, target, inPlace }, undefined, START);
    process.stdout.write(json ? `${JSON.stringify(answer)}\n` : `${said(target ?? '', answer)}\n`);
    return EXIT.ok;
  };

export const pause: (argv: string[]) => Promise<number> = simple(
  'pause',
  (target) => `target ${target} is stopped: what it lacks is kept, or noted; say resume`,
);
export const resume: (argv: string[]) => Promise<number> = simple('resume', (target, { wasPaused, state }) =>
  wasPaused === false ? `target ${target} was not paused: it is ${String(state)}` : `target ${target} is dialled`,
);
export const resync: (argv: string[]) => Promise<number> = simple(
  'resync',
  (target) => `target ${target} is compared as a whole; mirror status shows how far it is`,
);

/** Exit status 1 when something differs, or could not be compared. */
export async function verify(argv: string[]): Promise<number> {
  const { socket, target, json } = readArguments(argv, 'verify', false);
  const { targets } = await ask(socket, { command: 'mirror-verify', ...(target ? { target } : {}) }, undefined, START);
  const names = targets as string[];
  const isBar = process.stdout.isTTY && !json;
  for (;;) {
    const reports = await reportsOf(socket, names);
    const isRunning = reports.some(({ report }) => report['state'] === 'running');
    if (isBar) process.stdout.write(`\r\u001b[K${isRunning ? barText(reports) : ''}`);
    if (isRunning) {
      await delay(LOOK_MS);
      continue;
    }
    process.stdout.write(json ? `${JSON.stringify({ targets: reports })}\n` : reports.map(reportText).join(''));
    return reports.every(({ report }) => isClean(report)) ? EXIT.ok : EXIT.failed;
  }
}

interface Report {
  readonly name: string;
  readonly report: Values;
}

async function reportsOf(socket: string, names: readonly string[]): Promise<Report[]> {
  const status = await ask(socket, { command: 'mirror-status' }, undefined, START);
  const targets = status['targets'] as (Values & { readonly name: string })[];
  return targets
    .filter(({ name }) => names.includes(name))
    .map((target) => ({ name: target.name, report: (target['verify'] ?? {}) as Values }));
}

const isClean = ({ state, differingBytes, unsettled }: Values): boolean =>
  state === 'done' && differingBytes === 0 && unsettled === 0;

function barText(reports: readonly Report[]): string {
  const sum = (key: string): number => reports.reduce((all, { report }) => all + Number(report[key] ?? 0), 0);
  const share = sum('total') === 0 ? 0 : sum('done') / sum('total');
  const full = Math.round(share * BAR_CHARACTERS);
  const known = reports.map(({ report }) => report['secondsLeft']).filter((one) => typeof one === 'number');
  const left = known.length === 0 ? '' : `  ${Math.max(...known)} s left`;
  const bar = `${'#'.repeat(full)}${'.'.repeat(BAR_CHARACTERS - full)}`;
  return `[${bar}] ${(100 * share).toFixed(1)} %${left}  ${bytesText(sum('differingBytes'))} differ`;
}

function reportText({ name, report }: Report): string {
  const { state, total, done, reason, unsettled, differingBytes } = report;
  const head = `target ${name}: ${String(done)} of ${String(total)} MiB compared`;
  if (state !== 'done') return `${head}, then it broke off: ${String(reason)}\n`;
  const differences = (report['differences'] ?? []) as { volume: string; offset: number; length: number }[];
  const lines = differences.map(
    ({ volume, offset, length }) => `  ${volume}: ${length} bytes from ${offset} on differ\n`,
  );
  const open = unsettled === 0 ? '' : `  ${String(unsettled)} MiB were written to each time: verify them again\n`;
  const end =
    differingBytes === 0
      ? ', nothing differs\n'
      : `, ${bytesText(differingBytes)} differ; to mend that, say mirror resync ${name}\n`;
  return `${head}${end}${lines.join('')}${open}`;
}
