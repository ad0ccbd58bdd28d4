/**
 * Serves the figures: GET /metrics, and nothing else. Scrapes that come together share one look.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Endpoint } from '../settings/settings.ts';
import { HttpOutlet } from './http-outlet.ts';
import { METRICS_CONTENT_TYPE } from './metrics-text.ts';

const CONNECTIONS_MAX = 16;

/** `look` answers the text; while it rejects, who asks is told that there are no figures now. */
export async function serveMetrics(endpoint: Endpoint, look: () => Promise<string>): Promise<HttpOutlet> {
  const shared = sharedLook(look);
  return HttpOutlet.open(
    { setting: 'metrics.listen', endpoint, connections: CONNECTIONS_MAX },
    (request, response) => void serve(request, response, shared),
  );
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
