/** An HTTP server for an operator: bounded in connections, time and size of a request, so that no client holds up the process. */
import { createServer, type RequestListener, type Server } from 'node:http';
import { listenAt } from '../platform/listen.ts';
import type { Endpoint } from '../settings/settings.ts';

const REQUEST_MS_MAX = 5000;
const HEADER_BYTES_MAX = 8192;

export class HttpOutlet {
  readonly endpoint: Endpoint;
  readonly #server: Server;

  private constructor(endpoint: Endpoint, server: Server) {
    this.endpoint = endpoint;
    this.#server = server;
  }

  /** `setting`: the key that names the endpoint. Rejects with an AgentError. */
  static async open(
    { setting, endpoint, connections }: { setting: string; endpoint: Endpoint; connections: number },
    serve: RequestListener,
  ): Promise<HttpOutlet> {
    const server = createServer(
      { maxHeaderSize: HEADER_BYTES_MAX, requestTimeout: REQUEST_MS_MAX, headersTimeout: REQUEST_MS_MAX },
      serve,
    );
    server.maxConnections = connections;
    server.keepAliveTimeout = REQUEST_MS_MAX;
    await listenAt(server, setting, { ...endpoint, ipv6Only: true });
    return new HttpOutlet(endpoint, server);
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }
}
