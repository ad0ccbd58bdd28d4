/** The log device of a simulated group: a third store that all sites see, slow at times, away at times, erased at times. */
import type { LogDevice, OpenLog } from '../../agent/mirror/machine.ts';
import { LOG_BYTES } from '../../agent/mirror/wire/layout.ts';
import type { World } from '../sim/world.ts';

export class SimLog {
  readonly content: Uint8Array = new Uint8Array(LOG_BYTES);
  /** Sites that cannot reach it, by their names. */
  readonly awayFrom = new Set<string>();
  delayMs = 0.5;
  /** Alters what a site reads; for bugs that are planted. */
  read: (site: string, offset: number, block: Uint8Array) => Uint8Array = (_, _o, block) => block;
  readonly #world: World;

  constructor(world: World) {
    this.#world = world;
  }

  heal(): void {
    this.awayFrom.clear();
    this.delayMs = 0.5;
  }

  /** As the site of this name sees it. `soon`: in a turn of its machine, if it is still there; what it asked for happens anyhow. */
  of(site: string, soon: (action: () => void) => void): LogDevice {
    const call = async <T>(action: () => T): Promise<T> =>
      new Promise((resolve, reject) => {
        this.#world.after(this.#world.within(0.1, 1) * this.delayMs, () => {
          if (this.awayFrom.has(site)) return soon(() => reject(new Error('it does not answer')));
          const value = action();
          return soon(() => resolve(value));
        });
      });
    const log: OpenLog = {
      read: async (offset, bytes) => call(() => this.read(site, offset, this.content.slice(offset, offset + bytes))),
      write: async (offset, block) =>
        call(() => {
          this.content.set(block, offset);
          return block.length;
        }),
      close: async () => {},
    };
    return { make: async () => {}, open: async () => call(() => log) };
  }
}
