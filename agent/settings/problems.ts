/**
 * What is wrong with a settings file, gathered so that the operator sees everything in one run. A problem is one line:
 * file, line, key, what is wrong, what to do.
 */
import { AgentError } from '../base/errors.ts';

/** Where in the settings: keys and list indices from the top. */
export type KeyPath = readonly (string | number)[];

/** One thing that is wrong. */
export interface Problem {
  readonly line: number;
  /** Where and how: file, line, key, what is wrong. */
  readonly what: string;
  /** What to do about it. */
  readonly mend: string;
}

/** A settings file that cannot be used; `problems` has one line for each thing that is wrong with it. */
export class SettingsErrors extends AgentError {
  readonly found: readonly Problem[];
  readonly problems: readonly string[];

  constructor(found: readonly Problem[]) {
    const problems = found.map(({ what, mend }) => `${what}; ${mend}`);
    super('usage', problems.join('\n'));
    this.name = 'SettingsErrors';
    this.found = found;
    this.problems = problems;
  }
}

/** A key path as people write it: `peers[0].address`. Keys are the file's words, so they are kept to one line. */
export function keyText(path: KeyPath): string {
  const parts = path.map((key) => {
    if (typeof key === 'number') return `[${key}]`;
    return /^[\w-]+$/.test(key) ? `.${key}` : `.${JSON.stringify(key)}`;
  });
  return parts.join('').replace(/^\./, '');
}

const VALUE_CHARACTERS_MAX = 60;

/** A value from the file, as a message shows it: on one line and not too long. */
export function valueText(value: unknown): string {
  if (value === null || value === undefined) return 'empty';
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : 'a list';
  if (typeof value === 'object') return 'a group of keys';
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  const text = JSON.stringify(value);
  return text.length > VALUE_CHARACTERS_MAX ? `${text.slice(0, VALUE_CHARACTERS_MAX)}…` : text;
}

export class Problems {
  readonly #file: string;
  readonly #lineOf: (path: KeyPath) => number;
  readonly #found: Problem[] = [];
  readonly #known = new Set<string>();

  constructor(file: string, lineOf: (path: KeyPath) => number) {
    this.#file = file;
    this.#lineOf = lineOf;
  }

  /** Notes that the value at `path` is wrong: `what` says how, `mend` what to do about it. */
  add(path: KeyPath, what: string, mend: string): void {
    const line = this.#lineOf(path);
    const key = path.length === 0 ? '' : ` ${keyText(path)}:`;
    this.#found.push({ line, what: `${this.#file}:${line}:${key} ${what}`, mend });
    this.excuse(path);
  }

  /** Keeps quiet about `path` from now on: what is wrong there is a consequence of something already told. */
  excuse(path: KeyPath): void {
    this.#known.add(keyText(path));
  }

  /** Whether something is already known to be wrong at `path`, so that a second complaint would only confuse. */
  knows(path: KeyPath): boolean {
    return this.#known.has(keyText(path));
  }

  throwIfAny(): void {
    if (this.#found.length === 0) return;
    throw new SettingsErrors(this.#found.toSorted((a, b) => a.line - b.line));
  }
}
