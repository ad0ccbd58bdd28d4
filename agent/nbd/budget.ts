/** Bytes that may be under way at once, shared by all connections of a server: who finds no room waits in a line. */
import { assert } from '../base/errors.ts';

export class Budget {
  readonly limit: number;
  #used = 0;
  readonly #line: { readonly bytes: number; readonly wake: () => void }[] = [];

  /** `limit`: bytes; no single request may be larger. */
  constructor(limit: number) {
    this.limit = limit;
  }

  get used(): number {
    return this.#used;
  }

  /** How many wait for room. */
  get waiting(): number {
    return this.#line.length;
  }

  /** Takes the room, or answers false and takes nothing: whoever was there before goes first, however small this is. */
  take(bytes: number): boolean {
    assert(bytes <= this.limit, 'a request larger than all the room there is');
    if (this.#line.length > 0 || this.#used + bytes > this.limit) return false;
    this.#used += bytes;
    return true;
  }

  /** Calls `wake` once, when the room has been taken for it. Answers how to leave the line. */
  wait(bytes: number, wake: () => void): () => void {
    const place = { bytes, wake };
    this.#line.push(place);
    return () => {
      const index = this.#line.indexOf(place);
      if (index < 0) return;
      this.#line.splice(index, 1);
      this.#serve();
    };
  }

  give(bytes: number): void {
    this.#used -= bytes;
    assert(this.#used >= 0, 'more room given back than was taken');
    this.#serve();
  }

  #serve(): void {
    for (;;) {
      const next = this.#line[0];
      if (!next || this.#used + next.bytes > this.limit) return;
      this.#line.shift();
      this.#used += next.bytes;
      next.wake();
    }
  }
}
