#!/usr/bin/env node
/** The program: the command's name to its function, its result to an exit status. Errors are one line on stderr. */
import { AgentError, EXIT } from './base/errors.ts';
import { finishOutput, guardOutput } from './platform/standard-output.ts';
import { commandLines, isCommand, usageError, usageOf, type CommandName } from './cli/commands.ts';

const COMMANDS: Readonly<Record<CommandName, () => Promise<(argv: string[]) => Promise<number>>>> = {
  bench: async () => (await import('./cli/bench.ts')).bench,
  demo: async () => (await import('./demo/demo.ts')).demo,
  format: async () => (await import('./cli/format.ts')).format,
  diff: async () => (await import('./cli/diff.ts')).diff,
  inspect: async () => (await import('./cli/inspect.ts')).inspect,
  check: async () => (await import('./cli/check.ts')).check,
  run: async () => (await import('./cli/run.ts')).run,
  status: async () => (await import('./cli/status.ts')).status,
  report: async () => (await import('./cli/report.ts')).report,
  key: async () => (await import('./cli/key.ts')).key,
  send: async () => (await import('./cli/send.ts')).send,
  receive: async () => (await import('./cli/receive.ts')).receive,
  mirror: async () => (await import('./cli/mirror.ts')).mirror,
  history: async () => (await import('./cli/history.ts')).history,
  copy: async () => (await import('./cli/copy.ts')).copy,
  path: async () => (await import('./cli/path.ts')).path,
};

const HELP = `stillbeat keeps a cluster talking through its storage when the network dies

${commandLines()
  .map((line) => `  ${line}\n`)
  .join('')}`;

async function main(argv: string[]): Promise<number> {
  const [name, ...rest] = argv;
  if (name === undefined || name === 'help' || name === '--help' || name === '-h') {
    process.stdout.write(HELP);
    return name === undefined ? EXIT.usage : EXIT.ok;
  }
  if (name === '--version') {
    process.stdout.write(`${(await import('./platform/version.ts')).VERSION}\n`);
    return EXIT.ok;
  }
  if (!isCommand(name)) throw new AgentError('usage', `no command ${name}: see "stillbeat help"`);
  if (rest.includes('--help') || rest.includes('-h')) {
    process.stdout.write(`${usageOf(name)}\n`);
    return EXIT.ok;
  }
  return (await COMMANDS[name]())(rest).catch((error: unknown) => {
    throw isArgumentError(error) ? usageError(name, error) : error;
  });
}

/** Errors of parseArgs are the operator's; anything else that is not ours is a mistake of the program. */
function isArgumentError(error: unknown): boolean {
  const code = (error as { code?: unknown }).code;
  return typeof code === 'string' && code.startsWith('ERR_PARSE_ARGS');
}

function report(error: unknown): number {
  const message = error instanceof Error ? error.message : String(error);
  for (const line of message.split('\n')) process.stderr.write(`stillbeat: ${line}\n`);
  if (process.env['STILLBEAT_TRACE'] !== undefined && error instanceof Error) process.stderr.write(`${error.stack}\n`);
  if (error instanceof AgentError) return error.exitStatus;
  return EXIT.failed;
}

guardOutput();
const status = await main(process.argv.slice(2)).catch(report);
// A read that hangs in the kernel must not keep a finished command from ending.
process.exit(await finishOutput(status));
