/**
 * [HI9] Until when everything that was written is in a recording: a time behind that is refused, for what was written since may be
 * at the monitor alone. Said by the monitor while a session runs, kept beside the head, and replaced as a whole.
 */
import { readFileSync } from 'node:fs';
import { open, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { checkedText, textOf } from './checked-text.ts';

export interface Known {
  /** Nothing beyond this mark was written until then. */
  readonly mark: number;
  /** Microseconds since 1970, by the recorder's clock. */
  readonly timeUs: number;
  /** A session runs, which brings more soon. */
  readonly isOpen: boolean;
}

/** Of a recording that is just made, and of a file that is not there, or does not hold. */
export const NOTHING_KNOWN: Known = { mark: 0, timeUs: 0, isOpen: false };

export const knownPath = (folder: string): string => join(folder, 'known');

export const knownText = (known: Known): string => checkedText(known);

export function readKnown(folder: string): Known {
  let text: string;
  try {
    text = readFileSync(knownPath(folder), 'utf8');
  } catch {
    return NOTHING_KNOWN;
  }
  const json = textOf(text);
  return json === null ? NOTHING_KNOWN : (JSON.parse(json) as Known);
}

/** The one who writes it. A word counts when all up to its mark is here. */
export class KnownUntil {
  readonly #folder: string;
  readonly #log: (line: string) => void;
  #known: Known;
  #word: Omit<Known, 'isOpen'> | null = null;
  #next: Known | null = null;
  #writing: Promise<void> | null = null;
  #fault: string | null = null;

  constructor(folder: string, log: (line: string) => void) {
    this.#folder = folder;
    this.#log = log;
    this.#known = readKnown(folder);
  }

  /** As far as it is noted. */
  get until(): Known {
    return this.#known;
  }

  /** A session takes. */
  begin(): void {
    this.#word = null;
    this.#put({ ...this.#known, isOpen: true });
  }

  /** The monitor says that nothing beyond the mark was written until then. One that waits is kept: a later one may wait for ever. */
  come(mark: number, timeUs: number): void {
    this.#word ??= { mark, timeUs };
  }

  /** Everything up to this mark is durable here. */
  reached(upTo: number): void {
    const word = this.#word;
    if (!word || word.mark > upTo) return;
    this.#word = null;
    // Of a clock that was set back: that nothing beyond a lower mark was written until a later time says more.
    if (word.timeUs > this.#known.timeUs) this.#put({ ...word, isOpen: true });
  }

  /** Marks beyond it are void. */
  cut(until: number): void {
    if (this.#known.mark > until) this.#put({ ...this.#known, mark: until });
  }

  /** Another generation goes on from there: it may have written by another clock, and before that time. Durable before its marks count. */
  turn(): void {
    if (this.#known.timeUs > 0) this.#put({ ...this.#known, timeUs: 0 });
  }

  end(): void {
    this.#word = null;
    if (this.#known.isOpen) this.#put({ ...this.#known, isOpen: false });
  }

  async settled(): Promise<void> {
    await this.#writing;
  }

  #put(known: Known): void {
    this.#known = known;
    this.#next = known;
    this.#writing ??= this.#write();
  }

  /** One at a time, and of those that came meanwhile the last. */
  async #write(): Promise<void> {
    for (let known = this.#next; known; known = this.#next) {
      this.#next = null;
      const fault = await replaceFile(knownPath(this.#folder), knownText(known)).then(
        () => null,
        (error: NodeJS.ErrnoException) => error.code ?? error.message,
      );
      if (fault !== null && fault !== this.#fault)
        this.#log(`${knownPath(this.#folder)} cannot be written (${fault}): until when all is known is not noted`);
      this.#fault = fault;
    }
    this.#writing = null;
  }
}

async function replaceFile(path: string, text: string): Promise<void> {
  const file = await open(`${path}.new`, 'w', 0o600);
  try {
    await file.writeFile(text);
    await file.datasync();
  } finally {
    await file.close();
  }
  await rename(`${path}.new`, path);
}
