/**
 * Where log lines go: stderr, whatever has become of it. A full disk, or a pipe whose reader has gone, costs lines and
 * never the agent; what was lost is counted, and told after the first line that can be written again. Where a part of a
 * lost line was written, that one begins on a line of its own.
 */
import { writeSync } from 'node:fs';
import { Writable } from 'node:stream';

const STDERR = 2;

export class LogSink extends Writable {
  #lost = 0;
  /** Of the last line only a part went out, and no end of line. */
  #isCut = false;
  readonly #recovered: (lost: number) => void;

  /** `recovered`: told after the first line that went out again, with the number of lines that did not. */
  constructor(recovered: (lost: number) => void) {
    super({ decodeStrings: true });
    this.#recovered = recovered;
    // What anybody else writes to stderr, Node's own warnings among them, must not end the process either.
    process.stderr.on('error', () => {});
  }

  override _write(line: Buffer, _encoding: BufferEncoding, done: () => void): void {
    if (!this.#writeLine(line)) this.#lost++;
    else if (this.#lost > 0) {
      const lost = this.#lost;
      this.#lost = 0;
      this.#recovered(lost);
    }
    done();
  }

  #writeLine(line: Buffer): boolean {
    try {
      if (this.#isCut) writeSync(STDERR, '\n');
      this.#isCut = false;
      for (let from = 0; from < line.length; this.#isCut = from < line.length) from += writeSync(STDERR, line, from);
      return true;
    } catch {
      return false;
    }
  }
}
