/**
 * Looks at this node's own way to the outside: the uplink's carrier, the routes that leave by it, and who answers ping
 * through it. Looking is two small reads of the kernel's files; a ping is sent only when somebody wants to know.
 */
import { readFileSync } from 'node:fs';
import ping from 'ping';
import type { PingResult } from './machine.ts';

/** While all is well; when in doubt one ping follows the other. */
const PING_EVERY_MS = 2000;
const PING_AGAIN_MS = 250;
const PING_TIMEOUT_SECONDS = 1;
/** One unanswered ping may be chance, as long as nothing else speaks of a failure. */
const MISSES_MAX = 3;

export const IPV4_ROUTES = '/proc/net/route';
export const IPV6_ROUTES = '/proc/net/ipv6_route';
const RTF_UP = 1;
const RTF_GATEWAY = 2;

export interface Look {
  readonly carrier: boolean;
  readonly route: boolean;
}

export class OutsideWatch {
  readonly #uplink: string;
  readonly #targets: readonly string[];
  #routers: readonly string[] = [];
  #result: PingResult = 'none';
  #misses = 0;
  #pinging = false;
  #nextMs = -Infinity;

  /** `targets`: addresses to ping; with none it is the next router. */
  constructor(uplink: string, targets: readonly string[]) {
    this.#uplink = uplink;
    this.#targets = targets;
  }

  look(): Look {
    const routes = routesOver(this.#uplink, readText(IPV4_ROUTES), readText(IPV6_ROUTES));
    this.#routers = routes.routers;
    return { carrier: readText(`/sys/class/net/${this.#uplink}/carrier`).trim() === '1', route: routes.leads };
  }

  /** Nobody wants to know: what was found loses its meaning. */
  rest(): void {
    this.#result = 'none';
    this.#misses = 0;
    this.#nextMs = -Infinity;
  }

  /** Pings when it is time, and answers what is known. `doubt`: something else already speaks of a failure. */
  ping(doubt: boolean, nowMs: number, now: () => number): PingResult {
    const targets = this.#targets.length > 0 ? this.#targets : this.#routers;
    if (targets.length === 0) return 'none';
    if (this.#result === 'none') this.#result = 'pending';
    if (!this.#pinging && nowMs >= this.#nextMs) void this.#round(targets, doubt, now);
    return this.#result;
  }

  async #round(targets: readonly string[], doubt: boolean, now: () => number): Promise<void> {
    this.#pinging = true;
    const answers = await Promise.all(targets.map((target) => this.#answers(target)));
    this.#pinging = false;
    const answered = answers.includes(true);
    this.#misses = answered ? 0 : this.#misses + 1;
    if (answered) this.#result = 'answered';
    else if (doubt || this.#misses >= MISSES_MAX) this.#result = 'silent';
    this.#nextMs = now() + (answered && !doubt ? PING_EVERY_MS : PING_AGAIN_MS);
  }

  async #answers(target: string): Promise<boolean> {
    const config = { timeout: PING_TIMEOUT_SECONDS, sourceAddr: this.#uplink, v6: target.includes(':') };
    return ping.promise.probe(target, config).then(
      ({ alive }) => alive,
      () => false,
    );
  }
}

/**
 * Whether a route leads over the interface beyond its own subnet, and the next routers on it. The arguments are the
 * kernel's lists (proc(5)); what they say in hexadecimal is in the machine's order for IPv4, in the network's for IPv6.
 */
export function routesOver(name: string, ipv4: string, ipv6: string): { leads: boolean; routers: string[] } {
  const routers: string[] = [];
  let leads = false;
  for (const line of ipv4.split('\n')) {
    const [device, target = '', router = '', flags = '', , , , mask] = line.split(/\s+/);
    if (device !== name || (Number.parseInt(flags, 16) & RTF_UP) === 0) continue;
    if ((Number.parseInt(flags, 16) & RTF_GATEWAY) !== 0) routers.push(ipv4Text(router));
    else if (Number.parseInt(target, 16) === 0 && Number.parseInt(mask ?? '', 16) === 0) leads = true;
  }
  for (const line of ipv6.split('\n')) {
    const columns = line.trim().split(/\s+/);
    const [, length = '', , , router = ''] = columns;
    const flags = Number.parseInt(columns[8] ?? '', 16);
    if (columns[9] !== name || (flags & RTF_UP) === 0) continue;
    if ((flags & RTF_GATEWAY) !== 0) routers.push(ipv6Text(router));
    else if (length === '00') leads = true;
  }
  return { leads: leads || routers.length > 0, routers: [...new Set(routers)] };
}

const ipv4Text = (hex: string): string =>
  (hex.match(/../g) ?? [])
    .toReversed()
    .map((byte) => Number.parseInt(byte, 16))
    .join('.');

const ipv6Text = (hex: string): string => (hex.match(/.{4}/g) ?? []).join(':');

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    // An interface that is down has no carrier to read; one that is gone has no file.
    return '';
  }
}
