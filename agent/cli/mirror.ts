/** `stillbeat mirror`: the replicator's processes, and what an operator does with them. */
import { parseArgs } from 'node:util';
import { AgentError, EXIT } from '../base/errors.ts';
import { ask } from '../control-client.ts';
import { systemClock } from '../platform/clock.ts';
import { loadMirror, loadMirrorSource, loadMirrorTarget } from '../settings/mirror.ts';
import { usageError } from './commands.ts';
import { pause, resume, resync, verify } from './mirror-operate.ts';
import { mirrorStatus } from './mirror-status.ts';
import { takeoverText } from './mirror-text.ts';

/** What is in the journal is brought onto the volumes meanwhile. */
const TURN_MS_MAX = 600_000;
const SHOWN_MS = 60_000;
const START = 'stillbeat mirror source" or "target';

const ACTIONS: Readonly<Record<string, (argv: string[]) => Promise<number>>> = {
  source,
  target,
  status: mirrorStatus,
  checkpoint,
  takeover,
  failback,
  handover,
  pause,
  resume,
  resync,
  verify,
};

export async function mirror(argv: string[]): Promise<number> {
  const [action = '', ...rest] = argv;
  const run = Object.hasOwn(ACTIONS, action) ? ACTIONS[action] : undefined;
  if (!run) throw usageError('mirror', action === '' ? 'what of the mirror?' : `there is no mirror ${action}`);
  return run(rest);
}

/** The processes load the replicator, which is no small thing; who asks one of them something needs none of it. */
async function source(argv: string[]): Promise<number> {
  const settings = loadMirrorSource(configOf(argv));
  const { run } = await import('./mirror-run.ts');
  return run(settings, `${settings.group}/source`);
}

async function target(argv: string[]): Promise<number> {
  const settings = loadMirrorTarget(configOf(argv));
  const { run } = await import('./mirror-run.ts');
  return run(settings, `${settings.group}/${settings.name}`);
}

/** The target becomes the source of its group. */
async function takeover(argv: string[]): Promise<number> {
  const { values } = parseArgs({
    args: argv,
    options: { config: { type: 'string' }, socket: { type: 'string' }, force: { type: 'boolean' } },
  });
  return tell(values, { command: 'mirror-takeover', force: values.force === true });
}

/** A source that was overtaken becomes a target of the other. */
async function failback(argv: string[]): Promise<number> {
  const { values } = parseArgs({
    args: argv,
    options: { config: { type: 'string' }, socket: { type: 'string' }, discard: { type: 'boolean' } },
  });
  return tell(values, { command: 'mirror-failback', discard: values.discard === true });
}

/** The source gives up its role in order: its target may take over, and nothing is lost. */
async function handover(argv: string[]): Promise<number> {
  const { values } = parseArgs({ args: argv, options: { config: { type: 'string' }, socket: { type: 'string' } } });
  return tell(values, { command: 'mirror-handover' });
}

async function tell(
  { socket, config }: { readonly socket?: string | undefined; readonly config?: string | undefined },
  request: Readonly<Record<string, unknown>>,
): Promise<number> {
  const document = await ask(socket ?? loadMirror(requireConfig(config)).controlSocket, request, TURN_MS_MAX, START);
  process.stdout.write(takeoverText(document));
  return EXIT.ok;
}

interface TargetLine {
  readonly name: string;
  readonly state: string;
  readonly applied: number;
}

/** Makes a cut, and returns when every target that is in sync shows it. */
async function checkpoint(argv: string[]): Promise<number> {
  const { values } = parseArgs({
    args: argv,
    options: { config: { type: 'string' }, socket: { type: 'string' }, json: { type: 'boolean' } },
  });
  const socket = values.socket ?? loadMirror(requireConfig(values.config)).controlSocket;
  const { cut } = (await ask(socket, { command: 'mirror-checkpoint' })) as { readonly cut: number };
  const endMs = systemClock.monotonicMs() + SHOWN_MS;
  for (;;) {
    const document = await ask(socket, { command: 'mirror-status' });
    const targets = document['targets'] as readonly TargetLine[];
    const behind = targets.filter(({ state, applied }) => state === 'in-sync' && applied < cut);
    if (behind.length === 0) {
      const shown = targets.filter(({ applied }) => applied >= cut).map(({ name }) => name);
      if (values.json === true) process.stdout.write(`${JSON.stringify({ cut, shown })}\n`);
      else process.stdout.write(`cut ${cut} is shown by ${shown.join(', ') || 'no target'}\n`);
      return shown.length === targets.length ? EXIT.ok : EXIT.failed;
    }
    if (systemClock.monotonicMs() > endMs) {
      const names = behind.map(({ name, applied }) => `${name} (at ${applied})`).join(', ');
      throw new AgentError('failed', `cut ${cut} is not shown yet by ${names}: see stillbeat mirror status`);
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

function configOf(argv: string[]): string {
  const { values } = parseArgs({ args: argv, options: { config: { type: 'string' } } });
  return requireConfig(values.config);
}

function requireConfig(config: string | undefined): string {
  if (config !== undefined) return config;
  throw usageError('mirror', '--config is missing');
}
