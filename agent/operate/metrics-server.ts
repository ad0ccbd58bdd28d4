/**
 * Serves the figures: GET /metrics, and nothing else. Bounded in connections, time and size of a request, so that no client can
 * hold up the process; scrapes that come together share one look.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { AgentError } from '../base/errors.ts';
import { endpointText } from '../settings/address.ts';
import type { Endpoint } from '../settings/settings.ts';
import { METRICS_CONTENT_TYPE } from './metrics-text.ts';

const CONNECTIONS_MAX = 16;
const REQUEST_MS_MAX = 5000;
const HEADER_BYTES_MAX = 8192;

export class MetricsServer {
  readonly endpoint: Endpoint;
  readonly #server: Server;

  private constructor(endpoint: Endpoint, server: Server) {
    this.endpoint = endpoint;
    this.#server = server;
  }

  /** `look` answers the text; while it rejects, who asks is told that there are no figures now. */
  static async open(endpoint: Endpoint, look: () => Promise<string>): Promise<MetricsServer> {
    const shared = sharedLook(look);
    const server = createServer(
      { maxHeaderSize: HEADER_BYTES_MAX, requestTimeout: REQUEST_MS_MAX, headersTimeout: REQUEST_MS_MAX },
      (request, response) => void serve(request, response, shared),
    );
    server.maxConnections = CONNECTIONS_MAX;
    server.keepAliveTimeout = REQUEST_MS_MAX;
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error) => reject(listenError(endpoint, error)));
      server.listen({ host: endpoint.host, port: endpoint.port, ipv6Only: true }, resolve);
    });
    // A connection that fails later is its client's trouble.
    server.on('error', () => {});
    return new MetricsServer(endpoint, server);
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }
}

function sharedLook(look: () => Promise<string>): () => Promise<string> {
  let underWay: Promise<string> | null = null;
  return async () => (underWay ??= look().finally(() => (underWay = null)));
}

async function serve(request: IncomingMessage, response: ServerResponse, look: () => Promise<string>): Promise<void> {
  const answer = (status: number, text: string, type = 'text/plain; charset=utf-8') => {
    response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(text) });
    response.end(text);
  };
  response.on('error', () => {});
  if (request.url?.split('?')[0] !== '/metrics') return answer(404, 'only /metrics is here\n');
  if (request.method !== 'GET') {
    response.setHeader('allow', 'GET');
    return answer(405, 'only GET\n');
  }
  try {
    answer(200, await look(), METRICS_CONTENT_TYPE);
  } catch {
    answer(503, 'it is starting\n');
  }
}

function listenError(endpoint: Endpoint, error: NodeJS.ErrnoException): AgentError {
  const mends: Readonly<Record<string, string>> = {
    EADDRINUSE: 'is taken by another program: choose another port or stop it',
    EADDRNOTAVAIL: 'is no address of this host: correct it',
    EACCES: 'may not be used by this user: choose a port from 1024 on',
  };
  const what = mends[error.code ?? ''] ?? `cannot be listened on (${error.code ?? error.message}): choose another`;
  return new AgentError('primary', `metrics.listen ${endpointText(endpoint)} ${what}`, { cause: error });
}
