/**
 * Who may ask for what. Pure.
 *
 * - By its own names only: a name of somebody else that was made to lead here (DNS rebinding) is refused. An address cannot
 *   be rebound, so any address will do.
 * - From the page itself only: another site's page gets nothing, not even the knowledge that something is there.
 * - With the token, where there is one: in a cookie that the login made, or as `Authorization: Bearer`. Never in an address:
 *   those lie in histories and logs.
 */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { isIP } from 'node:net';

export interface Asked {
  readonly method: string;
  readonly host: string | undefined;
  readonly origin: string | undefined;
  readonly fetchSite: string | undefined;
  readonly fetchMode: string | undefined;
}

export interface Refusal {
  readonly status: number;
  readonly text: string;
}

/** Null: it may go on. `hosts`: names of the page, in lower case. */
export function refusalOf(asked: Asked, hosts: readonly string[]): Refusal | null {
  const name = hostName(asked.host);
  if (name === null || !(isIP(name) !== 0 || name === 'localhost' || hosts.includes(name))) {
    return { status: 421, text: 'this is no name of the page: ask by address, or name it in page.hosts' };
  }
  if (asked.origin !== undefined && !isOwn(asked.origin, asked.host ?? '')) {
    return { status: 403, text: 'another site may not ask for this' };
  }
  // Following a link to the page is no harm; taking parts of it into another page is.
  if (asked.fetchSite === 'cross-site' && !(asked.fetchMode === 'navigate' && asked.method === 'GET')) {
    return { status: 403, text: 'another site may not ask for this' };
  }
  return null;
}

/** The name or address in a Host header, without port and brackets, in lower case; null when it is none. */
export function hostName(host: string | undefined): string | null {
  const match = /^(?:\[([0-9a-f:.]+)\]|([a-z0-9.-]+))(?::\d{1,5})?$/i.exec(host ?? '');
  return (match?.[1] ?? match?.[2])?.toLowerCase() ?? null;
}

/** `null`, the origin of files and sandboxes, is nobody's. A proxy that speaks TLS makes https of it. */
const isOwn = (origin: string, host: string): boolean =>
  [`http://${host}`, `https://${host}`].includes(origin.toLowerCase().replace(/\/$/, ''));

const COOKIE_MS = 12 * 3_600_000;

/** Knows the token, and the cookies that were given for it. They outlive the agent, and end with the token. */
export class Tokens {
  readonly #digests: readonly Buffer[];
  readonly #cookieName: string;

  /** `tokens`: any of them opens the page; none: everybody may look. */
  constructor(tokens: readonly string[], cookieName: string) {
    this.#digests = tokens.map(digest);
    this.#cookieName = cookieName;
  }

  get isNeeded(): boolean {
    return this.#digests.length > 0;
  }

  isToken(word: string): boolean {
    const given = digest(word);
    return this.#digests.map((known) => timingSafeEqual(known, given)).includes(true);
  }

  /** The value of Set-Cookie for whoever gave a token. */
  cookie(nowMs: number): string {
    const untilMs = nowMs + COOKIE_MS;
    const value = `${untilMs}.${proof(this.#digests[0] ?? Buffer.alloc(0), untilMs)}`;
    return `${this.#cookieName}=${value}; HttpOnly; SameSite=Strict; Path=/; Max-Age=${COOKIE_MS / 1000}`;
  }

  mayLook(cookies: string | undefined, authorization: string | undefined, nowMs: number): boolean {
    if (!this.isNeeded) return true;
    const bearer = /^Bearer (\S{1,1024})$/.exec(authorization ?? '')?.[1];
    if (bearer !== undefined && this.isToken(bearer)) return true;
    return (cookies ?? '').split(';').some((each) => this.#isGood(each.trim(), nowMs));
  }

  #isGood(cookie: string, nowMs: number): boolean {
    const prefix = `${this.#cookieName}=`;
    const match = /^(\d{1,15})\.([0-9a-f]{64})$/.exec(cookie.startsWith(prefix) ? cookie.slice(prefix.length) : '');
    const [, until = '0', given = ''] = match ?? [];
    if (!match || Number(until) < nowMs) return false;
    const isProof = (known: Buffer): boolean =>
      timingSafeEqual(Buffer.from(proof(known, Number(until))), Buffer.from(given));
    return this.#digests.map(isProof).includes(true);
  }
}

const digest = (word: string): Buffer => createHash('sha256').update(word).digest();

const proof = (key: Buffer, untilMs: number): string =>
  createHmac('sha256', key).update(`stillbeat page ${untilMs}`).digest('hex');
