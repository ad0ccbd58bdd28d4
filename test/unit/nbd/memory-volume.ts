/** A volume in memory that shows what was asked of it, answers when it is told to, and knows what a power cut would leave. */
import { ALLOCATION_CONTEXT } from '../../../agent/nbd/protocol.ts';
import type { Extent, ServedVolume, ZeroHow } from '../../../agent/nbd/volume.ts';

type Done = (errno: number) => void;

export interface MemoryVolumeOptions {
  readonly name?: string;
  readonly readOnly?: boolean;
  readonly contexts?: readonly string[];
  /** What it says its size is, when that is not true. */
  readonly claimedSize?: number;
  /** Answers wait in `waiting` until somebody calls them. */
  readonly isSlow?: boolean;
}

export class MemoryVolume implements ServedVolume {
  readonly name: string;
  readonly description = 'bytes in memory';
  readonly size: number;
  readonly readOnly: boolean;
  readonly contexts: readonly string[];
  readonly bytes: Uint8Array;
  /** What a power cut would leave. */
  readonly stable: Uint8Array;
  /** What was asked, one line each. */
  readonly calls: string[] = [];
  readonly waiting: (() => void)[] = [];
  /** Answered to everything instead of doing it. */
  errno = 0;
  extents: Record<string, readonly Extent[]> = {};
  readonly #isSlow: boolean;

  constructor(size: number, options: MemoryVolumeOptions = {}) {
    this.size = options.claimedSize ?? size;
    this.bytes = new Uint8Array(size);
    this.stable = new Uint8Array(size);
    this.name = options.name ?? 'data';
    this.readOnly = options.readOnly ?? false;
    this.contexts = options.contexts ?? [];
    this.#isSlow = options.isSlow ?? false;
  }

  read(offset: number, into: Uint8Array, done: Done): void {
    this.calls.push(`read ${offset} ${into.length}`);
    this.#soon(done, () => into.set(this.bytes.subarray(offset, offset + into.length)));
  }

  write(offset: number, length: number, chunks: Uint8Array[], fua: boolean, done: Done): void {
    this.calls.push(`write ${offset} ${length}${fua ? ' fua' : ''}`);
    this.#soon(done, () => {
      let at = offset;
      for (const chunk of chunks) {
        this.bytes.set(chunk, at);
        at += chunk.length;
      }
      if (at !== offset + length) throw new Error(`a write of ${length} bytes has chunks of ${at - offset}`);
      if (fua) this.#settle(offset, length);
    });
  }

  zero(offset: number, length: number, how: ZeroHow, done: Done): void {
    const words = [how.fua && 'fua', how.mayPunch && 'punch', how.onlyIfFast && 'fast'].filter(Boolean);
    this.calls.push(['zero', offset, length, ...words].join(' '));
    this.#soon(done, () => {
      this.bytes.fill(0, offset, offset + length);
      if (how.fua) this.#settle(offset, length);
    });
  }

  trim(offset: number, length: number, fua: boolean, done: Done): void {
    this.calls.push(`trim ${offset} ${length}${fua ? ' fua' : ''}`);
    this.#soon(done, () => {});
  }

  flush(done: Done): void {
    this.calls.push('flush');
    this.#soon(done, () => this.#settle(0, this.size));
  }

  status(
    context: string,
    offset: number,
    length: number,
    done: (errno: number, extents: readonly Extent[]) => void,
  ): void {
    this.calls.push(`status ${context} ${offset} ${length}`);
    const plain = context === ALLOCATION_CONTEXT ? [{ length, flags: 0 }] : [];
    this.#soon(
      (errno) => done(errno, this.extents[context] ?? plain),
      () => {},
    );
  }

  /** The power is cut: what was not on stable storage is gone. */
  cutPower(): void {
    this.bytes.set(this.stable);
  }

  #settle(offset: number, length: number): void {
    this.stable.set(this.bytes.subarray(offset, offset + length), offset);
  }

  #soon(done: Done, action: () => void): void {
    const answer = () => {
      if (this.errno === 0) action();
      done(this.errno);
    };
    if (this.#isSlow) this.waiting.push(answer);
    else answer();
  }
}
