/** A source and its target as an administrator runs them: two processes, settings files, a link on loopback. */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { newKeyText } from '../../agent/settings/key.ts';
import { eventually, SOON_MS } from './cluster.ts';
import { LinkRelay } from './link-relay.ts';
import { MirrorProcess, type Status, type TargetSeen } from './mirror-process.ts';
import { NbdClient } from './nbd-client.ts';

export type Side = 'source' | 'target';
export type { Status, TargetSeen } from './mirror-process.ts';

/** For a test that must lose no link: a process of a busy machine may have no processor for the half second of the others. */
export const PATIENT = { intervalMs: 50, misses: 100 };

const READ_BYTES = 1 << 20;

export interface PairOptions {
  readonly volumeBytes: number;
  readonly acknowledge?: 'sync' | 'receipt' | 'local' | 'cycle';
  readonly cycleMs?: number;
  readonly journalSize?: string;
  /** Where the source dials, when that is not the target itself. */
  readonly through?: (port: number) => Promise<number>;
  /** Put over the settings of a side. */
  readonly settings?: Partial<Record<Side, object>>;
  /** More volumes than the first, by name, as large. */
  readonly more?: readonly string[];
  /** A log device that both reach. */
  readonly withLog?: boolean;
  /** They reach each other over wires that can be cut. */
  readonly withRelay?: boolean;
}

