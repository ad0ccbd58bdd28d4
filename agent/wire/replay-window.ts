/** Refuses a counter that came before; remembers the last 4,096, older ones are refused. */
export class ReplayWindow {
  static readonly SIZE = 4096;
  readonly #seen = new Uint8Array(ReplayWindow.SIZE);
  #highest = 0;

  /** True when `counter` is new; it is then remembered. */
  accept(counter: number): boolean {
    const size = ReplayWindow.SIZE;
    if (counter + size <= this.#highest) return false;
    if (counter > this.#highest) {
      const gone = Math.min(counter - this.#highest, size);
      for (let i = 1; i <= gone; i++) this.#seen[(this.#highest + i) % size] = 0;
      this.#highest = counter;
    }
    if (this.#seen[counter % size] === 1) return false;
    this.#seen[counter % size] = 1;
    return true;
  }
}
