/**
 * `stillbeat demo`: two real agents on one host, a network that is cut and healed twice, and an account of every packet;
 * or more agents, a network that is cut in parts, and an account of every pair.
 *
 * On a terminal the run is drawn live; elsewhere its events are lines. `--json` keeps stdout for the one document, and
 * the events go to stderr.
 */
import { parseArgs } from 'node:util';
import { AgentError, EXIT } from '../base/errors.ts';
import { usageError } from '../cli/commands.ts';
import { DemoRun, planDemo } from './demo-run.ts';
import { type DemoEvent, WIDTH_MIN, drawDemo, eventLine } from './draw.ts';
import { CLI_PATH, Lab } from './lab.ts';
import { LAB_COPIES, type LabCopy } from './lab-copies.ts';
import { partitionShortfalls, type PartitionsReport } from './partitions.ts';
import { drawPartitions, partitionsReportLines } from './partitions-draw.ts';
import { PartitionsRun } from './partitions-run.ts';
import { type DemoReport, reportLines, shortfalls } from './report.ts';
import { missingRequirements } from './requirements.ts';
import { type Paint, Screen, paint, wantsColour } from './terminal.ts';
import { demoInUserNamespace, needsUserNamespace, onOuterSignal } from './user-namespace.ts';

const SECONDS_DEFAULT = 40;
const SECONDS_MIN = 15;
const SECONDS_MAX = 3600;
const NODES_MIN = 2;
const NODES_MAX = 8;
const DRAW_MS = 200;
/** Fewer rows would cut the picture off. */
const ROWS_MIN = 30;
const SIGNALS = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 } as const;
/** Node ignores SIGPIPE; output that nobody reads any more ends the demo all the same. */
const END_NUMBER = { ...SIGNALS, SIGPIPE: 13 } as const;
type EndSignal = keyof typeof END_NUMBER;

export interface DemoArguments {
  readonly nodes: number;
  readonly copy: 'shared' | LabCopy;
  readonly seconds: number;
  readonly json: boolean;
}

/** Runs the demo; answers the exit status. What prevents it is thrown as an AgentError of one line. */
export async function demo(argv: string[]): Promise<number> {
  const args = readArguments(argv);
  const missing = await missingRequirements();
  if (missing.length > 0) throw new AgentError('failed', `the demo cannot run here: ${missing.join('; ')}`);
  if (needsUserNamespace()) return demoInUserNamespace(CLI_PATH, argv);
  const interruption = watchInterruption();
  try {
    const { report, lines, failed } = await runInLab(args, interruption.signal);
    if (!args.json) print(lines(paint(wantsColour(process.stdout.isTTY, process.env))));
    else for (const line of failed) process.stderr.write(`${line}\n`);
    if (args.json) process.stdout.write(`${JSON.stringify(report)}\n`);
    return report.ok ? EXIT.ok : EXIT.failed;
  } catch (error) {
    const signal = interruption.signal.reason as EndSignal | undefined;
    if (!interruption.signal.aborted || signal === undefined) throw error;
    process.stderr.write('stillbeat: demo: interrupted; everything it made is removed\n');
    return 128 + END_NUMBER[signal];
  } finally {
    interruption.release();
  }
}

export function readArguments(argv: string[]): DemoArguments {
  const options = {
    nodes: { type: 'string' },
    copy: { type: 'string' },
    seconds: { type: 'string' },
    json: { type: 'boolean' },
  } as const;
  const usage = (why: string): AgentError => usageError('demo', why);
  let values: { nodes?: string; copy?: string; seconds?: string; json?: boolean };
  try {
    values = parseArgs({ args: argv, options, strict: true, allowPositionals: false }).values;
  } catch (error) {
    throw usage((error as Error).message.split('\n')[0] ?? '');
  }
  const nodes = Number(values.nodes ?? NODES_MIN);
  if (!(Number.isInteger(nodes) && nodes >= NODES_MIN && nodes <= NODES_MAX)) {
    throw usage(`--nodes ${values.nodes}: a whole number from ${NODES_MIN} to ${NODES_MAX}`);
  }
  const copy = (['shared', ...LAB_COPIES] as const).find((kind) => kind === (values.copy ?? 'shared'));
  if (copy === undefined) throw usage(`--copy ${values.copy}: one of shared, ${LAB_COPIES.join(', ')}`);
  if (copy !== 'shared' && nodes !== 2) throw usage(`--copy ${copy}: with two nodes only: leave out --nodes ${nodes}`);
  const seconds = Number(values.seconds ?? SECONDS_DEFAULT);
  if (!(seconds >= SECONDS_MIN && seconds <= SECONDS_MAX)) {
    throw usage(`--seconds ${values.seconds}: a number from ${SECONDS_MIN} to ${SECONDS_MAX}`);
  }
  return { nodes, copy, seconds, json: values.json ?? false };
}

