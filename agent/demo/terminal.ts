/** Colours, and a picture that is drawn over itself. Nothing of it is used where the output is not a terminal. */
import type { WriteStream } from 'node:tty';

const CODES = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, blue: 34, cyan: 36 } as const;
export type Paint = { readonly [Name in keyof typeof CODES]: (text: string) => string };

/** The functions that colour a text; the same ones that leave it alone when `enabled` is false. */
export function paint(enabled: boolean): Paint {
  const one = (code: number) => (text: string) => (enabled && text !== '' ? `\u001B[${code}m${text}\u001B[0m` : text);
  return Object.fromEntries(Object.entries(CODES).map(([name, code]) => [name, one(code)])) as Paint;
}

/** Colour is for terminals, and not for whoever set NO_COLOR to anything (no-color.org). */
export function wantsColour(isTerminal: boolean, environment: NodeJS.ProcessEnv): boolean {
  return isTerminal && !environment['NO_COLOR'] && environment['TERM'] !== 'dumb';
}

/** How many columns a text takes: escape sequences take none, and all else that is drawn here takes one. */
export function columnsOf(text: string): number {
  // oxlint-disable-next-line no-control-regex -- escape sequences begin with a control character
  return Array.from(text.replace(/\u001B\[[0-9;]*m/gu, '')).length;
}

export const padEnd = (text: string, columns: number): string =>
  text + ' '.repeat(Math.max(0, columns - columnsOf(text)));
export const padStart = (text: string, columns: number): string =>
  ' '.repeat(Math.max(0, columns - columnsOf(text))) + text;
export const centre = (text: string, columns: number): string =>
  padEnd(' '.repeat(Math.max(0, Math.floor((columns - columnsOf(text)) / 2))) + text, columns);

/** Draws a picture of some lines, each time in the place of the last one. */
export class Screen {
  readonly #stream: WriteStream;
  #height = 0;

  constructor(stream: WriteStream) {
    this.#stream = stream;
  }

  draw(lines: readonly string[]): void {
    const fitting = lines.slice(0, this.#stream.rows - 1);
    const back = this.#height === 0 ? '\u001B[?25l' : `\r\u001B[${this.#height}A`;
    this.#stream.write(`${back}${fitting.map((line) => `\u001B[2K${line}\n`).join('')}\u001B[J`);
    this.#height = fitting.length;
  }

  /** Leaves the last picture and gives the cursor back. Idempotent. */
  end(): void {
    if (this.#height > 0) this.#stream.write('\u001B[?25h');
    this.#height = 0;
  }
}
