/** The lab as benchmarks use it: two nodes, the device's own limit measured first, agents with default settings. */
import { setTimeout as delay } from 'node:timers/promises';
import { AgentError } from '../base/errors.ts';
import { Lab } from '../demo/lab.ts';
import type { Overrides } from '../demo/lab-settings.ts';
import { PathWatcher } from '../demo/watch.ts';
import { layRawVeth, storageRoundTrips } from './limits.ts';

const CHANGE_MS_MAX = 30_000;
/** Two nodes with 128 MiB rings: what a small volume of an array is. */
const VOLUME_BYTES = 256 * 1024 * 1024;

export class BenchLab {
  readonly lab: Lab;
  watcher: PathWatcher;
  /** Times of a raw round trip on the volume's device, in ms. */
  readonly floorMs: readonly number[];

  private constructor(lab: Lab, watcher: PathWatcher, floorMs: readonly number[]) {
    this.lab = lab;
    this.watcher = watcher;
    this.floorMs = floorMs;
  }

  /** Runs `work` in a lab and removes it. `volumeDirectory`: where the volume lies, in memory unless it is said. */
  static async with<T>(work: (bench: BenchLab) => Promise<T>, volumeDirectory?: string): Promise<T> {
    const bench = await BenchLab.open(volumeDirectory);
    try {
      return await work(bench);
    } finally {
      await bench.close();
    }
  }

  /** For callers that close it themselves. */
  static async open(volumeDirectory?: string): Promise<BenchLab> {
    const where = volumeDirectory === undefined ? {} : { volumeDirectory };
    const lab = await Lab.create({ nodes: ['a', 'b'], volumeBytes: VOLUME_BYTES, tag: 'bench', ...where });
    await layRawVeth(lab);
    const floorMs = storageRoundTrips(lab.volume.path);
    await lab.format();
    await Promise.all(lab.nodes.map(async (node) => lab.startAgent(node)));
    const watcher = await PathWatcher.start(lab);
    const bench = new BenchLab(lab, watcher, floorMs);
    await bench.#reach('network');
    return bench;
  }

  async #reach(path: 'network' | 'storage'): Promise<void> {
    if (await this.watcher.allOn(path, CHANGE_MS_MAX)) return;
    throw new AgentError('failed', `the agents did not reach path ${path} within ${CHANGE_MS_MAX / 1000} s`);
  }

  /** The agents anew, with other settings than the defaults. */
  async restart(overrides: Overrides): Promise<void> {
    await this.watcher.stop();
    await this.lab.heal();
    await Promise.all(this.lab.nodes.map(async (node) => this.lab.stopAgent(node)));
    await Promise.all(this.lab.nodes.map(async (node) => this.lab.startAgent(node, overrides)));
    this.watcher = await PathWatcher.start(this.lab);
    await this.#reach('network');
  }

  /** The network is cut (silently), both nodes on storage. */
  async onStorage(): Promise<void> {
    await this.lab.cut('silent');
    await this.#reach('storage');
  }

  /** The carrier of the first node is gone, both nodes on storage. */
  async onCarrierLost(): Promise<void> {
    await this.lab.cut('carrier', this.lab.nodes[0]);
    await this.#reach('storage');
  }

  /** The network is whole, both nodes on it. */
  async onNetwork(): Promise<void> {
    await this.lab.heal();
    await this.#reach('network');
    await delay(200);
  }

  async close(): Promise<void> {
    await this.watcher.stop();
    await this.lab.close();
  }
}
