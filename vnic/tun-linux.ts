/**
 * The virtual interface as a TUN device of Linux, with a virtio-net header before each packet, so that the kernel hands
 * over and takes back super-packets of 64 KiB whatever the MTU is.
 *
 * `setUpInterface` (main thread) makes the persistent interface; `attachTun` (the switch thread) opens it to move frames.
 * Two calls, because the interface outlives the thread: a switch that is restarted finds address and routes in place.
 * Nothing is allocated for a frame, and neither `read` nor `write` blocks.
 */
import { AgentError, assert } from '../agent/base/errors.ts';
import { ERRNO, sys } from '../agent/platform/native.ts';
import { FRAME_BYTES_MAX, type VnicDevice } from './device.ts';
import { type InterfaceOptions, setUpInterface } from './interface-linux.ts';
import { isPersistent, openTunDescriptor, setFrameForm } from './tun-descriptor.ts';

export class TunDevice implements VnicDevice {
  readonly name: string;
  /** TUN_F_* bits the kernel took: what kinds of super-packets can be read. */
  readonly offloads: number;
  /** Frames the kernel did not take; each is lost. */
  writesRefused = 0;
  /** Why it refused the last one: a positive errno, 0 before the first. */
  lastRefusal = 0;
  #fd: number;

  /** Takes over the descriptor. */
  constructor(name: string, fd: number, offloads: number) {
    this.name = name;
    this.#fd = fd;
    this.offloads = offloads;
  }

  get descriptor(): number {
    return this.#fd;
  }

  read(into: Uint8Array): number {
    // The kernel cuts a packet that does not fit, without a word; a cut packet would travel on as an altered one.
    assert(into.length >= FRAME_BYTES_MAX, 'a frame is read into too small a buffer');
    const length = sys.read(this.#fd, into, into.length);
    return length === -ERRNO.EAGAIN || length === -ERRNO.EINTR ? 0 : length;
  }

  write(frame: Uint8Array): boolean {
    const result = sys.write(this.#fd, frame, frame.length);
    if (result === frame.length) return true;
    this.writesRefused++;
    this.lastRefusal = Math.max(0, -result);
    return false;
  }

  close(): void {
    if (this.#fd < 0) return;
    sys.close(this.#fd);
    this.#fd = -1;
  }
}

/**
 * Opens an interface that `setUpInterface` has made. Refuses one that is not persistent: it has just come into being by
 * this very call, without address or routes, because somebody removed the right one.
 */
export function attachTun(name: string): TunDevice {
  const fd = openTunDescriptor(name);
  try {
    if (!isPersistent(fd, name)) {
      throw new AgentError(
        'vnic',
        `the interface ${name} is gone: somebody removed it; restart the agent to make it again`,
      );
    }
    return new TunDevice(name, fd, setFrameForm(fd, name));
  } catch (error) {
    sys.close(fd);
    throw error;
  }
}

/** Sets up the interface and opens it, for callers with one thread. */
export function openTun(options: InterfaceOptions): TunDevice {
  setUpInterface(options);
  return attachTun(options.name);
}
