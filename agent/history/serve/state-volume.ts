/** An earlier state as it is served: read-only, or with what its clients write in an overlay. */
import { ALLOCATION_CONTEXT, NBD_ERROR } from '../../nbd/protocol.ts';
import type { Extent, ServedVolume, ZeroHow } from '../../nbd/volume.ts';
import type { State } from '../store/state.ts';
import { Overlay, type OverlayRoom } from './overlay.ts';

const { EPERM, EIO, EINVAL, ENOSPC, ENOTSUP } = NBD_ERROR;

type Done = (errno: number) => void;

export class StateVolume implements ServedVolume {
  readonly name: string;
  readonly description: string;
  readonly size: number;
  readonly contexts: readonly string[] = [];
  log: (line: string) => void = () => {};
  readonly #state: State;
  readonly #index: number;
  readonly #overlay: Overlay | null;
  readonly #room: OverlayRoom | null;
  #told = '';

  /** Without room for it there is no overlay. */
  constructor(
    state: State,
    volume: { readonly index: number; readonly name: string; readonly bytes: number; readonly description: string },
    room: OverlayRoom | null = null,
  ) {
    this.#state = state;
    this.#index = volume.index;
    this.name = volume.name;
    this.size = volume.bytes;
    this.description = volume.description;
    this.#room = room;
    const under = (offset: number, into: Uint8Array): void => this.#state.read(this.#index, offset, into);
    this.#overlay = room && new Overlay(volume.bytes, under, room);
  }

  get readOnly(): boolean {
    return this.#overlay === null;
  }

  read(offset: number, into: Uint8Array, done: Done): void {
    this.#try(offset, into.length, done, () => {
      if (this.#overlay) this.#overlay.read(offset, into);
      else this.#state.read(this.#index, offset, into);
      return true;
    });
  }

  write(offset: number, length: number, chunks: Uint8Array[], _fua: boolean, done: Done): void {
    const overlay = this.#overlay;
    if (!overlay) return done(EPERM);
    return this.#try(offset, length, done, () => overlay.write(offset, chunks));
  }

  zero(offset: number, length: number, { onlyIfFast }: ZeroHow, done: Done): void {
    const overlay = this.#overlay;
    if (!overlay) return done(EPERM);
    if (onlyIfFast) return done(ENOTSUP);
    return this.#try(offset, length, done, () => overlay.zero(offset, length));
  }

  /** A hint, which is not taken: it would need room. */
  trim(_offset: number, _length: number, _fua: boolean, done: Done): void {
    done(this.#overlay ? 0 : EPERM);
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

  /** `action` answers whether there was room. */
  #try(offset: number, length: number, done: Done, action: () => boolean): void {
    try {
      if (action()) return done(0);
    } catch (error) {
      this.#tell(`${length} bytes from ${offset} on: ${(error as Error).message}`);
      return done(EIO);
    }
    this.#tell(`the overlay of ${this.#room?.bytes} bytes is full: serve the state with a larger one`);
    return done(ENOSPC);
  }

  /** The same once. */
  #tell(what: string): void {
    if (what !== this.#told) this.log(`${this.name}: ${what}`);
    this.#told = what;
  }
}
