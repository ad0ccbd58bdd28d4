/** A TCP link between two parts, as far away as a test likes: counts what passes, and delays it. */
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

export interface WireOptions {
  /** One way. */
  readonly delayMs?: number;
}

export class WireProxy {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  /** From the dialling side, and to it. */
  sentBytes = 0;
  receivedBytes = 0;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async open(port: number, { delayMs = 0 }: WireOptions = {}): Promise<WireProxy> {
    const server = createServer();
    const proxy = new WireProxy(server);
    server.on('connection', (near) => {
      const far = connect(port, '127.0.0.1');
      for (const [from, to] of [
        [near, far],
        [far, near],
      ] as const) {
        proxy.#sockets.add(from);
        from.on('data', (piece: Uint8Array) => {
          if (from === near) proxy.sentBytes += piece.length;
          else proxy.receivedBytes += piece.length;
          if (delayMs === 0) to.write(piece);
          else setTimeout(() => to.writable && to.write(piece), delayMs);
        });
        from.on('error', () => {});
        from.on('close', () => {
          proxy.#sockets.delete(from);
          to.destroy();
        });
      }
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  close(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }
}
