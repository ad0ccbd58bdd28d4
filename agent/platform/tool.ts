/** The system's own tools (ip, nft), called with an argument list and never through a shell. They block: main thread only. */
import { spawnSync } from 'node:child_process';
import { AgentError } from '../base/errors.ts';

/** A tool that hangs must not hold up the control socket and the watch over the threads for long. */
const TOOL_TIMEOUT_MS = 5000;

/** Administrators' tools live in sbin, which a service's PATH may lack. */
const PATH = [process.env['PATH'], '/usr/sbin', '/sbin'].filter(Boolean).join(':');

const PACKAGES: Readonly<Record<string, string>> = { ip: 'iproute2', nft: 'nftables' };

/** What the tool printed; an AgentError of one line, with what it said, when it fails or is not there. */
export function runTool(argv: readonly string[], input = ''): string {
  const [file = '', ...rest] = argv;
  const env = { ...process.env, PATH };
  const result = spawnSync(file, rest, { env, encoding: 'utf8', input, timeout: TOOL_TIMEOUT_MS });
  if (result.error && (result.error as NodeJS.ErrnoException).code === 'ENOENT') {
    throw new AgentError('failed', `there is no ${file} here: install ${PACKAGES[file] ?? file}`);
  }
  if (result.status === 0) return result.stdout;
  const said = (result.stderr ?? '').trim().split('\n')[0] || (result.error?.message ?? `status ${result.status}`);
  const advice = /not permitted/i.test(said) ? ': run as root or with CAP_NET_ADMIN' : '';
  throw new AgentError('failed', `${argv.join(' ')}: ${said}${advice}`);
}

/** The same, for clean-up: null instead of an error. */
export function tryTool(argv: readonly string[], input = ''): string | null {
  try {
    return runTool(argv, input);
  } catch {
    return null;
  }
}
