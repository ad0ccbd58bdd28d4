/**
 * The demo for users who are not root: the same program again, as root of a user namespace of its own, where the host
 * allows that. Network, mounts and processes are private there, so nothing of it can stay behind.
 *
 *     demo (you) --- unshare --- sh (mounts) --- demo (root in the namespace)
 *          \________________ a pipe, descriptor 3 ________________/
 *
 * `unshare` passes no signals on, so they go through the pipe; its end means that the outer demo is gone, and the inner
 * one must not outlive it.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { Socket } from 'node:net';
import { AgentError } from '../base/errors.ts';
import { TOOL_PATH, run } from './shell.ts';

const INSIDE = 'STILLBEAT_DEMO_INSIDE';
const PIPE_DESCRIPTOR = 3;
const UNSHARE = ['unshare', '--user', '--map-root-user', '--net', '--mount', '--pid', '--fork', '--kill-child'];
/** Namespaces are named under /run and volumes live in /dev/shm: both must be the demo's own. */
const SETUP =
  'mount -t proc proc /proc && mount -t tmpfs tmpfs /run && mount -t tmpfs tmpfs /dev/shm && mkdir /run/tmp && exec "$@"';
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** The call that runs a program as root of a user namespace of its own, with private network, mounts and processes. */
export function insideUserNamespace(argv: readonly string[]): string[] {
  return [...UNSHARE, 'sh', '-c', SETUP, 'sh', ...argv];
}

export const needsUserNamespace = (): boolean => process.getuid?.() !== 0;

/** Runs `stillbeat demo` with the same arguments inside; answers its exit status. */
export async function demoInUserNamespace(cliPath: string, args: readonly string[]): Promise<number> {
  const trial = await run(insideUserNamespace(['true']));
  if (trial.status !== 0) {
    const why = trial.stderr.trim().split('\n')[0] ?? '';
    throw new AgentError(
      'failed',
      `you are not root, and this host lets you make no user namespace (${why}): run the demo as root, or allow it ` +
        '(sysctl -w kernel.unprivileged_userns_clone=1, on Ubuntu kernel.apparmor_restrict_unprivileged_userns=0)',
    );
  }
  const [file = '', ...rest] = insideUserNamespace([process.execPath, cliPath, 'demo', ...args]);
  const child = spawn(file, rest, {
    env: { ...process.env, PATH: TOOL_PATH, TMPDIR: '/run/tmp', [INSIDE]: '1' },
    stdio: ['inherit', 'inherit', 'inherit', 'pipe'],
  });
  const pipe = child.stdio[PIPE_DESCRIPTOR] as Socket;
  pipe.on('error', () => {}); // it has ended already
  const pass = (signal: NodeJS.Signals): void => void pipe.write(`${signal}\n`);
  for (const signal of SIGNALS) process.on(signal, pass);
  try {
    const [status] = (await once(child, 'exit')) as [number | null];
    return status ?? 1;
  } finally {
    for (const signal of SIGNALS) process.off(signal, pass);
    pipe.destroy();
  }
}

/** Inside: calls back with the signal that the outer demo got, SIGTERM when it is gone. Answers how to stop listening. */
export function onOuterSignal(callback: (signal: NodeJS.Signals) => void): () => void {
  if (process.env[INSIDE] !== '1') return () => {};
  const pipe = new Socket({ fd: PIPE_DESCRIPTOR });
  pipe.setEncoding('utf8').on('data', (text: string) => {
    const signal = SIGNALS.find((name) => text.includes(name));
    if (signal !== undefined) callback(signal);
  });
  pipe.on('end', () => callback('SIGTERM')).on('error', () => callback('SIGTERM'));
  return () => pipe.destroy();
}
