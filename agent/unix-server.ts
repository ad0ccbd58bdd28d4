/** A Unix socket for its owner alone (mode 0600), as the agent's control socket and its programs' are. */
import { chmodSync, mkdirSync, rmSync } from 'node:fs';
import { createConnection, createServer, type Server } from 'node:net';
import { dirname } from 'node:path';
import { AgentError } from './base/errors.ts';

/** Listens on `path`, the setting `GROUP.socket`; a socket that a dead agent left is removed, a live one is not. */
export async function listenUnix(path: string, group: string): Promise<Server> {
  const failed = (error: unknown) => {
    const why = error instanceof Error ? error.message : String(error);
    return new AgentError('failed', `${group} socket ${path} cannot be made (${why}): check ${group}.socket`);
  };
  try {
    mkdirSync(dirname(path), { recursive: true });
  } catch (error) {
    throw failed(error);
  }
  if (await answers(path)) {
    throw new AgentError('taken', `${group} socket ${path} is in use: another agent of this name runs; stop it first`);
  }
  rmSync(path, { force: true });
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(failed(error)));
    server.listen(path, resolve);
  });
  chmodSync(path, 0o600);
  return server;
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
