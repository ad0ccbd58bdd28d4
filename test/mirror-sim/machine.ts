/**
 * A machine on which one incarnation of a site's process runs: its time is the world's, its threads are actors, its files are
 * simulated disks. When it ends, nothing of it ever happens again.
 */
import type { Machine, Network } from '../../agent/mirror/machine.ts';
import { encodeSuper, type JournalSuper } from '../../agent/mirror/store/superblock.ts';
import type { VolumeDevice } from '../../agent/mirror/threads/volume-loop.ts';
import type { World } from '../sim/world.ts';
import { EIO, PowerCut, SimFile, type SimDisk } from './disk.ts';
import type { SimLog } from './log-device.ts';
import { SimThreads } from './threads.ts';

const ENOENT = 2;

export interface MachineParts {
  /** Of the site. */
  readonly name: string;
  readonly world: World;
  readonly disks: ReadonlyMap<string, SimDisk>;
  /** Files that are put whole. */
  readonly small: Map<string, Uint8Array>;
  readonly network: (machine: SimMachine) => Network;
  readonly log: SimLog;
  /** Wall clock beside the world's time, ns. */
  readonly wallMs: () => number;
  /** The way of this machine to a file: a bug may be planted there. */
  readonly device: (device: VolumeDevice, path: string) => VolumeDevice;
  /** What is made of the digests of a scan. */
  readonly digests: (digests: Uint8Array) => Uint8Array;
  /** Power was lost in the middle of a call. */
  readonly powerCut: () => void;
}

export class SimMachine implements Machine {
  readonly clock;
  readonly timers;
  readonly files;
  readonly threads: SimThreads;
  readonly network: Network;
  readonly random;
  readonly parts: MachineParts;
  #isAlive = true;
  #isFrozen = false;
  /** What would have happened while it was frozen. */
  #held: (() => void)[] = [];

  constructor(parts: MachineParts) {
    this.parts = parts;
    const { world, name, log } = parts;
    this.clock = { monotonicMs: () => world.nowMs, wallMs: parts.wallMs };
    this.timers = {
      after: (ms: number, action: () => void) => this.after(ms, action),
      idly: (ms: number, action: () => void) => this.after(ms, action),
      every: (ms: number, action: () => void) => this.#every(ms, action),
      soon: (action: () => void) => void this.after(0, action),
    };
    this.files = {
      isUnmade: (path: string) => parts.disks.get(path)?.isBlank ?? true,
      make: async (path: string, superblock: JournalSuper) => this.disk(path).put(encodeSuper(superblock)),
      open: (path: string) => this.open(path),
      reader: (path: string) => this.#reader(path),
      put: (path: string, bytes: Uint8Array) => void parts.small.set(path, bytes.slice()),
      take: (path: string) => {
        const bytes = parts.small.get(path) ?? null;
        parts.small.delete(path);
        return bytes;
      },
      lock: () => ({ close: () => {} }),
      log: () => log.of(name, (action) => this.run(action)),
    };
    this.threads = new SimThreads(this);
    this.network = parts.network(this);
    this.random = (bytes: number) => {
      const random = new Uint8Array(bytes);
      world.prng.fill(random);
      return random;
    };
  }

  /** Of the site. */
  get name(): string {
    return this.parts.name;
  }

  get world(): World {
    return this.parts.world;
  }

  get isAlive(): boolean {
    return this.#isAlive;
  }

  get isFrozen(): boolean {
    return this.#isFrozen;
  }

  end(): void {
    this.#isAlive = false;
    this.#held = [];
    this.threads.end();
  }

  freeze(): void {
    this.#isFrozen = true;
  }

  thaw(): void {
    if (!this.#isFrozen) return;
    this.#isFrozen = false;
    for (const action of this.#held.splice(0)) this.run(action);
    this.threads.wake();
  }

  /** Does it in a turn of this machine's main thread, now or when it is thawed; never when it is gone. */
  run(action: () => void): void {
    if (!this.#isAlive) return;
    if (this.#isFrozen) this.#held.push(action);
    else this.guard(action);
  }

  guard(action: () => void): void {
    try {
      action();
    } catch (error) {
      if (!(error instanceof PowerCut)) throw error;
      this.parts.powerCut();
    }
  }

  /** Not when it is gone by then. */
  after(ms: number, action: () => void): () => void {
    let isOff = false;
    this.parts.world.after(ms, () =>
      this.run(() => {
        if (!isOff) action();
      }),
    );
    return () => (isOff = true);
  }

  #every(ms: number, action: () => void): () => void {
    let isOff = false;
    const next = (): void => {
      this.parts.world.after(ms, () => {
        if (!this.#isAlive || isOff) return;
        // A timer whose turn never came does not make up for all that it missed.
        if (!this.#isFrozen) this.guard(action);
        next();
      });
    };
    next();
    return () => (isOff = true);
  }

  disk(path: string): SimDisk {
    const disk = this.parts.disks.get(path);
    if (!disk) throw new Error(`no disk ${path}`);
    return disk;
  }

  open(path: string): VolumeDevice | number {
    const disk = this.parts.disks.get(path);
    return disk ? this.parts.device(new SimFile(disk), path) : -ENOENT;
  }

  #reader(path: string) {
    const { world } = this.parts;
    const disk = this.disk(path);
    const read = (offset: number, into: Uint8Array, done: (errno: number) => void): void => {
      void this.after(disk.hangMs + world.within(0.02, 0.2), () => {
        const got = disk.read(offset, into);
        done(got === into.length ? 0 : got < 0 ? -got : EIO);
      });
    };
    return { bytes: disk.bytes, read, close: () => {} };
  }
}
