/**
 * The cluster's keys in shared memory: the first seals, all open. The main thread puts them there and may exchange them
 * while the agent runs; the other threads see by the version that they are others.
 *
 * Always true: a thread reads one list whole, never parts of two.
 */
import { assert } from '../base/errors.ts';

/** As many as a key file may hold. */
export const KEYS_MAX = 8;
export const KEY_BYTES_MAX = 1024;

const VERSION = 0;
const COUNT = 1;
const LENGTHS = 2;
const WORDS = LENGTHS + KEYS_MAX;

export const sharedKeysBytes: number = WORDS * 4 + KEYS_MAX * KEY_BYTES_MAX;

export class SharedKeys {
  readonly #words: Int32Array;
  readonly #bytes: Uint8Array;

  constructor(buffer: SharedArrayBuffer) {
    this.#words = new Int32Array(buffer, 0, WORDS);
    this.#bytes = new Uint8Array(buffer, WORDS * 4);
  }

  /** Changes with every exchange; odd while one is under way. */
  get version(): number {
    return Atomics.load(this.#words, VERSION);
  }

  /** The main thread's. */
  put(keys: readonly Uint8Array[]): void {
    assert(keys.length <= KEYS_MAX, 'more keys than a key file may hold');
    Atomics.add(this.#words, VERSION, 1);
    this.#words[COUNT] = keys.length;
    keys.forEach((key, i) => {
      this.#words[LENGTHS + i] = key.length;
      this.#bytes.set(key, i * KEY_BYTES_MAX);
    });
    Atomics.add(this.#words, VERSION, 1);
    Atomics.notify(this.#words, VERSION);
  }

  read(): readonly Uint8Array[] {
    for (;;) {
      const version = this.version;
      const keys = Array.from({ length: this.#words[COUNT] ?? 0 }, (_, i) => {
        const start = i * KEY_BYTES_MAX;
        return this.#bytes.slice(start, start + (this.#words[LENGTHS + i] ?? 0));
      });
      if (version % 2 === 0 && version === this.version) return keys;
      // The exchange takes microseconds, unless its thread was put off in its midst.
      Atomics.wait(this.#words, VERSION, version, 1);
    }
  }
}
