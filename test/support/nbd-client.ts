/** An NBD client that knows exactly what it asked for and what it was answered: for tests that kill the server. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

const REQUEST_MAGIC = 0x25609513;
const REPLY_MAGIC = 0x67446698;
const REPLY_BYTES = 16;
const FUA = 1;
const COMMAND = { read: 0, write: 1, disconnect: 2, flush: 3, trim: 4, writeZeroes: 6 } as const;

interface Asked {
  readonly length: number;
  readonly answer: (errno: number, data: Buffer) => void;
  readonly lose: (error: Error) => void;
}

export class NbdClient {
  readonly #socket: Socket;
  readonly #asked = new Map<number, Asked>();
  #cookie = 0;
  #received: Buffer = Buffer.alloc(0);
  size = 0;
  isLost = false;

  private constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** Connects to a Unix socket and chooses an export. */
  static async open(path: string, name: string): Promise<NbdClient> {
    const socket = connect(path);
    const client = new NbdClient(socket);
    socket.on('error', () => {});
    await once(socket, 'connect');
    await client.#bytes(18);
    const choose = Buffer.alloc(20 + name.length);
    choose.writeUInt32BE(3, 0);
    choose.write('IHAVEOPT', 4);
    choose.writeUInt32BE(1, 12);
    choose.writeUInt32BE(name.length, 16);
    choose.write(name, 20);
    socket.write(choose);
    client.size = Number((await client.#bytes(10)).readBigUInt64BE(0));
    socket.on('data', (chunk: Buffer) => client.#hear(chunk));
    socket.on('close', () => client.#lose());
    return client;
  }

  async read(offset: number, length: number): Promise<Buffer> {
    return this.#ask(COMMAND.read, 0, offset, length, null);
  }

  async write(offset: number, data: Uint8Array, fua = false): Promise<void> {
    await this.#ask(COMMAND.write, fua ? FUA : 0, offset, data.length, data);
  }

  async zero(offset: number, length: number): Promise<void> {
    await this.#ask(COMMAND.writeZeroes, 0, offset, length, null);
  }

  async trim(offset: number, length: number): Promise<void> {
    await this.#ask(COMMAND.trim, 0, offset, length, null);
  }

  async flush(): Promise<void> {
    await this.#ask(COMMAND.flush, 0, 0, 0, null);
  }

  close(): void {
    this.#socket.destroy();
  }

  /** Rejects with the error's number in its message, or when the server is gone. */
  async #ask(type: number, flags: number, offset: number, length: number, data: Uint8Array | null): Promise<Buffer> {
    if (this.isLost) throw new Error('the server is gone');
    const cookie = ++this.#cookie;
    const request = Buffer.alloc(28);
    request.writeUInt32BE(REQUEST_MAGIC, 0);
    request.writeUInt16BE(flags, 4);
    request.writeUInt16BE(type, 6);
    request.writeBigUInt64BE(BigInt(cookie), 8);
    request.writeBigUInt64BE(BigInt(offset), 16);
    request.writeUInt32BE(length, 24);
    return new Promise((resolve, reject) => {
      const answer = (errno: number, bytes: Buffer) =>
        errno === 0 ? resolve(bytes) : reject(new Error(`errno ${errno}`));
      this.#asked.set(cookie, { length: type === COMMAND.read ? length : 0, answer, lose: reject });
      this.#socket.cork();
      this.#socket.write(request);
      if (data) this.#socket.write(data);
      this.#socket.uncork();
    });
  }

  #hear(chunk: Buffer): void {
    this.#received = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk]);
    for (;;) {
      const received = this.#received;
      if (received.length < REPLY_BYTES) return;
      if (received.readUInt32BE(0) !== REPLY_MAGIC) throw new Error('no reply');
      const cookie = Number(received.readBigUInt64BE(8));
      const asked = this.#asked.get(cookie);
      if (!asked) throw new Error(`a reply to nothing: ${cookie}`);
      const errno = received.readUInt32BE(4);
      const end = REPLY_BYTES + (errno === 0 ? asked.length : 0);
      if (received.length < end) return;
      this.#asked.delete(cookie);
      this.#received = received.subarray(end);
      asked.answer(errno, Buffer.from(received.subarray(REPLY_BYTES, end)));
    }
  }

  #lose(): void {
    this.isLost = true;
    for (const { lose } of this.#asked.values()) lose(new Error('the server is gone'));
    this.#asked.clear();
  }

  async #bytes(count: number): Promise<Buffer> {
    for (;;) {
      const got = this.#socket.read(count) as Buffer | null;
      if (got) return got;
      await once(this.#socket, 'readable');
    }
  }
}