export class MirrorPair {
  readonly folder: string = mkdtempSync(join(tmpdir(), 'stillbeat-mirror-'));
  readonly volume: Readonly<Record<Side, string>>;
  readonly #relays: readonly LinkRelay[];
  readonly #sides: Readonly<Record<Side, MirrorProcess>> = {
    source: new MirrorProcess(this.folder, 'source', 'source'),
    target: new MirrorProcess(this.folder, 'target', 'target'),
  };

  private constructor(
    options: PairOptions,
    [port, backPort]: readonly [number, number],
    [dialled, dialledBack]: readonly [number, number],
    relays: readonly LinkRelay[],
  ) {
    this.#relays = relays;
    const at = (name: string): string => join(this.folder, name);
    this.volume = { source: at('send'), target: at('receive') };
    const { more = [], settings = {} } = options;
    for (const side of ['source', 'target'] as const) {
      for (const path of [this.volume[side], ...more.map((name) => this.volumePath(side, name))]) {
        writeFileSync(path, '');
        truncateSync(path, options.volumeBytes);
      }
    }
    writeFileSync(at('key'), newKeyText(randomBytes(32)), { mode: 0o600 });
    const { acknowledge = 'sync', cycleMs = 50, journalSize = '32M' } = options;
    const common = (side: Side) => ({
      group: 'erp',
      role: side,
      keyFile: at('key'),
      journal: { path: at(`${side}.journal`), size: journalSize, window: '4M' },
      volumes: [
        { name: 'data', path: this.volume[side] },
        ...more.map((name) => ({ name, path: this.volumePath(side, name) })),
      ],
      export: { listen: `unix:${this.socket(side)}` },
      control: { socket: this.#sides[side].control },
      ...(options.withLog === true ? { log: { path: at('log') } } : {}),
    });
    const targets = [{ name: 'east', connect: `127.0.0.1:${dialled}` }];
    const inquiry = { intervalMs: 50, misses: 10 };
    // What each is when the roles are turned round.
    const failback = { name: 'west', listen: `127.0.0.1:${backPort}` };
    const back = [{ name: 'west', connect: `127.0.0.1:${dialledBack}` }];
    const asSource = { acknowledge, cycleMs, inquiry };
    writeFileSync(
      at('source.json'),
      JSON.stringify({ ...common('source'), targets, ...asSource, failback, ...settings.source }),
    );
    writeFileSync(
      at('target.json'),
      JSON.stringify({
        ...common('target'),
        name: 'east',
        listen: `127.0.0.1:${port}`,
        takeover: { targets: back, ...asSource },
        ...settings.target,
      }),
    );
  }

  static async make(options: PairOptions): Promise<MirrorPair> {
    const ports = [await freePort(), await freePort()] as const;
    const relays = options.withRelay === true ? await Promise.all(ports.map(async (port) => LinkRelay.open(port))) : [];
    const through = (await options.through?.(ports[0])) ?? ports[0];
    const dialled = [relays[0]?.port ?? through, relays[1]?.port ?? ports[1]] as const;
    return new MirrorPair(options, ports, dialled, relays);
  }

  socket(side: Side): string {
    return this.#sides[side].socket;
  }

  uri(side: Side, volume = 'data'): string {
    return `nbd+unix:///${volume}?socket=${this.socket(side)}`;
  }

  /** Of a volume that is not the first. */
  volumePath(side: Side, name: string): string {
    return `${this.volume[side]}-${name}`;
  }

  /** What `stillbeat mirror` says to this side. */
  async ask(side: Side, request: Readonly<Record<string, unknown>>): Promise<Status> {
    return this.#sides[side].ask(request);
  }

  log(side: Side): string {
    return this.#sides[side].log;
  }

  pid(side: Side): number {
    return this.#sides[side].pid;
  }

  /** Its control socket. */
  control(side: Side): string {
    return this.#sides[side].control;
  }

  config(side: Side): string {
    return this.#sides[side].config;
  }

  content(side: Side): Buffer {
    return readFileSync(this.volume[side]);
  }

  /** Puts this in place of what a volume holds, behind the mirror's back. */
  spoil(side: Side, content: Uint8Array): void {
    writeFileSync(this.volume[side], content, { flag: 'r+' });
  }

  settings(side: Side): Record<string, unknown> {
    return this.#sides[side].settings;
  }

  /** Puts these keys into a side's settings, and takes out those that are undefined: for its next start. */
  configure(side: Side, more: Readonly<Record<string, unknown>>): void {
    this.#sides[side].configure(more);
  }

  /** The words in front of a side's program: to start it elsewhere. */
  wrap(side: Side, words: readonly string[]): void {
    this.#sides[side].wrapper = words;
  }

  /** Starts a side that is to end by itself: its exit status, and what it said. */
  async run(side: Side): Promise<{ status: number; stderr: string }> {
    return this.#sides[side].run();
  }

  signal(side: Side, signal: NodeJS.Signals): void {
    this.#sides[side].signal(signal);
  }

  start(side: Side): void {
    this.#sides[side].start();
  }

  async status(side: Side): Promise<Status> {
    return this.#sides[side].status();
  }

  /** The target as its source sees it; null while the source does not answer. */
  async seen(): Promise<TargetSeen | null> {
    return this.seenBy('source');
  }

  /** A target as `side` sees it, which is a source now; null while it does not answer. */
  async seenBy(side: Side): Promise<TargetSeen | null> {
    return this.#sides[side].seen();
  }

  /** As `side`, a source, sees its target. */
  async untilInSync(side: Side = 'source'): Promise<void> {
    await eventually(
      `in sync, as the ${side} sees it`,
      SOON_MS,
      async () => (await this.seenBy(side))?.state === 'in-sync',
    );
  }

  /**
   * Until both volumes hold what the source's clients read. They are not only compared with each other: an answered write waits in
   * the source's journal, and for that long two volumes are equal that both lack it.
   */
  async untilEqual(): Promise<void> {
    const answered = await this.served('source');
    await eventually(
      'both volumes hold what is answered',
      SOON_MS,
      () => answered.equals(this.content('source')) && answered.equals(this.content('target')),
    );
  }

  /** The first volume as clients read it at this side; rejects while it is not served. */
  async served(side: Side): Promise<Buffer> {
    const client = await NbdClient.open(this.socket(side), 'data');
    try {
      const pieces = [];
      for (let at = 0; at < client.size; at += READ_BYTES) {
        pieces.push(await client.read(at, Math.min(READ_BYTES, client.size - at)));
      }
      return Buffer.concat(pieces);
    } finally {
      client.close();
    }
  }

  /** `stillbeat mirror ACTION` of a side: what it prints; rejects with what it refuses. */
  async command(side: Side, action: string, ...flags: string[]): Promise<string> {
    return this.#sides[side].command(action, ...flags);
  }

  /** Answers the exit status, or the signal that ended it. */
  async end(side: Side, signal: NodeJS.Signals = 'SIGTERM'): Promise<number | string | null> {
    return this.#sides[side].end(signal);
  }

  get logDevice(): string {
    return join(this.folder, 'log');
  }

  cutLink(): void {
    for (const relay of this.#relays) relay.cut();
  }

  mendLink(): void {
    for (const relay of this.#relays) relay.mend();
  }

  /** So many bytes pass on each connection of the link, whoever dials; it has to have a relay. */
  allow(bytes: number): void {
    for (const relay of this.#relays) relay.allow(bytes);
  }

  async remove(): Promise<void> {
    for (const side of ['source', 'target'] as const) await this.end(side, 'SIGKILL');
    for (const relay of this.#relays) relay.close();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  return typeof address === 'object' && address ? address.port : 0;
}
