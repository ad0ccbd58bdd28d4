/** Where the output goes: stdout, or a file of packets. */
import { closeSync, openSync, writeSync } from 'node:fs';
import { AgentError } from '../base/errors.ts';
import { beginningOf, outputError, outputKind } from '../platform/output-file.ts';
import type { InspectedVolume } from './inspected-volume.ts';
import { isPcapng, PCAPNG_BEGIN_BYTES } from './pcapng.ts';

/** Parts of this size on an average are written one by one: a copy would cost more. */
const LARGE_BYTES = 16_384;

/**
 * Collects what is written, for fewer and larger writes. `flush` waits until the reader of a pipe has taken it: whoever
 * ends the process before loses the rest.
 */
export class Sink {
  readonly #write: (bytes: Buffer) => Promise<void> | void;
  readonly close: () => void;
  #parts: Buffer[] = [];
  /** Text behind the last of the parts: many small pieces become one. */
  #text = '';
  #bytes = 0;

  private constructor(write: (bytes: Buffer) => Promise<void> | void, close: () => void) {
    this.#write = write;
    this.close = close;
  }

  static stdout(): Sink {
    return new Sink(
      async (bytes) => new Promise((resolve) => void process.stdout.write(bytes, () => resolve())),
      () => {},
    );
  }

  /** Refuses to write over anything but earlier packets, an empty file or a pipe. */
  static file(path: string, volume: InspectedVolume): Sink {
    const kind = outputKind('--pcap', path, [{ what: 'the volume', path: volume.device.path }]);
    const beginning = kind === 'file' ? beginningOf(path, PCAPNG_BEGIN_BYTES) : null;
    if (beginning && beginning.length > 0 && !isPcapng(beginning)) {
      throw new AgentError('usage', `--pcap ${path} exists and holds no packets: name another file, or remove it`);
    }
    try {
      const fd = openSync(path, 'w', 0o600);
      return new Sink(
        (bytes) => writeAll(fd, bytes, path),
        () => closeSync(fd),
      );
    } catch (caught) {
      throw outputError(path, caught);
    }
  }

  write(part: Buffer | string): void {
    this.#bytes += part.length;
    if (typeof part === 'string') {
      this.#text += part;
      return;
    }
    this.#closeText();
    const last = this.#parts.at(-1);
    // What lies behind each other in memory needs no copy to be one.
    if (last?.buffer === part.buffer && last.byteOffset + last.length === part.byteOffset) {
      this.#parts[this.#parts.length - 1] = Buffer.from(part.buffer, last.byteOffset, last.length + part.length);
    } else this.#parts.push(part);
  }

  #closeText(): void {
    if (this.#text !== '') this.#parts.push(Buffer.from(this.#text));
    this.#text = '';
  }

  /** Time to flush. */
  get isFull(): boolean {
    return this.#bytes >= 65_536;
  }

  async flush(): Promise<void> {
    if (this.#bytes === 0) return;
    this.#closeText();
    const parts = this.#bytes < this.#parts.length * LARGE_BYTES ? [Buffer.concat(this.#parts)] : this.#parts;
    this.#parts = [];
    this.#bytes = 0;
    for (const part of parts) await this.#write(part);
  }
}

function writeAll(fd: number, bytes: Buffer, path: string): void {
  try {
    for (let done = 0; done < bytes.length;) done += writeSync(fd, bytes, done);
  } catch (caught) {
    throw outputError(path, caught);
  }
}
