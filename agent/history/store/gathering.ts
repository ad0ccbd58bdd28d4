/**
 * What comes within a short time is written as one group: each costs flushes, and looks at its files, that take as long as many writes
 * do. Nobody waits for what is little: who does says so.
 */
const GATHER_MS = 20;
const ENOUGH_BYTES = 1024 * 1024;

export class Gathering {
  #end: (() => void) | null = null;
  #waiting = 0;

  /** Resolves when a group is to be written, of which `bytes` are there. All that comes in one turn is in it. */
  async over(bytes: number): Promise<void> {
    if (this.#waiting === 0 && bytes < ENOUGH_BYTES) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, GATHER_MS);
        this.#end = () => {
          clearTimeout(timer);
          resolve();
        };
      });
      this.#end = null;
    }
    await new Promise((resolve) => setImmediate(resolve));
  }

  /** So much is there now. */
  came(bytes: number): void {
    if (bytes >= ENOUGH_BYTES) this.#end?.();
  }

  /** Until `settled` nothing is waited for. */
  async hurry<T>(settled: () => Promise<T>): Promise<T> {
    this.#waiting++;
    this.#end?.();
    try {
      return await settled();
    } finally {
      this.#waiting--;
    }
  }
}
