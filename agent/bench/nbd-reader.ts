/** A client that only reads, one range after the other: for the time of a first answer, and to see what is served. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { AgentError } from '../base/errors.ts';
import {
  CLIENT_FLAGS_BYTES,
  COMMAND,
  GREETING_BYTES,
  HANDSHAKE,
  OPTION,
  OPTION_HEADER_BYTES,
  OPTION_MAGIC,
  REQUEST_BYTES,
  REQUEST_MAGIC,
  SIMPLE_REPLY_BYTES,
  SIMPLE_REPLY_MAGIC,
} from '../nbd/protocol.ts';

/** Size and flags: what is answered to the choice of an export. */
const CHOSEN_BYTES = 10;

export class NbdReader {
  readonly #socket: Socket;
  #pieces: Buffer[] = [];
  #received = 0;
  #isGone = false;
  /** Of the one who waits for more. */
  #wake: () => void = () => {};

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('error', () => {}); // `close` follows
    socket.once('close', () => {
      this.#isGone = true;
      this.#wake();
    });
    socket.on('data', (piece: Buffer) => {
      this.#pieces.push(piece);
      this.#received += piece.length;
      this.#wake();
    });
  }

  /** Null when nobody listens at this Unix socket yet. */
  static async open(path: string, name: string): Promise<NbdReader | null> {
    const socket = connect(path);
    const isThere = await once(socket, 'connect').then(
      () => true,
      () => false,
    );
    if (!isThere) return null;
    const reader = new NbdReader(socket);
    await reader.#bytes(GREETING_BYTES);
    const choice = Buffer.alloc(CLIENT_FLAGS_BYTES + OPTION_HEADER_BYTES + name.length);
    choice.writeUInt32BE(HANDSHAKE.fixedNewstyle | HANDSHAKE.noZeroes, 0);
    choice.writeUInt32BE(OPTION_MAGIC.high, 4);
    choice.writeUInt32BE(OPTION_MAGIC.low, 8);
    choice.writeUInt32BE(OPTION.exportName, 12);
    choice.writeUInt32BE(name.length, 16);
    choice.write(name, CLIENT_FLAGS_BYTES + OPTION_HEADER_BYTES);
    socket.write(choice);
    await reader.#bytes(CHOSEN_BYTES);
    return reader;
  }

  async read(offset: number, length: number): Promise<Buffer> {
    const request = Buffer.alloc(REQUEST_BYTES);
    request.writeUInt32BE(REQUEST_MAGIC, 0);
    request.writeUInt16BE(COMMAND.read, 6);
    request.writeBigUInt64BE(BigInt(offset), 16);
    request.writeUInt32BE(length, 24);
    this.#socket.write(request);
    const reply = await this.#bytes(SIMPLE_REPLY_BYTES);
    const errno = reply.readUInt32BE(4);
    if (reply.readUInt32BE(0) !== SIMPLE_REPLY_MAGIC || errno !== 0) {
      throw new AgentError('failed', `${length} bytes from ${offset} on cannot be read (${errno})`);
    }
    return this.#bytes(length);
  }

  close(): void {
    this.#socket.destroy();
  }

  async #bytes(count: number): Promise<Buffer> {
    while (this.#received < count) {
      if (this.#isGone) throw new AgentError('failed', 'the server ended the connection');
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
    const all = Buffer.concat(this.#pieces);
    this.#pieces = [all.subarray(count)];
    this.#received -= count;
    return all.subarray(0, count);
  }
}
