/**
 * Who reads a receive volume sees one cut, never a mix of two: while a cut is brought in reads wait, and it begins when none
 * is under way. From the moment that it is wanted new reads wait, so no reader holds it up for ever; all that waited are
 * let in before the next one, so neither does it hold up a reader.
 */
type Action = () => void;

export class CutGate {
  #reads = 0;
  #isShut = false;
  #begin: Action | null = null;
  #waiting: Action[] = [];

  /** Reads at one cut: `read` is called now or later, and tells when it is done. */
  read(read: (done: Action) => void): void {
    if (this.#isShut) {
      this.#waiting.push(() => this.read(read));
      return;
    }
    this.#reads++;
    let isDone = false;
    read(() => {
      if (isDone) return;
      isDone = true;
      this.#reads--;
      this.#beginIfQuiet();
    });
  }

  get isShut(): boolean {
    return this.#isShut;
  }

  /** Calls `begin` when nobody reads; from now on nobody begins to, until `open`. Once at a time. */
  shut(begin: Action): void {
    this.#isShut = true;
    this.#begin = begin;
    this.#beginIfQuiet();
  }

  open(): void {
    this.#isShut = false;
    for (const read of this.#waiting.splice(0)) read();
  }

  #beginIfQuiet(): void {
    if (this.#reads > 0) return;
    const begin = this.#begin;
    this.#begin = null;
    begin?.();
  }
}
