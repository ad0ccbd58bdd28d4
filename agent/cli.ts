#!/usr/bin/env node
/** The program: the command's name to its function, its result to an exit status. Errors are one line on stderr. */
import { AgentError, EXIT } from './base/errors.ts';

const COMMANDS: Readonly<Record<string, () => Promise<(argv: string[]) => Promise<number>>>> = {
  bench: async () => (await import('./cli/bench.ts')).bench,
  demo: async () => (await import('./demo/demo.ts')).demo,
  format: async () => (await import('./cli/format.ts')).format,
  inspect: async () => (await import('./cli/inspect.ts')).inspect,
  check: async () => (await import('./cli/check.ts')).check,
  run: async () => (await import('./cli/run.ts')).run,
  status: async () => (await import('./cli/status.ts')).status,
  path: async () => (await import('./cli/path.ts')).path,
};

const HELP = `stillbeat keeps a cluster talking through its storage when the network dies

  stillbeat demo   [--nodes N] [--seconds S] [--json]
  stillbeat format VOLUME --cluster NAME --nodes a,b[,c…] [--size 64M] [--force] [--json]
  stillbeat check  --config FILE [--json]
  stillbeat run    --config FILE
  stillbeat status [--config FILE | --socket PATH] [--json] [--watch]
  stillbeat path   PEER auto|storage|network [--config FILE | --socket PATH]
  stillbeat inspect VOLUME [--follow] [--json] [--pcap FILE|-] [--since T] [--until T] [--type T]
  stillbeat bench  [latency|throughput|failover|idle] [--json]
`;

async function main(argv: string[]): Promise<number> {
  const [name, ...rest] = argv;
  if (name === undefined || name === 'help' || name === '--help' || name === '-h') {
    process.stdout.write(HELP);
    return name === undefined ? EXIT.usage : EXIT.ok;
  }
  if (name === '--version') {
    process.stdout.write(`${(await import('./status.ts')).VERSION}\n`);
    return EXIT.ok;
  }
  const load = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (!load) throw new AgentError('usage', `no command ${name}: see "stillbeat help"`);
  return (await load())(rest);
}

/** Errors of parseArgs are the operator's; anything else that is not ours is a mistake of the program. */
function report(error: unknown): number {
  const code = (error as { code?: unknown }).code;
  const isUsage = typeof code === 'string' && code.startsWith('ERR_PARSE_ARGS');
  const message = error instanceof Error ? error.message : String(error);
  for (const line of message.split('\n')) process.stderr.write(`stillbeat: ${line}\n`);
  if (process.env['STILLBEAT_TRACE'] !== undefined && error instanceof Error) process.stderr.write(`${error.stack}\n`);
  if (error instanceof AgentError) return error.exitStatus;
  return isUsage ? EXIT.usage : EXIT.failed;
}

// A read that hangs in the kernel must not keep a finished command from ending.
process.exit(await main(process.argv.slice(2)).catch(report));
