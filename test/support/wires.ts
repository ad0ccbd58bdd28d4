/** Wires between source and target, one for each connection, in the order in which they were dialled: each may be slow, silent, or break alone. */
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

/** One connection. */
export class Wire {
  readonly #ends: readonly [Socket, Socket];
  /** From the dialling side. */
  sentBytes = 0;
  isOpen = true;
  #isSilent = false;

  constructor(near: Socket, far: Socket, delayMs: number) {
    this.#ends = [near, far];
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      from.on('data', (piece: Uint8Array) => {
        if (from === near) this.sentBytes += piece.length;
        if (this.#isSilent) return;
        if (delayMs === 0) to.write(piece);
        else setTimeout(() => to.writable && !this.#isSilent && to.write(piece), delayMs);
      });
      from.on('error', () => {});
      from.on('close', () => {
        this.isOpen = false;
        to.destroy();
      });
    }
  }

  /** Nothing passes any more, and nobody is told. */
  silence(): void {
    this.#isSilent = true;
  }

  /** Both ends are told. */
  break(): void {
    for (const end of this.#ends) end.resetAndDestroy();
  }
}

export class Wires {
  readonly #server: Server;
  /** Oldest first. */
  readonly all: Wire[] = [];

  private constructor(server: Server) {
    this.#server = server;
  }

  /** From a free port of loopback to `port`; `delayMs`: one way, of the so manieth connection from 0 on. */
  static async open(port: number, delayMs: (index: number) => number = () => 0): Promise<Wires> {
    const server = createServer();
    const wires = new Wires(server);
    server.on('connection', (near) => {
      wires.all.push(new Wire(near, connect(port, '127.0.0.1'), delayMs(wires.all.length)));
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return wires;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  close(): void {
    this.#server.close();
    for (const wire of this.all) wire.break();
  }
}
