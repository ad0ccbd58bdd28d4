/** The local socket of programs: who may open it may write to peers and read; it is made for its owner alone (mode 0600). */
import type { Server } from 'node:net';
import { listenUnix } from '../unix-server.ts';
import type { MessageHub } from './hub.ts';
import { errorLine } from './lines.ts';
import { ProgramConnection } from './program-connection.ts';
import { rmSync } from 'node:fs';

const PROGRAMS_MAX = 64;

export class MessageServer {
  readonly path: string;
  readonly #server: Server;
  readonly #programs = new Set<ProgramConnection>();

  private constructor(path: string, server: Server) {
    this.path = path;
    this.#server = server;
  }

  /** `onCut` hears why a program was cut off. */
  static async open(path: string, hub: MessageHub, onCut: (why: string) => void): Promise<MessageServer> {
    const server = await listenUnix(path, 'messages');
    const messages = new MessageServer(path, server);
    server.on('connection', (socket) => {
      if (messages.#programs.size >= PROGRAMS_MAX) {
        socket.on('error', () => socket.destroy());
        socket.end(
          `${JSON.stringify(errorLine(`${PROGRAMS_MAX} programs are connected, and there is room for no more`))}\n`,
        );
        return;
      }
      const program = new ProgramConnection(socket, hub, onCut);
      messages.#programs.add(program);
      socket.once('close', () => messages.#programs.delete(program));
    });
    return messages;
  }

  get clients(): number {
    return this.#programs.size;
  }

  close(): void {
    this.#server.close();
    for (const program of this.#programs) program.close();
    rmSync(this.path, { force: true });
  }
}
