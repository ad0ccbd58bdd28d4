/** Small questions to the host that several checks ask. Nothing here throws for what a host may lack. */
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';

/** A file of /proc or /sys without its line end; null where it is not there or will not be read. */
export function readText(path: string): string | null {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return null;
  }
}

/** The code of a system call's error, such as ENOENT. */
export const codeOf = (error: unknown): string => (error as NodeJS.ErrnoException).code ?? String(error);

/** Numbers of /usr/include/linux/capability.h. */
export const CAP_NET_ADMIN = 12;
export const CAP_SYS_NICE = 23;

/** Whether the process that /proc/<pid>/status describes has a capability in effect. */
export function hasCapability(status: string, capability: number): boolean {
  const mask = /^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1];
  return mask !== undefined && ((BigInt(`0x${mask}`) >> BigInt(capability)) & 1n) === 1n;
}

const SOCKET_TIMEOUT_MS = 500;

/** Whether an agent listens on this control socket. */
export function agentAnswers(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(socketPath);
    const end = (answer: boolean) => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(SOCKET_TIMEOUT_MS, () => end(false));
    socket.once('connect', () => end(true));
    socket.once('error', () => end(false));
  });
}

/** The promise's value, or `late` when it has not come within `timeoutMs`: storage that hangs must not hang the check. */
export async function within<T, L>(promise: Promise<T>, timeoutMs: number, late: L): Promise<T | L> {
  let timer: NodeJS.Timeout | undefined;
  const alarm = new Promise<L>((resolve) => {
    timer = setTimeout(resolve, timeoutMs, late);
  });
  try {
    return await Promise.race([promise, alarm]);
  } finally {
    clearTimeout(timer);
  }
}

const UNITS = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

/** A size for people: 64 MiB. */
export function sizeText(bytes: number): string {
  const step = bytes < 1 ? 0 : Math.min(UNITS.length - 1, Math.floor(Math.log2(bytes) / 10));
  return `${Number((bytes / 1024 ** step).toFixed(1))} ${UNITS[step]}`;
}
