/** A wire between source and target that a test can cut, or narrow to so many bytes: nothing more passes, and nobody is told. */
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';

/** One direction of a connection. */
interface Way {
  readonly from: Socket;
  readonly to: Socket;
  /** From the dialling side. */
  readonly isOutward: boolean;
  passed: number;
  held: Buffer;
}

export class LinkRelay {
  readonly #server: Server;
  readonly #ways = new Set<Way>();
  #isCut = false;
  #allowed = Infinity;

  private constructor(server: Server) {
    this.#server = server;
  }

  /** From a free port of loopback to `port`. */
  static async open(port: number): Promise<LinkRelay> {
    const server = createServer();
    const relay = new LinkRelay(server);
    server.on('connection', (near) => relay.#join(near, port));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return relay;
  }

  get port(): number {
    const address = this.#server.address();
    return typeof address === 'object' && address ? address.port : 0;
  }

  /** So many bytes pass from the dialling side on each connection, those that are open too; what comes then waits here. */
  allow(bytes: number): void {
    this.#allowed = bytes;
    for (const way of this.#ways) {
      way.from.resume();
      this.#pass(way, Buffer.alloc(0));
    }
  }

  cut(): void {
    this.#isCut = true;
    for (const { from } of this.#ways) from.pause();
  }

  /** What was on its way when it was cut is lost, and its connections with it. */
  mend(): void {
    this.#isCut = false;
    for (const { from } of this.#ways) from.destroy();
  }

  close(): void {
    this.#server.close();
    for (const { from } of this.#ways) from.destroy();
  }

  #join(near: Socket, port: number): void {
    const far = connect(port, '127.0.0.1');
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      const way = { from, to, isOutward: from === near, passed: 0, held: Buffer.alloc(0) };
      this.#ways.add(way);
      from.on('error', () => {});
      from.on('data', (bytes: Buffer) => {
        if (!this.#isCut) this.#pass(way, bytes);
      });
      from.on('close', () => {
        this.#ways.delete(way);
        to.destroy();
      });
      if (this.#isCut) from.pause();
    }
  }

  #pass(way: Way, bytes: Buffer): void {
    const all = Buffer.concat([way.held, bytes]);
    const some = all.subarray(0, way.isOutward ? Math.max(0, this.#allowed - way.passed) : all.length);
    way.held = all.subarray(some.length);
    way.passed += some.length;
    if (some.length > 0) way.to.write(some);
    if (way.held.length > 0) way.from.pause();
  }
}
