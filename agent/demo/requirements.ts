/** What the demo needs from the host, asked before anything is made; each thing missing with the way to get it. */
import { accessSync, closeSync, constants, openSync } from 'node:fs';
import { join } from 'node:path';
import { TOOL_PATH, howToGet, run } from './shell.ts';

const TUN_DEVICE = '/dev/net/tun';
const TOOLS = ['ip', 'nft', 'ping'] as const;

/** What a host lacks, one sentence each; nothing when the demo can run. */
export async function missingRequirements(): Promise<string[]> {
  if (process.platform !== 'linux') return [`this is ${process.platform}: the demo needs Linux`];
  const missing = TOOLS.filter((name) => !isInstalled(name)).map((name) => `there is no ${name}: ${howToGet(name)}`);
  const tun = tunProblem();
  if (tun !== null) missing.push(tun);
  const rights = process.getuid?.() === 0 ? await rightsProblem() : null;
  if (rights !== null) missing.push(rights);
  return missing;
}

function isInstalled(name: string): boolean {
  return TOOL_PATH.split(':').some((directory) => {
    try {
      accessSync(join(directory, name), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

function tunProblem(): string | null {
  try {
    closeSync(openSync(TUN_DEVICE, 'r+'));
    return null;
  } catch (error) {
    return tunAdvice((error as NodeJS.ErrnoException).code ?? 'unknown');
  }
}

/** How to mend a TUN device that would not open. */
export function tunAdvice(code: string): string {
  if (code === 'ENOENT' || code === 'ENODEV' || code === 'ENXIO') {
    return `there is no ${TUN_DEVICE}: load its module (modprobe tun), or give it to the container (--device ${TUN_DEVICE})`;
  }
  if (code === 'EACCES' || code === 'EPERM') {
    return `${TUN_DEVICE} is not open to you: run the demo as root, or let everybody open it, as most systems do (chmod 0666 ${TUN_DEVICE})`;
  }
  return `${TUN_DEVICE} does not open (${code}): run the demo as root on a host or container that has TUN devices`;
}

/** Being root is not enough in a container. */
async function rightsProblem(): Promise<string | null> {
  const { status, stderr } = await run(['unshare', '--net', '--mount', 'true']);
  if (status === 0) return null;
  const why = stderr.trim().split('\n')[0] ?? '';
  return `no right to make network namespaces (${why}): run the demo on the host, or the container with --privileged`;
}
