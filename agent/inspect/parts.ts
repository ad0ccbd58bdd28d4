/** Several rings shown by a thread each, and put together here by time, as `merged` does it with rings of this thread. */
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { AgentError } from '../base/errors.ts';
import { PLACE_KIND, PLACE_WORDS, type PartData, type Piece } from './part.ts';

/** Below, threads take longer to start than they save. */
const WORTH_BYTES = 256 * 1024 * 1024;
const THREADS_MAX = 16;

/** A place, shown. The bytes are JSON, of a batch with what stands between two of them before it. */
export interface ShownPlace {
  readonly kind: 'batch' | 'damaged';
  readonly json: Buffer;
  readonly records: number;
}

export const areThreadsWorth = (rings: number, slotBytes: number): boolean =>
  rings > 1 && rings <= THREADS_MAX && rings * slotBytes >= WORTH_BYTES && availableParallelism() > 1;

export class RingPart {
  readonly #worker: Worker;
  readonly #used: Int32Array;
  readonly #pieces: Piece[] = [];
  #problem: string | null = null;
  #hasEnded = false;
  /** Of the one who waits. */
  #wake: () => void = () => {};
  #place = 0;
  #byte = 0;
  /** Of the ring, as far as is known here. */
  readBytes = 0;
  /** Of the place that is next, or of the last one before it that had one. */
  timeUs = 0;
  isOver = false;

  constructor(data: Omit<PartData, 'used'>) {
    this.#used = new Int32Array(new SharedArrayBuffer(8));
    const workerData: PartData = { ...data, used: this.#used };
    this.#worker = new Worker(new URL('./part-worker.js', import.meta.url), { workerData });
    this.#worker.on('message', (piece: Piece) => {
      this.#pieces.push(piece);
      this.#look();
      this.#wake();
    });
    const fail = (why: string): void => {
      this.#problem ??= why;
      this.#wake();
    };
    this.#worker.on('error', ({ message }) => fail(message));
    this.#worker.on('exit', () => {
      this.#hasEnded = true;
      fail('its thread has ended');
    });
  }

  /** True when there is nothing to wait for: a place is here, or the ring is over. */
  get isHere(): boolean {
    const [piece] = this.#pieces;
    return this.isOver || (piece !== undefined && this.#place < piece.places.length);
  }

  /** Resolves when there is. */
  async here(): Promise<void> {
    while (!this.isHere) {
      if (this.#problem !== null) throw new AgentError('failed', `a ring cannot be shown: ${this.#problem}`);
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  /** Gives back pieces that are used up, and takes down what is next. */
  #look(): void {
    for (let [piece] = this.#pieces; piece && this.#place >= piece.places.length; [piece] = this.#pieces) {
      this.isOver = piece.isLast;
      if (this.isOver) return;
      this.#pieces.shift();
      this.#place = 0;
      this.#byte = 0;
      Atomics.add(this.#used, 0, 1);
      Atomics.notify(this.#used, 0);
    }
    const [piece] = this.#pieces;
    if (!piece) return;
    this.readBytes = piece.readBytes;
    const timeUs = piece.places[this.#place] ?? Number.NaN;
    // A bad place has no time of its own: it comes right behind the batch before it.
    if (!Number.isNaN(timeUs)) this.timeUs = timeUs;
  }

  /** The place that is here; null where it is not wanted. */
  take(): ShownPlace | null {
    const [piece] = this.#pieces;
    if (!piece) return null;
    const [, kind, bytes = 0, records = 0] = piece.places.subarray(this.#place, this.#place + PLACE_WORDS);
    const json = Buffer.from(piece.bytes.buffer, piece.bytes.byteOffset + this.#byte, bytes);
    this.#place += PLACE_WORDS;
    this.#byte += bytes;
    this.#look();
    if (kind === PLACE_KIND.unwanted) return null;
    return { kind: kind === PLACE_KIND.batch ? 'batch' : 'damaged', json, records };
  }

  async close(): Promise<void> {
    const exit = new Promise<void>((resolve) => this.#worker.once('exit', () => resolve()));
    if (this.#hasEnded) return;
    Atomics.store(this.#used, 1, 1);
    Atomics.notify(this.#used, 0);
    await exit;
  }
}

/** The places of all rings by time, as many at once as can be told without waiting for more. */
export async function* mergedParts(parts: readonly RingPart[]): AsyncGenerator<readonly ShownPlace[]> {
  for (;;) {
    for (const part of parts) if (!part.isHere) await part.here();
    const found: ShownPlace[] = [];
    // As long as all that is needed is here.
    while (parts.every((part) => part.isHere)) {
      let first: RingPart | undefined;
      for (const part of parts) if (!part.isOver && (!first || part.timeUs < first.timeUs)) first = part;
      if (!first) {
        yield found;
        return;
      }
      const place = first.take();
      if (place) found.push(place);
    }
    yield found;
  }
}
