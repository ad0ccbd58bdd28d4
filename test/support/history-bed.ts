/** A recorder beside a mirror's source, as an administrator runs them, and `stillbeat history` on what it kept. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { ask } from '../../agent/control-client.ts';
import { CLI_PATH } from '../../agent/demo/lab.ts';
import { run } from '../../agent/demo/shell.ts';
import { loadRecording, type Loaded } from '../../agent/history/store/load.ts';
import { State } from '../../agent/history/store/state.ts';
import { eventually } from './cluster.ts';
import { freePort, MirrorPair, type PairOptions, type Side } from './mirror-pair.ts';

export const SOON_MS = 60_000;

export interface BedOptions extends PairOptions {
  readonly retention?: { readonly hours?: number; readonly bytes?: string };
  readonly connections?: number;
  readonly wait?: boolean;
  /** Data goes by a folder. */
  readonly byFolder?: boolean;
  /** Control and data go to a log device too. */
  readonly logDevice?: boolean;
  /** There is a copy too; it is started by `start`. */
  readonly withCopy?: boolean;
  /** The store is a file system in memory of this size. */
  readonly smallStore?: string;
}

interface MonitorSeen {
  readonly kept: number;
  readonly linked: boolean;
  readonly base: { readonly state: string; readonly mark: number };
  readonly storedBytes: number;
  readonly fault: string | null;
  readonly restored: { readonly control: number; readonly data: number } | null;
}

export class HistoryBed {
  readonly pair: MirrorPair;
  readonly store: string;
  readonly config: string;
  readonly #children = new Set<ChildProcess>();
  readonly #withCopy: boolean;
  #recorder: ChildProcess | null = null;
  #isMounted = false;
  said = '';

  private constructor(pair: MirrorPair, port: number, options: BedOptions) {
    this.pair = pair;
    const at = (name: string): string => join(pair.folder, name);
    this.store = at('store');
    this.config = at('recorder.json');
    const { byFolder, logDevice, connections = 1, wait = false, retention = {}, withCopy = false } = options;
    this.#withCopy = withCopy;
    writeFileSync(
      this.config,
      JSON.stringify({
        role: 'recorder',
        name: 'vault',
        keyFile: at('key'),
        listen: `127.0.0.1:${port}`,
        store: { path: this.store },
        retention,
        control: { socket: at('vault.sock') },
        ...(logDevice === true ? { log: { path: at('records') } } : {}),
      }),
    );
    const recorder = { name: 'vault', connect: `127.0.0.1:${port}`, connections, wait };
    pair.configure('source', {
      // Without a copy what is looked at is the recording.
      ...(withCopy ? {} : { targets: [], acknowledge: 'local' }),
      recorders: [{ ...recorder, ...(byFolder === true ? { dataFolder: at('data') } : {}) }],
      ...(logDevice === true ? { log: { path: at('log'), records: { path: at('records/erp'), size: '64M' } } } : {}),
    });
  }

  static async make(options: BedOptions): Promise<HistoryBed> {
    const bed = new HistoryBed(await MirrorPair.make(options), await freePort(), options);
    if (options.smallStore === undefined) return bed;
    mkdirSync(bed.store);
    const mount = await run(['mount', '-t', 'tmpfs', '-o', `size=${options.smallStore}`, 'tmpfs', bed.store]);
    if (mount.status !== 0) throw new Error(mount.stderr);
    bed.#isMounted = true;
    return bed;
  }

  get recording(): string {
    return join(this.store, 'erp');
  }

