/** Runs `ip` of iproute2 and waits for it: for the main thread, at start, stop and a change of settings. */
import { execFileSync } from 'node:child_process';
import { AgentError } from '../base/errors.ts';

const IP_TIMEOUT_MS = 10_000;

/** Runs `ip` and answers what it printed; throws an AgentError of one line. */
export function ip(args: readonly string[], input = ''): string {
  try {
    const stdio = ['pipe', 'pipe', 'pipe'] as const;
    return execFileSync('ip', args, { encoding: 'utf8', input, stdio: [...stdio], timeout: IP_TIMEOUT_MS });
  } catch (error) {
    throw ipError(args, error as NodeJS.ErrnoException & { stderr?: string });
  }
}

/** Several commands of `ip` in one process; `family` for all of them. */
export function ipBatch(family: 4 | 6, commands: readonly string[], goOn = false): void {
  if (commands.length === 0) return;
  ip([`-${family}`, ...(goOn ? ['-force'] : []), '-batch', '-'], `${commands.join('\n')}\n`);
}

function ipError(args: readonly string[], cause: NodeJS.ErrnoException & { stderr?: string }): AgentError {
  if (cause.code === 'ENOENT') {
    return new AgentError('primary', 'mode route needs the command "ip": install iproute2', { cause });
  }
  const said = cause.stderr?.trim().split('\n')[0] || cause.message.split('\n')[0];
  const advice = /not permitted/.test(said ?? '')
    ? 'run as root or with CAP_NET_ADMIN'
    : 'check primary in the settings';
  return new AgentError('primary', `the bypass cannot be set up, "ip ${args.join(' ')}" said "${said}": ${advice}`, {
    cause,
  });
}
