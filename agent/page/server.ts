/**
 * Serves the page: its files, the live figures, packets on request. Nothing that a client says comes into the log.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { AgentError } from '../base/errors.ts';
import { HttpOutlet } from '../operate/http-outlet.ts';
import { systemClock } from '../platform/clock.ts';
import type { Endpoint } from '../settings/settings.ts';
import type { PageFile } from './files.ts';
import { refusalOf, type Tokens } from './guard.ts';

const CONNECTIONS_MAX = 64;
const BODY_BYTES_MAX = 4096;
/** Whoever guesses waits. */
const REFUSED_MS = 500;

const HEADERS = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; " +
    "base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'",
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  // Not no-referrer: with it browsers send the form's origin as null, which is nobody's.
  'referrer-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'cross-origin-opener-policy': 'same-origin',
  'cache-control': 'no-store',
};

/** What stands behind the page. */
export interface Served {
  readonly files: ReadonlyMap<string, PageFile>;
  readonly tokens: Tokens;
  readonly hosts: readonly string[];
  /** Takes a viewer; false: there are too many. */
  readonly view: (response: ServerResponse) => boolean;
  /** Packets of a volume's ring, or an AgentError that says why not. */
  readonly packets: (volume: string, node: string) => Promise<unknown>;
}

export async function servePage(endpoint: Endpoint, served: Served): Promise<HttpOutlet> {
  return HttpOutlet.open(
    { setting: 'page.listen', endpoint, connections: CONNECTIONS_MAX },
    (request, response) =>
      // Whatever a client has thought of: it is the client's trouble, never the agent's.
      void serve(request, response, served).catch(() => response.destroy()),
  );
}

async function serve(request: IncomingMessage, response: ServerResponse, served: Served): Promise<void> {
  response.on('error', () => {});
  for (const [name, value] of Object.entries(HEADERS)) response.setHeader(name, value);
  const { headers, method = 'GET' } = request;
  const refusal = refusalOf(
    {
      method,
      host: headers.host,
      origin: headers.origin,
      fetchSite: header(headers['sec-fetch-site']),
      fetchMode: header(headers['sec-fetch-mode']),
    },
    served.hosts,
  );
  if (refusal) return answer(response, refusal.status, `${refusal.text}\n`);
  if (request.url?.startsWith('/') !== true) return answer(response, 404, 'nothing is here\n');
  const url = new URL(`http://page${request.url.replace(/^\/+/, '/')}`);
  if (method === 'POST' && url.pathname === '/login') return logIn(request, response, served);
  if (method !== 'GET') {
    response.setHeader('allow', 'GET');
    return answer(response, 405, 'only GET\n');
  }
  const isKnown = served.tokens.mayLook(headers.cookie, headers.authorization, systemClock.wallMs());
  if (!isKnown) return refuseStranger(url.pathname, response, served);
  await serveKnown(url, response, served);
}

const header = (value: string | string[] | undefined): string | undefined => (Array.isArray(value) ? value[0] : value);

/** The form and what it looks like; everything else needs the token. */
function refuseStranger(path: string, response: ServerResponse, { files }: Served): void {
  const shown = path === '/style.css' ? '/style.css' : path === '/' || path === '/login' ? '/login.html' : null;
  const file = shown === null ? undefined : files.get(shown);
  if (!file) return answer(response, 401, 'give the token: open the page in a browser, or as Authorization: Bearer\n');
  answer(response, shown === '/style.css' ? 200 : 401, file.content, file.type);
}

async function serveKnown({ pathname, searchParams }: URL, response: ServerResponse, served: Served): Promise<void> {
  if (pathname === '/live') {
    if (!served.view(response)) answer(response, 503, 'too many look at this page already\n');
    return;
  }
  if (pathname === '/packets') {
    try {
      const found = await served.packets(searchParams.get('volume') ?? '', searchParams.get('node') ?? '');
      return answer(response, 200, JSON.stringify(found), 'application/json');
    } catch (error) {
      const text = error instanceof AgentError ? error.message : 'the volume cannot be looked into now';
      return answer(response, 503, JSON.stringify({ error: text }), 'application/json');
    }
  }
  const file = served.files.get(pathname);
  if (!file) return answer(response, 404, 'nothing is here\n');
  answer(response, 200, file.content, file.type);
}

async function logIn(request: IncomingMessage, response: ServerResponse, { tokens, files }: Served): Promise<void> {
  const word = new URLSearchParams(await bodyOf(request)).get('token')?.trim() ?? '';
  if (tokens.isNeeded && tokens.isToken(word)) {
    response.setHeader('set-cookie', tokens.cookie(systemClock.wallMs()));
    response.setHeader('location', '/');
    return answer(response, 303, 'welcome\n');
  }
  await new Promise((resolve) => setTimeout(resolve, REFUSED_MS).unref());
  const form = files.get('/refused.html');
  answer(response, 401, form?.content ?? 'that is not the token\n', form?.type);
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const pieces: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const piece of request as AsyncIterable<Buffer>) {
      bytes += piece.length;
      if (bytes > BODY_BYTES_MAX) return '';
      pieces.push(piece);
    }
  } catch {
    return '';
  }
  return Buffer.concat(pieces).toString('utf8');
}

function answer(
  response: ServerResponse,
  status: number,
  content: string | Buffer,
  type = 'text/plain; charset=utf-8',
): void {
  response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(content) });
  response.end(content);
}
