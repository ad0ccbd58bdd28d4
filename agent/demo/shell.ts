/**
 * The system's own tools (ip, nft, losetup, ...), called with an argument list, never through a shell. A tool that
 * fails or is not there becomes an AgentError of one line that names the call and repeats what the tool said.
 */
import { execFile, spawnSync } from 'node:child_process';
import { AgentError } from '../base/errors.ts';

/** Administrators' tools live in sbin, which an ordinary user's PATH often lacks. */
export const TOOL_PATH: string = [process.env['PATH'], '/usr/sbin', '/sbin'].filter(Boolean).join(':');

/** No tool that is called here takes more than a moment of a processor, which may be busy; a hung one must not hang the lab. */
const TOOL_TIMEOUT_MS = 60_000;
const OUTPUT_BYTES_MAX = 64 * 1024 * 1024;

/** Which package brings a tool, for the operator who lacks it. */
const TOOL_PACKAGE: Readonly<Record<string, string>> = {
  ip: 'iproute2',
  ping: 'iputils-ping',
  nft: 'nftables',
  losetup: 'util-linux',
  unshare: 'util-linux',
  iperf3: 'iperf3',
};

export interface CommandResult {
  /** Exit status; 128 + n after signal n, 127 when there is no such program. */
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CommandOptions {
  readonly input?: string;
  readonly timeoutMs?: number;
}

const environment = (): NodeJS.ProcessEnv => ({ ...process.env, PATH: TOOL_PATH });

/** Runs a program to its end. Never rejects: a failure is a status. */
export async function run(argv: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
  const [file = '', ...rest] = argv;
  const { timeoutMs = TOOL_TIMEOUT_MS } = options;
  return new Promise((resolve) => {
    const child = execFile(
      file,
      rest,
      {
        env: environment(),
        timeout: timeoutMs,
        killSignal: 'SIGKILL',
        maxBuffer: OUTPUT_BYTES_MAX,
      },
      (error, stdout, stderr) => {
        if (error === null) resolve({ status: 0, stdout, stderr });
        else if (error.code === 'ENOENT') resolve({ status: 127, stdout, stderr: notFound(file) });
        else if (typeof error.code === 'number') resolve({ status: error.code, stdout, stderr });
        else
          resolve({ status: 137, stdout, stderr: `${stderr}ended by a signal, or not done in ${timeoutMs / 1000} s` });
      },
    );
    child.stdin?.on('error', () => {}); // the program may end without reading what it was given
    child.stdin?.end(options.input ?? '');
  });
}

/** Runs a tool that has to succeed; answers what it printed. */
export async function tool(argv: readonly string[], options: CommandOptions = {}): Promise<string> {
  const result = await run(argv, options);
  if (result.status !== 0) throw toolError(argv, result);
  return result.stdout;
}

/** The same without the event loop: for clean-up while the process is ending. Never throws. */
export function runSync(argv: readonly string[], options: CommandOptions = {}): CommandResult {
  const [file = '', ...rest] = argv;
  const { status, stdout, stderr, error } = spawnSync(file, rest, {
    env: environment(),
    encoding: 'utf8',
    input: options.input ?? '',
    timeout: options.timeoutMs ?? TOOL_TIMEOUT_MS,
    killSignal: 'SIGKILL',
    maxBuffer: OUTPUT_BYTES_MAX,
  });
  if (error !== undefined && 'code' in error && error.code === 'ENOENT') {
    return { status: 127, stdout: '', stderr: notFound(file) };
  }
  return { status: status ?? 137, stdout, stderr };
}

/** What an operator does to get a tool. */
export function howToGet(name: string): string {
  return `install the Debian package ${TOOL_PACKAGE[name] ?? name} (apt-get install ${TOOL_PACKAGE[name] ?? name})`;
}

function notFound(file: string): string {
  return `there is no ${file} here: ${howToGet(file)}`;
}

function toolError(argv: readonly string[], result: CommandResult): AgentError {
  const said = result.stderr.trim().split('\n').filter(Boolean).slice(0, 2).join(' / ');
  if (result.status === 127) return new AgentError('failed', said);
  return new AgentError('failed', `${argv.join(' ')}: ${said === '' ? `status ${result.status}` : said}`);
}
