/** Volumes with the habits of real storage, around a well-behaved one. */
import { Prng } from '../../agent/base/prng.ts';
import type { Extent, ServedVolume, ZeroHow } from '../../agent/nbd/volume.ts';

type Done = (errno: number) => void;

/** Answers late and in any order, some of it from within one callback. Overlapping requests keep their order. */
export class OutOfOrderVolume implements ServedVolume {
  readonly name: string;
  readonly description: string;
  readonly size: number;
  readonly readOnly: boolean;
  readonly contexts: readonly string[];
  mostAtOnce = 0;
  readonly #under: ServedVolume;
  readonly #random = new Prng(1);
  #answers: (() => void)[] = [];

  constructor(under: ServedVolume) {
    this.#under = under;
    ({
      name: this.name,
      description: this.description,
      size: this.size,
      readOnly: this.readOnly,
      contexts: this.contexts,
    } = under);
  }

  read(offset: number, into: Uint8Array, done: Done): void {
    this.#under.read(offset, into, this.#late(done));
  }

  write(offset: number, length: number, chunks: Uint8Array[], fua: boolean, done: Done): void {
    this.#under.write(offset, length, chunks, fua, this.#late(done));
  }

  zero(offset: number, length: number, how: ZeroHow, done: Done): void {
    this.#under.zero(offset, length, how, this.#late(done));
  }

  trim(offset: number, length: number, fua: boolean, done: Done): void {
    this.#under.trim(offset, length, fua, this.#late(done));
  }

  flush(done: Done): void {
    this.#under.flush(this.#late(done));
  }

  status(
    context: string,
    offset: number,
    length: number,
    done: (errno: number, extents: readonly Extent[]) => void,
  ): void {
    this.#under.status(context, offset, length, done);
  }

  #late(done: Done): Done {
    return (errno) => {
      if (this.#answers.length === 0) setTimeout(() => this.#answerSome(), this.#random.below(3));
      this.#answers.push(() => done(errno));
      this.mostAtOnce = Math.max(this.mostAtOnce, this.#answers.length);
    };
  }

  #answerSome(): void {
    const answers = this.#answers;
    this.#answers = [];
    for (let left = 1 + this.#random.below(answers.length); left > 0; left--) {
      const [answer] = answers.splice(this.#random.below(answers.length), 1);
      answer?.();
    }
    if (answers.length > 0 && this.#answers.length === 0) setTimeout(() => this.#answerSome(), this.#random.below(3));
    this.#answers.push(...answers);
  }
}
