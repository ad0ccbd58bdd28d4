/** A word of the other side that is waited for, for a bounded time. */
import type { Machine } from '../machine.ts';

export class Expected {
  readonly #machine: Pick<Machine, 'timers'>;
  #settle: ((body: Uint8Array | Error) => void) | null = null;

  constructor(machine: Pick<Machine, 'timers'>) {
    this.#machine = machine;
  }

  /** Rejects when it has not come in time, or will not. */
  async wait(boundMs: number): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      const inTime = this.#machine.timers.after(boundMs, () => this.fail('no greeting in time'));
      this.#settle = (body) => {
        inTime();
        this.#settle = null;
        if (body instanceof Error) reject(body);
        else resolve(body);
      };
    });
  }

  come(body: Uint8Array): void {
    this.#settle?.(body);
  }

  fail(reason: string): void {
    this.#settle?.(new Error(reason));
  }
}
