/** A source process on real files: started, killed, started again. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { formatJournal } from '../../agent/mirror/source/format-journal.ts';
import type { RingSize } from '../../agent/mirror/store/ring.ts';
import { NbdClient } from './nbd-client.ts';

const FIXTURE = fileURLToPath(new URL('../system/fixtures/mirror-source.mjs', import.meta.url));

export interface SourceProcessOptions extends RingSize {
  readonly volumeBytes: number;
  readonly volumeCount?: number;
  /** In place of files of its own. */
  readonly volumePaths?: readonly string[];
  readonly journalPath?: string;
}

export class SourceProcess {
  readonly folder: string = mkdtempSync(join(tmpdir(), 'stillbeat-source-'));
  readonly journal: string;
  readonly volumes: readonly string[];
  readonly socket: string;
  #child: ChildProcess | null = null;

  constructor(options: SourceProcessOptions) {
    const { volumeBytes, volumeCount = 1, ringBytes, windowBytes } = options;
    this.socket = join(this.folder, 'socket');
    this.journal = options.journalPath ?? join(this.folder, 'journal');
    this.volumes =
      options.volumePaths ?? Array.from({ length: volumeCount }, (_, i) => join(this.folder, `volume-${i}`));
    if (!options.volumePaths) {
      for (const path of this.volumes) {
        writeFileSync(path, '');
        truncateSync(path, volumeBytes);
      }
    }
    formatJournal(this.journal, {
      ringBytes,
      windowBytes,
      group: 'group',
      generation: new Uint8Array(16).fill(9),
      volumes: this.volumes.map((_, i) => ({ name: `v${i}`, bytes: volumeBytes })),
    });
  }

  /** Answers when it serves. */
  async start(options: Record<string, unknown> = {}): Promise<void> {
    const { journal, volumes, socket } = this;
    const child = spawn(process.execPath, [FIXTURE, JSON.stringify({ journal, volumes, socket, ...options })], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    this.#child = child;
    const lines = createInterface(child.stdout);
    const [said] = (await Promise.race([once(lines, 'line'), once(child, 'exit')])) as [unknown];
    if (said !== 'ready') throw new Error(`the source did not start: ${String(said)}`);
  }

  async client(volume = 0): Promise<NbdClient> {
    return NbdClient.open(this.socket, `v${volume}`);
  }

  /** As fio and the libnbd tools name an export. */
  uri(volume = 0): string {
    return `nbd+unix:///v${volume}?socket=${this.socket}`;
  }

  async kill(): Promise<void> {
    await this.#end('SIGKILL');
  }

  /** In order; answers the exit status. */
  async stop(): Promise<number | null> {
    return this.#end('SIGTERM');
  }

  async remove(): Promise<void> {
    await this.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }

  async #end(signal: NodeJS.Signals): Promise<number | null> {
    const child = this.#child;
    this.#child = null;
    if (!child) return null;
    if (child.exitCode === null && child.signalCode === null) {
      const exit = once(child, 'exit');
      child.kill(signal);
      await exit;
    }
    return child.exitCode;
  }
}
