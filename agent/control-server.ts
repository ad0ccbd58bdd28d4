/**
 * The control socket: one JSON request a line, one JSON answer a line. Who may open the socket may ask; it is made for
 * its owner alone (mode 0600).
 */
import { chmodSync, mkdirSync, rmSync } from 'node:fs';
import { createConnection, createServer, type Server, type Socket } from 'node:net';
import { dirname } from 'node:path';
import { AgentError } from './base/errors.ts';

export type Answer = Readonly<Record<string, unknown>>;
export type Handler = (request: Readonly<Record<string, unknown>>) => Promise<Answer>;

/** A request is a line; a client that sends more without one is not a client. */
const REQUEST_BYTES_MAX = 65_536;

export class ControlServer {
  readonly path: string;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(path: string, server: Server) {
    this.path = path;
    this.#server = server;
  }

  /** Listens on `path`; a socket that a dead agent left is removed, a live one is not. */
  static async open(path: string, handler: Handler): Promise<ControlServer> {
    const failed = (error: unknown) => {
      const why = error instanceof Error ? error.message : String(error);
      return new AgentError('failed', `control socket ${path} cannot be made (${why}): check control.socket`);
    };
    try {
      mkdirSync(dirname(path), { recursive: true });
    } catch (error) {
      throw failed(error);
    }
    if (await answers(path)) {
      throw new AgentError('taken', `control socket ${path} is in use: another agent of this name runs; stop it first`);
    }
    rmSync(path, { force: true });
    const server = createServer();
    const control = new ControlServer(path, server);
    server.on('connection', (socket) => control.#serve(socket, handler));
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error) => reject(failed(error)));
      server.listen(path, resolve);
    });
    chmodSync(path, 0o600);
    return control;
  }

  #serve(socket: Socket, handler: Handler): void {
    this.#sockets.add(socket);
    let text = '';
    socket.setEncoding('utf8');
    socket.on('error', () => socket.destroy());
    socket.on('close', () => this.#sockets.delete(socket));
    socket.on('data', (piece: string) => {
      text += piece;
      if (text.length > REQUEST_BYTES_MAX) socket.destroy();
      for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n')) {
        const line = text.slice(0, end);
        text = text.slice(end + 1);
        void answerLine(line, handler).then((answer) => socket.writable && socket.write(`${JSON.stringify(answer)}\n`));
      }
    });
  }

  close(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    rmSync(this.path, { force: true });
  }
}

async function answerLine(line: string, handler: Handler): Promise<Answer> {
  try {
    const request: unknown = JSON.parse(line);
    if (typeof request !== 'object' || request === null) throw new AgentError('usage', 'a request is a JSON object');
    return await handler(request as Record<string, unknown>);
  } catch (error) {
    return { error: error instanceof Error ? error.message : String(error) };
  }
}

async function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
