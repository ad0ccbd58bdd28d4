/** A Unix socket for its owner alone (mode 0600), as the agent's control socket and its programs' are. */
import { chmodSync, lstatSync, mkdirSync, rmSync } from 'node:fs';
import { createConnection, createServer, type Server } from 'node:net';
import { dirname } from 'node:path';
import { AgentError } from './base/errors.ts';

/** The kernel's room for a path, without the zero at its end; what is longer would be cut off. */
const PATH_BYTES_MAX = 107;

/** Listens on `path`, of the settings of `group`; a socket that a dead agent left is removed, a live one is not. */
export async function listenUnix(path: string, group: string): Promise<Server> {
  const failed = ({ code, message }: NodeJS.ErrnoException): AgentError => {
    const what = `cannot be made (${code ?? message}): make its folder, or name another path`;
    return new AgentError('failed', `${group} socket ${path} ${what}`);
  };
  if (Buffer.byteLength(path) > PATH_BYTES_MAX) {
    throw new AgentError(
      'usage',
      `${group} socket ${path} is longer than ${PATH_BYTES_MAX} bytes: choose a shorter path`,
    );
  }
  try {
    mkdirSync(dirname(path), { recursive: true });
  } catch (error) {
    throw failed(error as Error);
  }
  if (await answers(path)) {
    throw new AgentError('taken', `${group} socket ${path} is in use: another agent of this name runs; stop it first`);
  }
  refuseOthers(path, group);
  rmSync(path, { force: true });
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(failed(error)));
    server.listen(path, resolve);
  });
  chmodSync(path, 0o600);
  return server;
}

/** A mistyped path may be that of a volume: only a socket is taken away. */
function refuseOthers(path: string, group: string): void {
  const there = lstatSync(path, { throwIfNoEntry: false });
  if (!there || there.isSocket()) return;
  throw new AgentError('usage', `${group} socket ${path} is there, and is no socket: name another path`);
}

async function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
