/**
 * A receive volume as it is served: read-only, at its cut. Reads go over the pool of threads, so that a disk that hangs
 * stops no link. Before the volume has ever been a whole copy there is nothing to show.
 */
import { AgentError } from '../../base/errors.ts';
import { ALLOCATION_CONTEXT } from '../../nbd/protocol.ts';
import type { Extent, ServedVolume } from '../../nbd/volume.ts';
import type { FileReader } from '../machine.ts';
import { systemMachine } from '../system-machine.ts';
import type { CutGate } from './cut-gate.ts';

const EPERM = 1;
const EIO = 5;
const EINVAL = 22;

type Done = (errno: number) => void;

export interface ReceiveVolumeOptions {
  readonly name: string;
  readonly path: string;
  readonly bytes: number;
  readonly gate: CutGate;
  /** Whether the volume shows a cut. */
  readonly hasCut: () => boolean;
}

export class ReceiveVolume implements ServedVolume {
  readonly name: string;
  readonly description: string;
  readonly size: number;
  readonly readOnly: boolean = true;
  readonly contexts: readonly string[] = [];
  readonly #options: ReceiveVolumeOptions;
  readonly #reader: FileReader;
  #isClosed = false;

  private constructor(options: ReceiveVolumeOptions, reader: FileReader) {
    this.name = options.name;
    this.description = `${options.path}, at its cut`;
    this.size = options.bytes;
    this.#options = options;
    this.#reader = reader;
  }

  /** Throws an AgentError that says what to do. */
  static open(options: ReceiveVolumeOptions, { files } = systemMachine): ReceiveVolume {
    try {
      return new ReceiveVolume(options, files.reader(options.path));
    } catch (error) {
      const { message } = error as Error;
      throw new AgentError('volume', `volume ${options.path} cannot be read (${message}): check the path`, {
        cause: error,
      });
    }
  }

  /** When nobody reads it any more. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#reader.close();
  }

  read(offset: number, into: Uint8Array, done: Done): void {
    const { gate, hasCut } = this.#options;
    gate.read((finished) => {
      const end = (errno: number): void => {
        finished();
        done(errno);
      };
      // Asked behind the gate: the first cut may have come meanwhile.
      if (!hasCut() || this.#isClosed) return end(EIO);
      return this.#reader.read(offset, into, end);
    });
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

  /** At the cut, as reads are. */
  status(
    context: string,
    offset: number,
    length: number,
    done: (errno: number, extents: readonly Extent[]) => void,
  ): void {
    if (context !== ALLOCATION_CONTEXT) return done(EINVAL, []);
    const { gate, hasCut } = this.#options;
    return gate.read((finished) => {
      const end = (extents: readonly Extent[]): void => {
        finished();
        done(0, extents);
      };
      const { allocation } = this.#reader;
      if (!allocation || !hasCut() || this.#isClosed) return end([{ length, flags: 0 }]);
      return this.#reader.allocation?.(offset, length, end);
    });
  }
}
