/**
 * The control socket: one JSON request a line, one JSON answer a line. Who may open the socket may ask; it is made for
 * its owner alone (mode 0600).
 */
import { rmSync } from 'node:fs';
import type { Server, Socket } from 'node:net';
import { AgentError } from './base/errors.ts';
import { listenUnix } from './unix-server.ts';

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
    const server = await listenUnix(path, 'control');
    const control = new ControlServer(path, server);
    server.on('connection', (socket) => control.#serve(socket, handler));
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
    const reason = error instanceof AgentError ? error.reason : 'failed';
    return { error: error instanceof Error ? error.message : String(error), reason };
  }
}
