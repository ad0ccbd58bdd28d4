/** One volume of a monitor's group, as the NBD server serves it. */
import { ERRNO } from '../../platform/native.ts';
import { ALLOCATION_CONTEXT } from '../../nbd/protocol.ts';
import type { Extent, ServedVolume, ZeroHow } from '../../nbd/volume.ts';
import { ENTRY_KIND } from '../wire/entry.ts';
import type { Done, Monitor } from './monitor.ts';
import type { StagedReader } from './staged-reader.ts';

export interface MonitorVolumeFacts {
  /** In the group. */
  readonly index: number;
  readonly name: string;
  readonly description: string;
  /** Bytes. */
  readonly size: number;
}

export class MonitorVolume implements ServedVolume {
  readonly name: string;
  readonly description: string;
  readonly size: number;
  readonly contexts: readonly string[] = [];
  readonly #index: number;
  readonly #monitor: Monitor;
  readonly #reader: StagedReader;

  constructor(monitor: Monitor, reader: StagedReader, facts: MonitorVolumeFacts) {
    this.#monitor = monitor;
    this.#reader = reader;
    this.#index = facts.index;
    this.name = facts.name;
    this.description = facts.description;
    this.size = facts.size;
  }

  /** Of a source that is the past. */
  get readOnly(): boolean {
    return this.#monitor.isRefusing;
  }

  read(offset: number, into: Uint8Array, done: Done): void {
    this.#reader.read(offset, into, done);
  }

  write(offset: number, length: number, chunks: Uint8Array[], fua: boolean, done: Done): void {
    this.#monitor.submit({ kind: ENTRY_KIND.write, volume: this.#index, offset, length, chunks, fua }, done);
  }

  /** Always quick: the journal takes a header, whatever the length. */
  zero(offset: number, length: number, { fua, mayPunch }: ZeroHow, done: Done): void {
    const kind = mayPunch ? ENTRY_KIND.trim : ENTRY_KIND.zero;
    this.#monitor.submit({ kind, volume: this.#index, offset, length, fua }, done);
  }

  trim(offset: number, length: number, fua: boolean, done: Done): void {
    this.#monitor.submit({ kind: ENTRY_KIND.trim, volume: this.#index, offset, length, fua }, done);
  }

  flush(done: Done): void {
    this.#monitor.flush(done);
  }

  status(
    context: string,
    offset: number,
    length: number,
    done: (errno: number, extents: readonly Extent[]) => void,
  ): void {
    if (context === ALLOCATION_CONTEXT) this.#reader.allocation(offset, length, (extents) => done(0, extents));
    else done(ERRNO.EINVAL, []);
  }
}
