/** How far a long walk through a volume is, on a terminal, when it takes longer than a moment. */
import { setImmediate as breath } from 'node:timers/promises';
import { bytesText } from './mirror-text.ts';

const SHOW_AFTER_MS = 500;
const INTERVAL_MS = 100;
const BAR_CHARACTERS = 30;

export class Walk {
  readonly #what: string;
  readonly #total: number;
  readonly #isShown: boolean;
  readonly #startMs: number = performance.now();
  #nextMs: number;
  #wasShown = false;

  constructor(what: string, totalBytes: number, isQuiet: boolean) {
    this.#what = what;
    this.#total = totalBytes;
    this.#isShown = process.stderr.isTTY && !isQuiet;
    this.#nextMs = this.#startMs + SHOW_AFTER_MS;
  }

  /** Lets signals in now and then. */
  async at(doneBytes: number): Promise<void> {
    const nowMs = performance.now();
    if (nowMs < this.#nextMs) return;
    this.#nextMs = nowMs + INTERVAL_MS;
    if (this.#isShown) {
      this.#wasShown = true;
      const share = this.#total === 0 ? 1 : doneBytes / this.#total;
      const bar = '#'.repeat(Math.round(share * BAR_CHARACTERS)).padEnd(BAR_CHARACTERS, '.');
      const left = Math.round(((nowMs - this.#startMs) * (1 - share)) / Math.max(share, 0.001) / 1000);
      process.stderr.write(
        `\r\u001b[K${this.#what} [${bar}] ${bytesText(doneBytes)} of ${bytesText(this.#total)}, ${left} s left`,
      );
    }
    await breath();
  }

  end(): void {
    if (this.#wasShown) process.stderr.write('\r\u001b[K');
  }
}
