/** Listens on an address that a setting names; what stands against it is said with that setting, and what to do. */
import type { Server } from 'node:net';
import { AgentError } from '../base/errors.ts';

const MENDS: Readonly<Record<string, string>> = {
  EADDRINUSE: 'is taken by another program: choose another port or stop it',
  EADDRNOTAVAIL: 'is no address of this host: correct it',
  EACCES: 'may not be used by this user: choose a port from 1024 on',
};

/** What stands against it, for an operator. */
export function cannotListen(
  setting: string,
  { host, port }: { readonly host: string; readonly port: number },
  error: NodeJS.ErrnoException,
): AgentError {
  const where = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
  const what = MENDS[error.code ?? ''] ?? `cannot be listened on (${error.code ?? error.message}): choose another`;
  return new AgentError('primary', `${setting} ${where} ${what}`, { cause: error });
}

/** `setting`: its key, such as `metrics.listen`. Rejects with an AgentError. */
export async function listenAt(
  server: Server,
  setting: string,
  { host, port, ipv6Only = false }: { readonly host: string; readonly port: number; readonly ipv6Only?: boolean },
): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(cannotListen(setting, { host, port }, error)));
    server.listen({ host, port, ipv6Only }, resolve);
  });
  server.removeAllListeners('error');
  // A connection that fails later is its client's trouble.
  server.on('error', () => {});
}
