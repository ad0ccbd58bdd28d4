/** [OS7] Data that comes by a folder: the files of one session, each taken whole and removed; nothing else there is touched. */
import { lstatSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { isDataFile } from '../wire/data-file.ts';

export class DataFolderReader {
  readonly #folder: string;
  readonly #session: number;
  readonly #log: (line: string) => void;
  /** Taken, and not to be removed. */
  readonly #taken = new Set<string>();
  #told = '';

  constructor(folder: string, session: number, log: (line: string) => void) {
    this.#folder = folder;
    this.#session = session;
    this.#log = log;
  }

  /** Gives what came to `take`, which says what is wrong with it, until `isFull`. Answers why the session has to end, or null. */
  look(isFull: () => boolean, take: (bytes: Uint8Array) => string | null): string | null {
    for (const name of this.#names()) {
      if (isFull()) return null;
      const path = join(this.#folder, name);
      const bytes = this.#try(path, 'read', () => (lstatSync(path).isFile() ? readFileSync(path) : null));
      if (bytes === undefined) continue;
      const fault = bytes === null ? 'it is no file' : take(bytes);
      this.#taken.add(name);
      if (bytes !== null) this.#try(path, 'removed', () => rmSync(path, { force: true }));
      // What was in it is sent again.
      if (fault !== null) return `${path}: ${fault}`;
    }
    return null;
  }

  #names(): string[] {
    const names = this.#try(this.#folder, 'read', () => readdirSync(this.#folder)) ?? [];
    return names.filter((name) => isDataFile(name, this.#session) && !this.#taken.has(name)).sort();
  }

  /** Undefined when it failed, which is told once. */
  #try<T>(path: string, what: string, act: () => T): T | undefined {
    try {
      return act();
    } catch (error) {
      const line = `data folder: ${path} cannot be ${what} (${(error as NodeJS.ErrnoException).code})`;
      if (line !== this.#told) this.#log(line);
      this.#told = line;
      return undefined;
    }
  }
}
