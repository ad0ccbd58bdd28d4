/**
 * The virtual interface in memory, for tests and the simulator: the test is the application and the kernel in one.
 * `push` sends a frame as an application would; what the agent writes goes to `onWrite`, or is kept in `written`.
 *
 * It refuses what a TUN device refuses, and loses what a TUN device loses: a full queue drops the newest frame.
 */
import { assert } from '../agent/base/errors.ts';
import { FRAME_BYTES_MAX, VNET_HEADER_BYTES, type VnicDevice } from './device.ts';

const EBADF = 9;
const EBADFD = 77;
const QUEUE_FRAMES_DEFAULT = 1000;
/** What the kernel looks at before it takes a packet: room for the smallest IP header of its version. */
const IPV4_HEADER_BYTES = 20;
const IPV6_HEADER_BYTES = 40;

export interface MemoryDeviceOptions {
  readonly name?: string;
  /** How many pushed frames wait for the agent. */
  readonly queueFrames?: number;
  /** Receives a copy of every frame that the agent writes; without it they are kept in `written`. */
  readonly onWrite?: (frame: Uint8Array) => void;
}

export class MemoryDevice implements VnicDevice {
  readonly name: string;
  readonly descriptor = -1;
  /** Frames that the agent has handed to the kernel, oldest first, when nobody else takes them. */
  readonly written: Uint8Array[] = [];
  /** Set false to take the interface down: it reads nothing and refuses every frame. */
  up = true;
  /** Pushed frames that found the queue full or the interface down. */
  pushesDropped = 0;
  writesRefused = 0;
  readonly #queueFrames: number;
  readonly #onWrite: (frame: Uint8Array) => void;
  readonly #queue: Uint8Array[] = [];
  #failure = 0;

  constructor(options: MemoryDeviceOptions = {}) {
    this.name = options.name ?? 'memory0';
    this.#queueFrames = options.queueFrames ?? QUEUE_FRAMES_DEFAULT;
    this.#onWrite = options.onWrite ?? ((frame) => void this.written.push(frame));
  }

  /** Frames that wait to be read. */
  get depth(): number {
    return this.#queue.length;
  }

  /** Sends a copy of `frame` as an application; false when it is lost. */
  push(frame: Uint8Array): boolean {
    if (!this.up || this.#failure !== 0 || this.#queue.length >= this.#queueFrames) {
      this.pushesDropped++;
      return false;
    }
    this.#queue.push(frame.slice());
    return true;
  }

  read(into: Uint8Array): number {
    assert(into.length >= FRAME_BYTES_MAX, 'a frame is read into too small a buffer');
    if (this.#failure !== 0) return -this.#failure;
    const frame = this.#queue.shift();
    if (frame === undefined) return 0;
    into.set(frame);
    return frame.length;
  }

  write(frame: Uint8Array): boolean {
    if (!this.up || this.#failure !== 0 || !isPlausible(frame)) {
      this.writesRefused++;
      return false;
    }
    this.#onWrite(frame.slice());
    return true;
  }

  /** The interface is removed under the agent's hands: from now on `read` tells so. */
  vanish(): void {
    this.#failure = EBADFD;
  }

  close(): void {
    this.#failure = EBADF;
  }
}

/** The interfaces of two nodes, `a` and `b`. They are not joined: what lies between them is what is under test. */
export function memoryPair(options: Omit<MemoryDeviceOptions, 'name'> = {}): [a: MemoryDevice, b: MemoryDevice] {
  return [new MemoryDevice({ ...options, name: 'a' }), new MemoryDevice({ ...options, name: 'b' })];
}

function isPlausible(frame: Uint8Array): boolean {
  if (frame.length > FRAME_BYTES_MAX) return false;
  const version = (frame[VNET_HEADER_BYTES] ?? 0) >> 4;
  const packetBytes = frame.length - VNET_HEADER_BYTES;
  return version === 4 ? packetBytes >= IPV4_HEADER_BYTES : version === 6 && packetBytes >= IPV6_HEADER_BYTES;
}
