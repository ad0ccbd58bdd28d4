/** A target on real files: in this process, or in one of its own that can be killed. */
import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync, readFileSync, readSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { expect } from 'vitest';
import type { Address } from '../../agent/mirror/link/tls.ts';
import type { RingSize } from '../../agent/mirror/store/ring.ts';
import { decodeSuper, type JournalSuper } from '../../agent/mirror/store/superblock.ts';
import type { Target, TargetOptions } from '../../agent/mirror/target/target.ts';
import type { Prng } from '../../agent/base/prng.ts';
import { ScriptedSource } from './scripted-source.ts';
import { SourceModel } from './source-model.ts';

/** The compiled one: its threads are started as compiled files. */
const compiled = new URL('../../dist/agent/mirror/target/target.js', import.meta.url).href;

const GROUP = 'data';
const NAME = 'b';

/** Opens a target as its first argument says, prints its port, and stays. */
const PROGRAM = `
  const { Target } = await import(${JSON.stringify(compiled)});
  const { key, ...options } = JSON.parse(process.argv[2]);
  const keys = () => [Uint8Array.from(Buffer.from(key, 'hex'))];
  const log = (line) => console.error(line);
  const fatal = (error) => { console.error(error); process.exit(9); };
  const target = await Target.open({ ...options, keys }, { log, fatal });
  console.log(JSON.stringify(target.status().address));
`;

export class TargetBed {
  readonly folder: string = mkdtempSync(join(tmpdir(), 'stillbeat-target-'));
  readonly key: Uint8Array = randomBytes(32);
  readonly size: RingSize;
  readonly volumes: readonly { readonly name: string; readonly path: string; readonly bytes: number }[];
  lines: string[] = [];
  fatal: Error[] = [];
  target: Target | null = null;
  process: ChildProcess | null = null;

  constructor(
    size: RingSize = { ringBytes: 4 << 20, windowBytes: 1 << 20 },
    volumeBytes: readonly number[] = [262_144, 131_072],
  ) {
    this.size = size;
    this.volumes = volumeBytes.map((bytes, i) => ({ name: `v${i}`, path: join(this.folder, `volume-${i}`), bytes }));
    for (const { path, bytes } of this.volumes) {
      writeFileSync(path, '');
      truncateSync(path, bytes);
    }
  }

  get journalPath(): string {
    return join(this.folder, 'journal');
  }

  model(random: Prng, payloadMax = 20_000): SourceModel {
    return new SourceModel(
      random,
      this.volumes.map(({ bytes }) => bytes),
      payloadMax,
    );
  }

  source(model: SourceModel, address: Address): ScriptedSource {
    return new ScriptedSource(model, { address, key: this.key, group: GROUP, target: NAME, volumes: this.volumes });
  }

  async open(change: Partial<TargetOptions> = {}): Promise<Target> {
    const module = (await import(/* @vite-ignore */ compiled)) as typeof import('../../agent/mirror/target/target.ts');
    this.target = await module.Target.open(
      { ...this.#options(), keys: () => [this.key], ...change },
      { log: (line) => this.lines.push(line), fatal: (error) => this.fatal.push(error) },
    );
    return this.target;
  }

  /** The same in a process of its own; resolves when it listens. */
  async start(): Promise<Address> {
    const facts = JSON.stringify({ ...this.#options(), key: Buffer.from(this.key).toString('hex') });
    // A file: threads inherit the arguments of node itself.
    const program = join(this.folder, 'program.mjs');
    writeFileSync(program, PROGRAM);
    const child = spawn(process.execPath, [program, facts], { stdio: ['ignore', 'pipe', 'pipe'] });
    this.process = child;
    child.stderr.on('data', (chunk: Buffer) => this.lines.push(chunk.toString()));
    const ended = once(child, 'exit').then(() => {
      throw new Error(`the target ended: ${this.lines.join('')}`);
    });
    ended.catch(() => {});
    const [line] = (await Promise.race([once(createInterface(child.stdout), 'line'), ended])) as [string];
    return JSON.parse(line) as Address;
  }

  /** kill -9; resolves when it is gone. */
  async kill(): Promise<void> {
    const child = this.process;
    this.process = null;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
  }

  /** The better superblock of the file, as anybody would read it. */
  superblock(): JournalSuper {
    const file = Buffer.alloc(8192);
    const fd = openSync(this.journalPath, 'r');
    readSync(fd, file, 0, 8192, 0);
    closeSync(fd);
    const good = [0, 4096]
      .map((at) => decodeSuper(file.subarray(at, at + 4096)))
      .flatMap((copy) => (copy.ok ? [copy.superblock] : []));
    if (!good[0]) throw new Error('no superblock');
    return good.reduce((a, b) => (b.sequence > a.sequence ? b : a));
  }

  /** The receive volumes hold what the model says. */
  expectContent(model: SourceModel, mark: number, what = ''): void {
    model.contentAt(mark).forEach((wanted, i) => {
      const found = readFileSync(this.volumes[i]?.path ?? '');
      expect(Buffer.compare(wanted, found), `${what} volume ${i} at cut ${mark}`).toBe(0);
    });
  }

  async remove(): Promise<void> {
    await this.kill();
    await this.target?.close();
    rmSync(this.folder, { recursive: true });
  }

  #options(): Omit<TargetOptions, 'keys'> {
    const journal = { ...this.size, path: this.journalPath };
    return { group: GROUP, name: NAME, listen: { host: '127.0.0.1', port: 0 }, volumes: this.volumes, journal };
  }
}
