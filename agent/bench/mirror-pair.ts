/** A source with its target as two processes on files in memory, for `bench mirror`. */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, truncateSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { ask } from '../control-client.ts';
import { CLI_PATH } from '../demo/lab.ts';
import { AgentError } from '../base/errors.ts';
import { systemClock } from '../platform/clock.ts';
import { newKeyText } from '../settings/key.ts';
import { BenchProcess } from './bench-process.ts';
import { WireProxy } from './wire-proxy.ts';

export interface MirrorPairOptions {
  readonly volumeBytes: number;
  /** More of a side's settings. */
  readonly source?: object;
  readonly target?: object;
  /** With its window. */
  readonly sourceJournal?: { readonly size: string; readonly window: string };
  /** No target at all. */
  readonly isAlone?: boolean;
  /** What passes the link is counted, which costs time. */
  readonly isCounted?: boolean;
}

export interface TargetSeen {
  readonly state: string;
  readonly durable: number;
  readonly applied: number;
  readonly lag: { readonly marks: number; readonly bytes: number; readonly seconds: number };
}

const SOON_MS = 120_000;

export class BenchPair {
  readonly #folder: string;
  readonly volume: { readonly source: string; readonly target: string };
  readonly #running: { source?: BenchProcess; target?: BenchProcess } = {};
  wire: WireProxy | null = null;

  private constructor(folder: string) {
    this.#folder = folder;
    this.volume = { source: join(folder, 'send'), target: join(folder, 'receive') };
  }

  /** Writes settings and sparse volumes; nothing runs yet. */
  static async make(folder: string, options: MirrorPairOptions): Promise<BenchPair> {
    mkdirSync(folder, { recursive: true });
    const pair = new BenchPair(folder);
    const port = await freePort();
    if (options.isCounted === true) pair.wire = await WireProxy.open(port);
    for (const path of Object.values(pair.volume)) {
      writeFileSync(path, '');
      truncateSync(path, options.volumeBytes);
    }
    const at = (name: string): string => join(folder, name);
    writeFileSync(pair.keyFile, newKeyText(randomBytes(32)), { mode: 0o600 });
    const size = { size: '512M' };
    const journal = { source: options.sourceJournal ?? size, target: size };
    const common = (side: 'source' | 'target') => ({
      group: 'bench',
      role: side,
      keyFile: pair.keyFile,
      journal: { path: at(`${side}.journal`), ...journal[side] },
      volumes: [{ name: 'data', path: pair.volume[side] }],
      export: { listen: `unix:${at(`${side}.nbd`)}` },
      control: { socket: at(`${side}.sock`) },
    });
    const connect = `127.0.0.1:${pair.wire?.port ?? port}`;
    const targets = options.isAlone === true ? [] : [{ name: 'east', connect }];
    writeFileSync(at('source.json'), JSON.stringify({ ...common('source'), targets, ...options.source }));
    const listen = `127.0.0.1:${port}`;
    writeFileSync(at('target.json'), JSON.stringify({ ...common('target'), name: 'east', listen, ...options.target }));
    return pair;
  }

  /** The key that both sides prove to each other. */
  get keyFile(): string {
    return join(this.#folder, 'key');
  }

  get uri(): string {
    return `nbd+unix:///data?socket=${join(this.#folder, 'source.nbd')}`;
  }

  async start(side: 'source' | 'target'): Promise<void> {
    const socket = join(this.#folder, `${side}.sock`);
    const argv = [process.execPath, CLI_PATH, 'mirror', side, '--config', join(this.#folder, `${side}.json`)];
    const isReady = async (): Promise<boolean> =>
      ask(socket, { command: 'mirror-status' }).then(
        () => true,
        () => false,
      );
    this.#running[side] = await BenchProcess.start(argv, isReady);
  }

  pid(side: 'source' | 'target'): number {
    return this.#running[side]?.pid ?? 0;
  }

  async kill(side: 'source' | 'target'): Promise<void> {
    await this.#running[side]?.kill();
    delete this.#running[side];
  }

  /** Of the source. */
  async status(): Promise<Readonly<Record<string, unknown>>> {
    return ask(join(this.#folder, 'source.sock'), { command: 'mirror-status' });
  }

  async seen(): Promise<TargetSeen | null> {
    return ((await this.status())['targets'] as TargetSeen[])[0] ?? null;
  }

  /** Makes a cut; resolves when the target shows it. */
  async checkpoint(): Promise<void> {
    const { cut } = (await ask(join(this.#folder, 'source.sock'), { command: 'mirror-checkpoint' })) as { cut: number };
    await this.until(`cut ${cut}`, ({ applied }) => applied >= cut);
  }

  /** Begins a scrub. */
  async verify(): Promise<void> {
    await ask(join(this.#folder, 'source.sock'), { command: 'mirror-verify' });
  }

  async until(what: string, isSo: (target: TargetSeen) => boolean): Promise<void> {
    const deadlineMs = systemClock.monotonicMs() + SOON_MS;
    for (let target = await this.seen(); !target || !isSo(target); target = await this.seen()) {
      if (systemClock.monotonicMs() > deadlineMs) {
        throw new AgentError('failed', `the mirror does not get there in time: ${what}; ${JSON.stringify(target)}`);
      }
      await delay(2);
    }
  }

  async untilInSync(): Promise<void> {
    await this.until('in sync', ({ state }) => state === 'in-sync');
  }

  /** Ms from the newest link on until it is in sync, as its source tells: who asks it now and then takes its time away. */
  async resyncMs(): Promise<number> {
    const deadlineMs = systemClock.monotonicMs() + SOON_MS;
    for (;;) {
      const last = (this.#running.source?.said ?? '')
        .split('\n')
        .findLast((line) => /target-(linked|in-sync|lost|refused)/.test(line));
      const ms = /(?=.*target-in-sync).*"ms":(\d+)/.exec(last ?? '')?.[1];
      if (ms !== undefined) return Number(ms);
      if (systemClock.monotonicMs() > deadlineMs) throw new AgentError('failed', 'the mirror is not in sync in time');
      await delay(20);
    }
  }

  async end(): Promise<void> {
    await this.kill('source');
    await this.kill('target');
    this.wire?.close();
  }
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