  startRecorder(): void {
    const child = spawn(process.execPath, [CLI_PATH, 'history', 'record', '--config', this.config], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    child.stderr.on('data', (piece: Buffer) => (this.said += piece.toString()));
    this.#recorder = child;
  }

  async endRecorder(signal: NodeJS.Signals = 'SIGKILL'): Promise<number | null> {
    const child = this.#recorder;
    this.#recorder = null;
    if (!child) return null;
    if (child.exitCode === null && child.signalCode === null) {
      const exit = once(child, 'exit');
      child.kill(signal);
      await exit;
    }
    return child.exitCode;
  }

  async seen(): Promise<MonitorSeen | null> {
    const request = ask(join(this.pair.folder, 'vault.sock'), { command: 'history-status' });
    const status = await request.catch(() => null);
    return (status?.['monitors'] as MonitorSeen[] | undefined)?.[0] ?? null;
  }

  /** The source's last mark. */
  async newest(): Promise<number> {
    const { marks } = (await this.pair.status('source')) as unknown as { marks: { admitted: number } };
    return marks.admitted;
  }

  /** Waits until everything that was written by now is kept; answers the mark. */
  async caughtUp(): Promise<number> {
    const newest = await this.newest();
    let seen: MonitorSeen | null = null;
    await eventually('it is recorded', SOON_MS, async () => {
      seen = await this.seen();
      if (seen?.base.state === 'whole' && seen.kept >= newest) return true;
      throw new Error(`${newest}: ${JSON.stringify(seen)}\n${this.said}\n${this.pair.log('source')}`);
    });
    return (seen as MonitorSeen | null)?.kept ?? 0;
  }

  /** The source takes clients. */
  async served(): Promise<void> {
    await eventually(
      'the source serves',
      SOON_MS,
      async () => (await this.pair.status('source').catch(() => null)) !== null,
    );
  }

  /** Both sides run, and the base is there. */
  async start(): Promise<void> {
    this.startRecorder();
    if (this.#withCopy) this.pair.start('target');
    this.pair.start('source');
    await this.served();
    await eventually('the base is there', SOON_MS, async () => (await this.seen())?.base.state === 'whole');
  }

  /** Writes patterns: qemu-io's commands. */
  async write(...commands: readonly string[]): Promise<void> {
    const argv = [
      'qemu-io',
      '-f',
      'raw',
      ...commands.flatMap((each) => ['-c', each]),
      '-c',
      'flush',
      this.pair.uri('source'),
    ];
    const { status, stderr } = await run(argv, { timeoutMs: SOON_MS });
    if (status !== 0) throw new Error(stderr);
  }

  /** `stillbeat history …` on the store: its exit status and what it says. */
  async history(...argv: readonly string[]): Promise<{ status: number; stdout: string; stderr: string }> {
    return run([process.execPath, CLI_PATH, 'history', ...argv], { timeoutMs: SOON_MS });
  }

  get loaded(): Loaded {
    return loadRecording(this.recording);
  }

  /** SHA-256 of the volume at a mark. */
  digest(mark: number): string {
    const { loaded } = this;
    const state = new State(loaded, mark);
    const content = new Uint8Array(loaded.head.volumes[0]?.bytes ?? 0);
    state.read(0, 0, content);
    state.close();
    return sha256(content);
  }

  /** Serves a state until the end of the test; answers the URI. */
  async serve(time: string, ...more: readonly string[]): Promise<string> {
    const socket = join(this.pair.folder, `state-${this.#children.size}.nbd`);
    const argv = ['history', 'serve', '--at', time, '--store', this.store, '--listen', `unix:${socket}`, ...more];
    const child = spawn(process.execPath, [CLI_PATH, ...argv], { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#children.add(child);
    let out = '';
    child.stdout.on('data', (piece: Buffer) => (out += piece.toString()));
    child.stderr.on('data', (piece: Buffer) => (out += piece.toString()));
    await eventually('it is served', SOON_MS, () => /^serving /m.test(out) || child.exitCode !== null);
    const uri = /^serving (.*)$/m.exec(out)?.[1];
    if (uri === undefined) throw new Error(out);
    return uri;
  }

  /** What clients of a side see. */
  async seenBy(side: Side): Promise<Buffer> {
    return this.pair.served(side);
  }

  async remove(): Promise<void> {
    for (const child of this.#children) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const exit = once(child, 'exit');
      child.kill('SIGKILL');
      await exit;
    }
    await this.endRecorder();
    if (this.#isMounted) await run(['umount', this.store]);
    await this.pair.remove();
  }
}

export const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** Patterns as they lie one after the other on a volume of zeros: an account of our own. */
export class Account {
  readonly #content: Buffer;
  readonly states: { mark: number; digest: string; time: string }[] = [];

  constructor(bytes: number) {
    this.#content = Buffer.alloc(bytes);
  }

  async write(bed: HistoryBed, pattern: number, offset: number, length: number): Promise<void> {
    await bed.write(`write -P ${pattern} ${offset} ${length}`);
    this.#content.fill(pattern, offset, offset + length);
    this.states.push({ mark: await bed.caughtUp(), digest: sha256(this.#content), time: new Date().toISOString() });
    // The next one is at another millisecond.
    await delay(3);
  }
}
