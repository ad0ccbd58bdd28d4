/**
 * The files that the one who writes a recording has in its folder. What somebody removes there is noticed: an open file takes
 * everything when it has no name any more, and the source would free what nobody can restore.
 */
import { statSync, readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { AgentError } from '../../base/errors.ts';
import { controlPath, dataPath, isContent } from './files.ts';

export class Present {
  readonly #folder: string;
  readonly #names: Set<string>;

  constructor(folder: string) {
    this.#folder = folder;
    this.#names = new Set(readdirSync(folder).filter(isContent));
  }

  add(segment: number): void {
    for (const path of this.#pathsOf(segment)) this.#names.add(basename(path));
  }

  drop(segment: number): void {
    for (const path of this.#pathsOf(segment)) this.#names.delete(basename(path));
  }

  /** Throws an AgentError when one is gone. */
  checkAll(): void {
    const there = new Set(readdirSync(this.#folder));
    for (const name of this.#names) if (!there.has(name)) throw gone(join(this.#folder, name));
  }

  /** Throws when the segment's open files are no more the ones of their names. */
  checkOpen(segment: number, inodes: readonly number[]): void {
    for (const [i, path] of this.#pathsOf(segment).entries()) {
      if (statSync(path, { throwIfNoEntry: false })?.ino !== inodes[i]) throw gone(path);
    }
  }

  #pathsOf(segment: number): readonly string[] {
    return [controlPath(this.#folder, segment), dataPath(this.#folder, segment)];
  }
}

const gone = (path: string): AgentError =>
  new AgentError('volume', `${path} was removed: what was in it is lost here; start the recorder again`);
