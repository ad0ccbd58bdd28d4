/** Volumes served by the real server, for clients from Debian's packages and for clients that misbehave. */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Prng } from '../../agent/base/prng.ts';
import { run, tool } from '../../agent/demo/shell.ts';
import { FileVolume } from '../../agent/nbd/file-volume.ts';
import { type NbdEndpoint, type NbdLimits, NbdServer } from '../../agent/nbd/server.ts';
import type { ServedVolume } from '../../agent/nbd/volume.ts';
import { until } from '../support/until.ts';

/** For one client from a package, on a machine that does other things too. */
const CLIENT_MS_MAX = 60_000;
const IDENTITY = 'alice';

export type Way = 'tcp' | 'unix' | 'tls';
export const WAYS: readonly Way[] = ['tcp', 'unix', 'tls'];

export class NbdBed {
  readonly folder: string = mkdtempSync(join(tmpdir(), 'stillbeat-nbd-'));
  readonly server: NbdServer;
  readonly way: Way;
  /** What the server logged. */
  readonly lines: string[];
  readonly #files: FileVolume[];

  private constructor(server: NbdServer, way: Way, lines: string[], files: FileVolume[], keys: PskFile) {
    this.server = server;
    this.way = way;
    this.lines = lines;
    this.#files = files;
    keys.write(this.keyFile);
  }

  static async open(way: Way, volumes: readonly ServedVolume[], limits: Partial<NbdLimits> = {}): Promise<NbdBed> {
    const lines: string[] = [];
    const keys = new PskFile(IDENTITY);
    const socketFolder = mkdtempSync(join(tmpdir(), 'stillbeat-nbd-'));
    const listen: NbdEndpoint =
      way === 'unix' ? { path: join(socketFolder, 'socket') } : { host: '127.0.0.1', port: 0 };
    const server = await NbdServer.open({
      exports: { list: () => volumes },
      listen,
      keys: way === 'tls' ? new Map([[IDENTITY, keys.key]]) : null,
      log: (line) => lines.push(line),
      limits,
    });
    const files = volumes.filter((volume) => volume instanceof FileVolume);
    const bed = new NbdBed(server, way, lines, files, keys);
    bed.#socketFolder = socketFolder;
    return bed;
  }

  #socketFolder = '';

  get keyFile(): string {
    return join(this.folder, 'keys');
  }

  /** An export's address as libnbd, fio and nbdfuse read it. */
  uri(name = 'data', identity: string = IDENTITY, keyFile: string = this.keyFile): string {
    if (this.way === 'unix') return `nbd+unix:///${name}?socket=${join(this.#socketFolder, 'socket')}`;
    const address = `127.0.0.1:${this.server.port}/${name}`;
    return this.way === 'tls' ? `nbds://${identity}@${address}?tls-psk-file=${keyFile}` : `nbd://${address}`;
  }

  /** A client that speaks whatever a test gives it. */
  async rawSocket(): Promise<RawClient> {
    const socket = this.way === 'unix' ? connect(join(this.#socketFolder, 'socket')) : connect(this.server.port);
    return RawClient.over(socket);
  }

  async close(): Promise<void> {
    await this.server.close(1000);
    for (const file of this.#files) file.close();
    rmSync(this.folder, { recursive: true });
    rmSync(this.#socketFolder, { recursive: true, force: true });
  }
}

export class RawClient {
  readonly socket: Socket;
  received: Buffer = Buffer.alloc(0);
  isClosed = false;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (chunk: Buffer) => (this.received = Buffer.concat([this.received, chunk])));
    socket.on('close', () => (this.isClosed = true));
    socket.on('error', () => {});
  }

  /** Answers when the greeting is here; rejects when the connection is closed without one. */
  static async over(socket: Socket): Promise<RawClient> {
    const client = new RawClient(socket);
    await until('the greeting', () => client.received.length >= 18 || client.isClosed);
    if (client.received.length < 18) throw new Error('closed without a greeting');
    return client;
  }

  async untilClosed(boundMs?: number): Promise<void> {
    await until('the server closes the connection', () => this.isClosed, boundMs);
  }
}

/** A pre-shared key, as GnuTLS keeps it in a file. */
export class PskFile {
  readonly key: Buffer = randomBytes(32);
  readonly #identity: string;

  constructor(identity: string) {
    this.#identity = identity;
  }

  write(path: string): void {
    writeFileSync(path, `${this.#identity}:${this.key.toString('hex')}\n`, { mode: 0o600 });
  }
}

/** Runs a client that must succeed; answers what it printed. */
export const client = async (argv: readonly string[]): Promise<string> => tool(argv, { timeoutMs: CLIENT_MS_MAX });

/** Runs a client that must fail; answers what it said. */
export async function failing(argv: readonly string[]): Promise<string> {
  const { status, stdout, stderr } = await run(argv, { timeoutMs: CLIENT_MS_MAX });
  if (status === 0) throw new Error(`${argv.join(' ')} succeeded: ${stdout}`);
  return stdout + stderr;
}

/** An empty file of that size. */
export function emptyFile(path: string, bytes: number): string {
  writeFileSync(path, '');
  truncateSync(path, bytes);
  return path;
}

/** A file with stretches of random data and stretches of nothing, that ends with data. */
export function patchyFile(path: string, bytes: number, seed: number): string {
  const random = new Prng(seed);
  const content = Buffer.alloc(bytes);
  for (let at = 0; at < bytes; at += 1 + random.below(600_000)) {
    const length = Math.min(1 + random.below(100_000), bytes - at);
    random.fill(content.subarray(at, at + length));
    at += length;
  }
  random.fill(content.subarray(-1));
  content[bytes - 1] = (content[bytes - 1] ?? 0) | 1;
  writeFileSync(path, content);
  return path;
}
