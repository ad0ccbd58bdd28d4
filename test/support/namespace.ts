/**
 * A network namespace for one test file. Its process enters a new, unnamed one, which the kernel takes away together with
 * every interface in it when the process ends, however it ends: nothing to clean up, no name to clash.
 *
 * Only the calling thread changes over, with whatever it starts afterwards (sockets, child processes, workers): call it
 * before anything else. /sys keeps showing the old namespace.
 */
import { execFileSync } from 'node:child_process';
import koffi from 'koffi';

const CLONE_NEWNET = 0x40000000;

export function enterNewNamespace(): void {
  const unshare = koffi.load(null).func('int unshare(int flags)') as (flags: number) => number;
  if (unshare(CLONE_NEWNET) !== 0) throw new Error(`no new network namespace: errno ${koffi.errno()}`);
  ip('link set lo up');
}

/** Runs `ip` with words separated by spaces, and returns what it printed. */
export function ip(words: string): string {
  return execFileSync('ip', words.split(' '), { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

/** What an interface has, as `ip` tells it; null when there is none of that name. */
export function linkOf(name: string): { mtu: number; txqlen: number; flags: string[] } | null {
  const links = JSON.parse(ip('-json link show')) as { ifname: string; mtu: number; txqlen: number; flags: string[] }[];
  return links.find((link) => link.ifname === name) ?? null;
}

/** Its addresses with their prefix lengths, sorted. */
export function addressesOf(name: string): string[] {
  const links = JSON.parse(ip(`-json address show dev ${name}`)) as {
    addr_info?: { local: string; prefixlen: number }[];
  }[];
  const all = links.flatMap((link) => link.addr_info ?? []);
  return all.map(({ local, prefixlen }) => `${local}/${prefixlen}`).toSorted((a, b) => a.localeCompare(b));
}
