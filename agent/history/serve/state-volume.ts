/** An earlier state as it is served: read-only. */
import { ALLOCATION_CONTEXT } from '../../nbd/protocol.ts';
import type { Extent, ServedVolume } from '../../nbd/volume.ts';
import type { State } from '../store/state.ts';

const EPERM = 1;
const EIO = 5;
const EINVAL = 22;

type Done = (errno: number) => void;

export class StateVolume implements ServedVolume {
  readonly name: string;
  readonly description: string;
  readonly size: number;
  readonly readOnly: boolean = true;
  readonly contexts: readonly string[] = [];
  log: (line: string) => void = () => {};
  readonly #state: State;
  readonly #index: number;
  #told = '';

  constructor(
    state: State,
    volume: { readonly index: number; readonly name: string; readonly bytes: number; readonly description: string },
  ) {
    this.#state = state;
    this.#index = volume.index;
    this.name = volume.name;
    this.size = volume.bytes;
    this.description = volume.description;
  }

  read(offset: number, into: Uint8Array, done: Done): void {
    try {
      this.#state.read(this.#index, offset, into);
    } catch (error) {
      const { message } = error as Error;
      if (message !== this.#told) this.log(`${this.name}, ${into.length} bytes from ${offset} on: ${message}`);
      this.#told = message;
      return done(EIO);
    }
    return done(0);
  }

  write(_offset: number, _length: number, _chunks: Uint8Array[], _fua: boolean, done: Done): void {
    done(EPERM);
  }

  zero(_offset: number, _length: number, _how: unknown, done: Done): void {
    done(EPERM);
  }

  trim(_offset: number, _length: number, _fua: boolean, done: Done): void {
    done(EPERM);
  }

  flush(done: Done): void {
    done(0);
  }

  status(
    context: string,
    _offset: number,
    length: number,
    done: (errno: number, extents: readonly Extent[]) => void,
  ): void {
    if (context === ALLOCATION_CONTEXT) done(0, [{ length, flags: 0 }]);
    else done(EINVAL, []);
  }
}
