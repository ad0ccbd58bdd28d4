/** The NBD server: listens on TCP or on a Unix socket, and holds every connection to its limits. */
import { createServer, type Server, type Socket } from 'node:net';
import { listenAt } from '../platform/listen.ts';
import { listenUnix } from '../unix-server.ts';
import { Budget } from './budget.ts';
import { ClientSocket } from './client-socket.ts';
import { Connection } from './connection.ts';
import { PAYLOAD_BYTES_MAX } from './protocol.ts';
import { SlabPool } from './slab.ts';
import { type PreSharedKeys, TlsUpgrade } from './tls.ts';
import { REQUEST_COST_BYTES } from './transmission.ts';
import type { Exports } from './volume.ts';

export type NbdEndpoint = { readonly host: string; readonly port: number } | { readonly path: string };

export interface NbdLimits {
  readonly connections: number;
  /** Payload under way, of all connections together; a connection has at most half of it. */
  readonly bytes: number;
  /** From the connection to the choice of an export. */
  readonly handshakeMs: number;
  /** How long a client may hold room that others wait for, without sending or reading anything. */
  readonly stallMs: number;
}

export const NBD_LIMITS: NbdLimits = {
  connections: 64,
  bytes: 128 * 1024 * 1024,
  handshakeMs: 10_000,
  stallMs: 10_000,
};

export interface NbdServerOptions {
  readonly exports: Exports;
  readonly listen: NbdEndpoint;
  /** What says so, for whoever is told that it cannot be had. */
  readonly setting?: string;
  /** With keys, nothing is told or served but over TLS to a client that has one of them. */
  readonly keys: PreSharedKeys | null;
  readonly log: (line: string) => void;
  readonly limits?: Partial<NbdLimits>;
}

interface Client {
  readonly connection: Connection;
  readonly socket: ClientSocket;
  readonly sinceMs: number;
  /** Its progress when last looked at, and since when it is the same. */
  progress: number;
  progressMs: number;
}

const LOOK_MS = 500;
const LARGEST_REQUEST_BYTES = PAYLOAD_BYTES_MAX + REQUEST_COST_BYTES;

export class NbdServer {
  readonly #options: NbdServerOptions;
  readonly #limits: NbdLimits;
  readonly #budget: Budget;
  readonly #pool: SlabPool;
  readonly #tls: TlsUpgrade | null;
  readonly #clients = new Set<Client>();
  readonly #server: Server;
  readonly #timer: NodeJS.Timeout;
  #isStopping = false;
  #whenEmpty: (() => void) | null = null;

  private constructor(options: NbdServerOptions, limits: NbdLimits, server: Server) {
    this.#options = options;
    this.#limits = limits;
    // A share is half of it, and each share must hold the largest request.
    this.#budget = new Budget(Math.max(limits.bytes, 2 * LARGEST_REQUEST_BYTES));
    this.#pool = new SlabPool(2 * this.#budget.limit);
    this.#tls = options.keys ? new TlsUpgrade(options.keys) : null;
    this.#server = server;
    server.on('connection', (socket) => this.#welcome(socket));
    // One that fails later (no descriptors left) is its client's trouble.
    server.on('error', (error) => options.log(`NBD: ${error.message}`));
    this.#timer = setInterval(() => this.#look(), LOOK_MS).unref();
  }

  /** Throws an AgentError that says what to do when the address cannot be had. */
  static async open(options: NbdServerOptions): Promise<NbdServer> {
    const { listen } = options;
    const server = 'path' in listen ? await listenUnix(listen.path, 'export') : createServer();
    if (!('path' in listen)) await listenAt(server, options.setting ?? 'export.listen', listen);
    return new NbdServer(options, { ...NBD_LIMITS, ...options.limits }, server);
  }

  /** The TCP port; 0 for a Unix socket. */
  get port(): number {
    const address = this.#server.address();
    return typeof address === 'object' && address ? address.port : 0;
  }

  get connections(): number {
    return this.#clients.size;
  }

  /** Bytes of payload under way. */
  get usedBytes(): number {
    return this.#budget.used;
  }

  /**
   * Takes no more clients, answers what is under way, and tells those who ask more to go (ESHUTDOWN). Who is idle is
   * left at once, who is not gone after `graceMs` too.
   */
  async close(graceMs: number): Promise<void> {
    this.#isStopping = true;
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    const empty = new Promise<void>((resolve) => {
      this.#whenEmpty = resolve;
      if (this.#clients.size === 0) resolve();
    });
    for (const client of this.#clients) {
      client.connection.stop();
      client.socket.endWhen(() => client.connection.isIdle);
    }
    const end = setTimeout(() => {
      for (const { socket } of this.#clients) socket.destroy();
    }, graceMs);
    await Promise.all([closed, empty]);
    clearTimeout(end);
    clearInterval(this.#timer);
  }

  #welcome(socket: Socket): void {
    const { connections } = this.#limits;
    if (this.#clients.size >= connections) {
      this.#options.log(`NBD: a client was sent away: ${connections} are connected`);
      return void socket.destroy();
    }
    const who =
      socket.remoteAddress === undefined ? 'on the Unix socket' : `${socket.remoteAddress}:${socket.remotePort}`;
    const edge = new ClientSocket(socket, this.#tls, (why) => this.#options.log(`NBD client ${who}: ${why}: closed`));
    const connection = new Connection(
      {
        exports: this.#options.exports,
        needsTls: this.#tls !== null,
        pool: this.#pool,
        budget: this.#budget,
        shareBytes: this.#budget.limit / 2,
      },
      edge,
    );
    const nowMs = performance.now();
    const client: Client = { connection, socket: edge, sinceMs: nowMs, progress: 0, progressMs: nowMs };
    this.#clients.add(client);
    edge.join(connection, this.#pool, () => this.#forget(client));
    if (this.#isStopping) connection.stop();
    connection.greet();
  }

  #forget(client: Client): void {
    this.#clients.delete(client);
    if (this.#clients.size === 0) this.#whenEmpty?.();
  }

  /** Closes what stands still in others' way. */
  #look(): void {
    const nowMs = performance.now();
    for (const client of this.#clients) {
      const { connection, socket } = client;
      if (connection.isInHandshake && nowMs - client.sinceMs > this.#limits.handshakeMs) {
        socket.refuse(`no export chosen within ${this.#limits.handshakeMs} ms`);
        continue;
      }
      const stands = connection.waitsForClient && this.#budget.waiting > 0 && connection.progress === client.progress;
      if (!stands) client.progressMs = nowMs;
      client.progress = connection.progress;
      if (nowMs - client.progressMs > this.#limits.stallMs) {
        socket.refuse(`neither sent nor read anything for ${this.#limits.stallMs} ms while others waited for its room`);
      }
    }
  }
}
