/**
 * The send volume as the flush thread sees it with `copy: mirror`: what it writes goes to the mirror's monitor in the main
 * thread, whose journal has it when the write is answered. Reads go to the volume itself, which may be a little behind.
 */
import type { Disk } from '../volume/disk.ts';
import type { CopyState } from '../queue/copy-state.ts';

/** What the flush thread asks of the main thread. `from` lies in shared memory, and stays as it is until it is answered. */
export interface MirrorWrite {
  readonly id: number;
  readonly offset: number;
  readonly from: Uint8Array;
}

const EIO = -5;
/** Never without a timeout: main may be gone. */
const WAIT_MS = 50;

export class MirroredDisk implements Disk {
  readonly #disk: Disk;
  readonly #state: CopyState;
  readonly #send: (write: MirrorWrite) => void;
  readonly #isStopping: () => boolean;

  constructor(disk: Disk, state: CopyState, send: (write: MirrorWrite) => void, isStopping: () => boolean) {
    this.#disk = disk;
    this.#state = state;
    this.#send = send;
    this.#isStopping = isStopping;
  }

  get bytes(): number {
    return this.#disk.bytes;
  }

  read(offset: number, into: Uint8Array): number {
    return this.#disk.read(offset, into);
  }

  /** Hangs for as long as the mirror does, as a volume would; at the end for a second at most. */
  write(offset: number, from: Uint8Array): number {
    const id = this.#state.askWrite();
    this.#send({ id, offset, from });
    for (let waits = 0; ; waits++) {
      const result = this.#state.awaitWrite(id, WAIT_MS);
      if (result !== null) return result === 0 ? from.length : result;
      if (this.#isStopping() && waits * WAIT_MS > 1000) return EIO;
    }
  }
}
