/** The keys of a mirror's process: read at its start, and again at SIGHUP. Bad ones change nothing. */
import type { Log } from '../platform/log.ts';
import { readExportKeys } from '../settings/export-keys.ts';
import { readKeyFile } from '../settings/key.ts';

interface KeyFiles {
  readonly keyFile: string;
  readonly exportKeyFile: string | null;
}

export class MirrorKeys {
  readonly #files: KeyFiles;
  #cluster: readonly Uint8Array[];
  /** Of NBD clients, null where none is asked for: the same map all the time, its content changes. */
  readonly exports: Map<string, Uint8Array> | null;

  /** Throws an AgentError that says what to do. */
  constructor({ keyFile, exportKeyFile }: KeyFiles) {
    this.#files = { keyFile, exportKeyFile };
    this.#cluster = readKeyFile(keyFile);
    this.exports = exportKeyFile === null ? null : readExportKeys(exportKeyFile);
  }

  /** The cluster's, the one that seals first; all of them open. Asked for each connection: those that are there stay. */
  readonly cluster = (): readonly Uint8Array[] => this.#cluster;

  readAtHangUp(log: Log): void {
    process.on('SIGHUP', () => {
      try {
        const { keyFile, exportKeyFile } = this.#files;
        const cluster = readKeyFile(keyFile);
        const exports = exportKeyFile === null ? null : readExportKeys(exportKeyFile);
        this.#cluster = cluster;
        this.exports?.clear();
        for (const [identity, key] of exports ?? []) this.exports?.set(identity, key);
        log.log('info', 'keys-read', { keys: cluster.length });
      } catch (error) {
        log.log('error', 'keys-refused', { reason: error instanceof Error ? error.message : String(error) });
      }
    });
  }
}
