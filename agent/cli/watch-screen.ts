/**
 * A terminal that is drawn over and over: on its other screen, so that what stood there before comes back, and each picture
 * in one write over the last one, so that nothing flickers.
 */
import type { WriteStream } from 'node:tty';

const ENTER = '\u001B[?1049h\u001B[?25l\u001B[2J';
const LEAVE = '\u001B[?25h\u001B[?1049l';
/** Terminals that know it show nothing between the two; others ignore it. */
const BEGIN = '\u001B[?2026h\u001B[H';
const END = '\u001B[J\u001B[?2026l';

export class WatchScreen {
  readonly #stream: WriteStream;
  #isOpen = false;

  constructor(stream: WriteStream) {
    this.#stream = stream;
  }

  get columns(): number {
    return this.#stream.columns || 80;
  }

  get rows(): number {
    return this.#stream.rows || 24;
  }

  draw(lines: readonly string[]): void {
    const enter = this.#isOpen ? '' : ENTER;
    this.#isOpen = true;
    this.#stream.write(
      `${enter}${BEGIN}${lines
        .slice(0, this.rows)
        .map((line) => `${line}\u001B[K`)
        .join('\r\n')}${END}`,
    );
  }

  onResize(act: () => void): void {
    this.#stream.on('resize', act);
  }

  /** Gives the terminal back as it was. Idempotent. */
  close(): void {
    if (this.#isOpen) this.#stream.write(LEAVE);
    this.#isOpen = false;
  }
}