/** What a run found: for programs, for people, and all that was not as it should be. */
interface Outcome {
  readonly report: DemoReport | PartitionsReport;
  readonly lines: (colour: Paint) => string[];
  readonly failed: readonly string[];
}

async function runInLab({ nodes, copy, seconds, json }: DemoArguments, signal: AbortSignal): Promise<Outcome> {
  const names = Array.from({ length: nodes }, (_, index) => String.fromCharCode(97 + index));
  const lab = await Lab.create({ nodes: names, tag: 'demo', handleSignals: false });
  const display = json || !isDrawable() ? plainDisplay(json) : liveDisplay();
  try {
    signal.throwIfAborted();
    return nodes === 2
      ? await cutTwice(lab, copy, seconds, signal, display)
      : await cutInParts(lab, seconds, signal, display);
  } finally {
    display.end();
    await lab.close();
  }
}

async function cutTwice(
  lab: Lab,
  copy: DemoArguments['copy'],
  seconds: number,
  signal: AbortSignal,
  display: Display,
): Promise<Outcome> {
  const run = new DemoRun(lab, copy, planDemo(seconds), signal, (event) => display.event(event));
  display.begin((columns, tick, colour) => {
    const view = run.view();
    return view === null
      ? ['', '  stillbeat demo: two namespaces, a switch, volumes; starting two agents']
      : drawDemo(view, columns, tick, colour);
  });
  const report = await run.run();
  return { report, lines: (colour) => reportLines(report, colour), failed: shortfalls(report) };
}

async function cutInParts(lab: Lab, seconds: number, signal: AbortSignal, display: Display): Promise<Outcome> {
  const { nodes } = lab;
  const run = new PartitionsRun(lab, seconds, signal, (event) => display.event(event));
  display.begin((columns, _tick, colour) => {
    const view = run.view();
    return view === null
      ? ['', `  stillbeat demo: ${nodes.length} namespaces, a switch, a volume; starting ${nodes.length} agents`]
      : drawPartitions(view, columns, colour);
  });
  const report = await run.run();
  const failed = partitionShortfalls(report.pairs);
  return { report, lines: (colour) => partitionsReportLines(report, nodes, colour), failed };
}

type Draw = (columns: number, tick: number, colour: Paint) => string[];

interface Display {
  begin(draw: Draw): void;
  event(event: DemoEvent): void;
  /** Idempotent. */
  end(): void;
}

function isDrawable(): boolean {
  const { isTTY, columns, rows } = process.stdout;
  return isTTY && columns >= WIDTH_MIN && rows >= ROWS_MIN && process.env['TERM'] !== 'dumb';
}

function plainDisplay(json: boolean): Display {
  const output = json ? process.stderr : process.stdout;
  const colour = paint(wantsColour(output.isTTY, process.env));
  return { begin: () => {}, event: (event) => output.write(`${eventLine(event, colour)}\n`), end: () => {} };
}

function liveDisplay(): Display {
  const colour = paint(wantsColour(true, process.env));
  const screen = new Screen(process.stdout);
  let timer: NodeJS.Timeout | undefined;
  let tick = 0;
  let draw = (): void => {};
  return {
    begin: (picture) => {
      draw = () => {
        if (process.stdout.columns < WIDTH_MIN) return; // made narrower meanwhile: lines would wrap
        screen.draw(picture(process.stdout.columns, tick++, colour));
      };
      timer = setInterval(draw, DRAW_MS);
      draw();
    },
    event: () => draw(),
    end: () => {
      clearInterval(timer);
      draw();
      screen.end();
      draw = () => {};
    },
  };
}

function print(lines: readonly string[]): void {
  process.stdout.write(`${lines.join('\n')}\n`);
}

/** The first signal ends the demo in good order, a second one at once; either way nothing stays behind. */
function watchInterruption(): { readonly signal: AbortSignal; release(): void } {
  const controller = new AbortController();
  const onSignal = (name: NodeJS.Signals): void => {
    if (controller.signal.aborted) process.exit(128 + END_NUMBER[name as EndSignal]);
    controller.abort(name);
  };
  for (const name of Object.keys(SIGNALS)) process.on(name, onSignal);
  const abortOnce = (name: NodeJS.Signals): void => {
    if (!controller.signal.aborted) controller.abort(name);
  };
  const stopListening = onOuterSignal(abortOnce);
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => abortOnce('SIGPIPE'));
  return {
    signal: controller.signal,
    release: () => {
      for (const name of Object.keys(SIGNALS)) process.off(name, onSignal);
      stopListening();
    },
  };
}
