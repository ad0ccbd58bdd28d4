/**
 * Takes frames from the interface to the core. One that its lane has no room for waits here, and keeps the interface from
 * being read; what lay in the interface for too long is thrown away.
 */
import { FRAME_BYTES_MAX, type VnicDevice } from '../../vnic/device.ts';
import type { NodeCore } from '../core/node-core.ts';
import { alignedMemory } from '../platform/memory.ts';

const FRAMES_PER_ROUND = 64;
/** More than any interface's queue holds. */
const STALE_FRAMES_MAX = 100_000;

export type FrameCore = Pick<NodeCore, 'frame' | 'place' | 'entry' | 'standstillMs' | 'countStale'>;

export class FrameIntake {
  readonly #device: Pick<VnicDevice, 'name' | 'read'>;
  readonly #core: FrameCore;
  readonly #maxAgeMs: number;
  readonly #frame = new Uint8Array(alignedMemory(FRAME_BYTES_MAX));
  #waiting: Uint8Array | null = null;

  constructor(device: Pick<VnicDevice, 'name' | 'read'>, core: FrameCore, maxAgeMs: number) {
    this.#device = device;
    this.#core = core;
    this.#maxAgeMs = maxAgeMs;
  }

  /** A frame waits for room in its lane. */
  get isWaiting(): boolean {
    return this.#waiting !== null;
  }

  /**
   * [AGE1] A round begins. After a standstill (SIGSTOP, a starved host) the interface's queue may hold packets of any age,
   * and nothing tells which: those that were there are thrown away. After a short one they are sent, as old as it lasted.
   */
  beginRound(nowMs: number): void {
    const standstillMs = this.#core.standstillMs(nowMs);
    this.#core.entry.roundBegins(standstillMs, nowMs);
    if (standstillMs <= this.#maxAgeMs) return;
    let dropped = this.#waiting === null ? 0 : 1;
    this.#waiting = null;
    for (let i = 0; i < STALE_FRAMES_MAX && this.#device.read(this.#frame) > 0; i++) dropped++;
    this.#core.entry.queueEmpty();
    this.#core.countStale(dropped);
  }

  /** `isReady`: the interface has something to read. Answers true when there may be more. */
  take(isReady: boolean, nowMs: number): boolean {
    if (this.#waiting !== null) {
      if (!this.#core.frame(this.#waiting, nowMs)) return false;
      this.#waiting = null;
    } else if (!isReady) {
      this.#core.entry.queueEmpty();
      return false;
    }
    for (let i = 0; i < FRAMES_PER_ROUND; i++) {
      const into = this.#core.place(FRAME_BYTES_MAX) ?? this.#frame;
      const length = this.#device.read(into);
      if (length === 0) {
        this.#core.entry.queueEmpty();
        return false;
      }
      if (length < 0) throw new Error(`the interface ${this.#device.name} is gone`);
      const frame = into.subarray(0, length);
      if (!this.#core.frame(frame, nowMs)) {
        this.#waiting = frame;
        return false;
      }
    }
    return true;
  }

  /** Something else enters a lane: a frame that waits may lie where its lane keeps the next one, which would overwrite it. */
  keepWaiting(): void {
    const waiting = this.#waiting;
    if (waiting === null || waiting.buffer === this.#frame.buffer) return;
    this.#frame.set(waiting);
    this.#waiting = this.#frame.subarray(0, waiting.length);
  }
}
