/**
 * [OS6] The log device: what the monitor writes there of its own writes, control and data, by a way that no recorder is on. It is
 * opened again when it was gone; what did not fit meanwhile is missing there, and nobody waits for it.
 */
import { systemClock } from '../../platform/clock.ts';
import { kinship } from '../../mirror/core/generation.ts';
import { sleep } from '../../mirror/machine.ts';
import type { SourceJournal } from '../../mirror/source/journal.ts';
import { RingCursor } from '../../mirror/source/ring-cursor.ts';
import { Sent } from '../../mirror/source/sent.ts';
import type { SessionHost } from '../../mirror/source/session-host.ts';
import { Recording } from '../store/recording.ts';
import type { Follower } from './follower.ts';
import { durableRing, KEPT_SHARE, placeFor } from './ring.ts';
import { splitEntries } from './split.ts';

export interface RecordLogOptions {
  readonly path: string;
  readonly bytes: number;
  readonly monitor: string;
  readonly say: (line: string) => void;
}

const BATCH_BYTES = 256 * 1024;
const PENDING_BYTES_MAX = 8 * 1024 * 1024;
const AGAIN_MS = 2000;
const LOOK_MS = 20;
/** A write that does not come back for so long is that of a device that is gone. */
const FAULT_LOOKS = 50;

export class RecordLog implements Follower {
  readonly name = 'log';
  readonly #options: RecordLogOptions;
  readonly #journal: SourceJournal;
  readonly #host: SessionHost;
  readonly #sent: Sent = new Sent();
  #recording: Recording | null = null;
  #cursor: RingCursor | null = null;
  #freed: number;
  #isLoading = false;
  #isLetGo = false;
  #isStopped = false;
  #problem: string | null = null;
  #gaps = 0;

  constructor(options: RecordLogOptions, journal: SourceJournal, host: SessionHost) {
    this.#options = options;
    this.#journal = journal;
    this.#host = host;
    this.#freed = journal.oldest.position;
    void this.#run();
  }

  get freed(): number {
    return this.#isLetGo ? Infinity : this.#freed;
  }

  note(): void {}

  progress(): void {
    if (!this.#isLetGo && this.#journal.head - this.#freed > this.#journal.ringBytes * KEPT_SHARE) {
      this.#isLetGo = true;
      this.#gaps++;
      this.#cursor = null;
    }
    this.#pump();
  }

  status(): Readonly<Record<string, unknown>> {
    const recording = this.#recording;
    return {
      name: this.name,
      path: this.#options.path,
      state: recording && !recording.fault ? 'recording' : 'away',
      kept: recording?.prefix.mark ?? 0,
      lagBytes: this.#isLetGo ? null : this.#journal.head - this.#freed,
      letGo: this.#gaps,
      problem: this.#problem ?? recording?.fault ?? null,
    };
  }

  stop(): void {
    this.#isStopped = true;
    const recording = this.#recording;
    this.#recording = null;
    void recording?.close();
  }

  async #run(): Promise<void> {
    let told = '';
    while (!this.#isStopped) {
      try {
        await this.#open();
        told = '';
        this.#problem = null;
        await this.#follow();
      } catch (error) {
        this.#problem = (error as Error).message;
        if (this.#problem !== told) this.#options.say(`log device: ${this.#problem}: it is tried again and again`);
        told = this.#problem;
      }
      const recording = this.#recording;
      this.#recording = null;
      this.#cursor = null;
      await recording?.close().catch(() => {});
      if (!this.#isStopped) await sleep(this.#host.machine, AGAIN_MS);
    }
  }

  async #open(): Promise<void> {
    const { path, bytes, monitor, say } = this.#options;
    const { volumes, generation } = this.#host.shape;
    const recording = await Recording.open({
      folder: path,
      monitor,
      volumes,
      generation,
      keepsBase: false,
      retention: { hours: 0, bytes },
      nowMs: () => systemClock.wallMs(),
      steadyMs: () => systemClock.monotonicMs(),
      log: say,
      progress: () => this.#stored(),
    });
    this.#recording = recording;
    if (recording.generation !== generation) {
      const kin = kinship(this.#host.shape, { generation: recording.generation, ancestry: [] });
      if (kin.kin === 'successor') recording.branch(generation, kin.until);
      else throw new Error(`${path} is of another generation of ${monitor}: remove the folder, or name another`);
    }
    await this.#begin(recording);
  }

  /** Where it ends there, or where the ring begins: what lies between is missing there. */
  async #begin(recording: Recording): Promise<void> {
    const ring = durableRing(this.#journal);
    this.#isLetGo = false;
    const { oldest } = this.#journal;
    const { mark, chain } = recording.prefix;
    const isHeld = mark >= oldest.mark && mark <= this.#journal.end.mark;
    let cursor = new RingCursor(ring, isHeld ? placeFor(this.#journal, mark) : oldest, this.#host.readFile);
    if (isHeld) await cursor.seek(mark);
    if (!isHeld || cursor.place.chain !== chain) {
      cursor = new RingCursor(ring, oldest, this.#host.readFile);
      recording.startAt(oldest.mark, oldest.chain);
    }
    this.#freed = cursor.place.position;
    this.#sent.begin(cursor.place);
    this.#cursor = cursor;
    this.#pump();
  }

  /** Returns when it takes nothing any more. */
  async #follow(): Promise<void> {
    let looks = 0;
    while (!this.#isStopped && looks < FAULT_LOOKS) {
      await sleep(this.#host.machine, LOOK_MS);
      looks = this.#recording?.fault ? looks + 1 : 0;
      if (this.#isLetGo && this.#recording && !this.#recording.fault) await this.#begin(this.#recording);
      this.#pump();
    }
    if (!this.#isStopped) throw new Error(`${this.#options.path} cannot be written (${this.#recording?.fault})`);
  }

  #stored(): void {
    const mark = this.#recording?.prefix.mark ?? 0;
    this.#freed = Math.max(this.#freed, this.#sent.stored(mark, mark));
  }

  #pump(): void {
    const [recording, cursor] = [this.#recording, this.#cursor];
    if (!recording || !cursor || this.#isLoading) return;
    while (recording.pendingBytes < PENDING_BYTES_MAX) {
      const batch = cursor.take(BATCH_BYTES, true);
      if (!batch) break;
      this.#put(recording, cursor, batch.bytes);
    }
    if (recording.pendingBytes < PENDING_BYTES_MAX && !cursor.isAtEnd) void this.#load(recording, cursor);
  }

  async #load(recording: Recording, cursor: RingCursor): Promise<void> {
    this.#isLoading = true;
    try {
      const batch = await cursor.load(BATCH_BYTES);
      if (batch && cursor === this.#cursor) this.#put(recording, cursor, batch.bytes);
    } catch {
      // Overtaken by the ring: it begins anew where that begins.
      this.#isLetGo = true;
    } finally {
      this.#isLoading = false;
    }
  }

  #put(recording: Recording, { place }: RingCursor, bytes: Uint8Array): void {
    const { control, data } = splitEntries(bytes);
    recording.control(control);
    if (data.length > 0) recording.data(data);
    this.#sent.sent(place);
  }
}
