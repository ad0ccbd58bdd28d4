/**
 * The journal thread's logic, without the thread: what has been appended goes to the file in one write (two at the
 * window's end), then one flush for all who wait. `step` does what is due and answers how long it may sleep.
 *
 * [MI15] When a write or a flush fails, the device counts as failed: it is opened anew, must still bear our superblock,
 * and gets everything again that was written since the last good flush. The window still has it: main overwrites nothing
 * that is not durable. A flush alone is never repeated, for the system may have dropped what it could not write.
 */
import { sameBytes } from '../../base/bytes.ts';
import type { Disk } from '../store/disk.ts';
import { JOURNAL_WORD, type JournalMemory } from '../store/journal-memory.ts';
import { fileOffset } from '../store/ring.ts';
import { JOURNAL_SUPER, readSuper, SuperWriter } from '../store/superblock.ts';
import { GENERATION_BYTES } from '../wire/layout.ts';

/** Longest time for which something appended stays unflushed when nobody waits for it. */
export const LAZY_FLUSH_MS = 100;
const IDLE_MS = 1000;
const RETRY_MS_MIN = 10;
const RETRY_MS_MAX = 1000;
const ESTALE = 116;
const EIO = 5;

export interface JournalDevice extends Disk {
  close(): void;
}

export interface JournalLoopParts {
  /** Opens the journal's file: the device, or a negative errno. */
  open(): JournalDevice | number;
  nowMs(): number;
  /** Something that main looks at has changed. */
  tell(): void;
  /** The volume thread has more to do. */
  more(): void;
}

export class JournalLoop {
  readonly #memory: JournalMemory;
  readonly #parts: JournalLoopParts;
  /** Whose journal it is, as the last superblock said that was written. */
  #generation: Uint8Array;
  #device: JournalDevice | null = null;
  #supers: SuperWriter | null = null;
  #appended: number;
  #written: number;
  #durable: number;
  #writtenSinceMs = 0;
  #retryMs = 0;
  #retryAtMs = -Infinity;

  /** `from`: the end that recovery found. `generation`: whose journal the device must bear. */
  constructor(memory: JournalMemory, from: number, generation: Uint8Array, parts: JournalLoopParts) {
    this.#memory = memory;
    this.#parts = parts;
    this.#generation = generation;
    this.#appended = from;
    this.#written = from;
    this.#durable = from;
  }

  /** Does what is due; answers how many ms may pass before the next step unless the bell rings. */
  step(): number {
    const memory = this.#memory;
    const nowMs = this.#parts.nowMs();
    Atomics.add(memory.words, JOURNAL_WORD.journalBeat, 1);
    if (nowMs < this.#retryAtMs) return this.#retryAtMs - nowMs;
    if (this.#device === null) {
      const result = this.#open();
      if (result < 0) return this.#failed(result, nowMs);
    }
    const result = this.#work(nowMs);
    if (result < 0) return this.#failed(result, nowMs);
    this.#well();
    if (memory.position(JOURNAL_WORD.appended, this.#written) > this.#written) return 0;
    if (memory.get(JOURNAL_WORD.superWanted) !== memory.get(JOURNAL_WORD.superDone)) return 0;
    return this.#written > this.#durable ? Math.max(0, this.#writtenSinceMs + LAZY_FLUSH_MS - nowMs) : IDLE_MS;
  }

  /** Everything that was appended is made durable, and the last superblock written: 0 or a negative errno. */
  close(): number {
    if (this.#device === null) return -EIO;
    this.#memory.set(JOURNAL_WORD.flushAlways, 1);
    const result = this.#work(this.#parts.nowMs());
    this.#device.close();
    this.#device = null;
    return result;
  }

  #work(nowMs: number): number {
    const result = this.#write(nowMs);
    if (result < 0) return result;
    const flushed = this.#flushIsDue(nowMs) ? this.#flush() : 0;
    return flushed < 0 ? flushed : this.#superblock();
  }

  /** Puts what has been appended into the file. */
  #write(nowMs: number): number {
    const memory = this.#memory;
    this.#appended = memory.position(JOURNAL_WORD.appended, this.#appended);
    while (this.#written < this.#appended) {
      const at = this.#written % memory.windowBytes;
      const bytes = Math.min(this.#appended - this.#written, memory.windowBytes - at);
      const put =
        this.#device?.write(fileOffset(this.#written, memory), memory.window.subarray(at, at + bytes)) ?? -EIO;
      if (put < bytes) return put < 0 ? put : -EIO;
      if (this.#written === this.#durable) this.#writtenSinceMs = nowMs;
      this.#written += bytes;
    }
    return 0;
  }

  #flushIsDue(nowMs: number): boolean {
    if (this.#written === this.#durable) return false;
    const memory = this.#memory;
    if (memory.get(JOURNAL_WORD.flushAlways) === 1) return true;
    if (memory.position(JOURNAL_WORD.flushWanted, this.#durable) > this.#durable) return true;
    return nowMs >= this.#writtenSinceMs + LAZY_FLUSH_MS;
  }

  #flush(): number {
    const result = this.#device?.flush() ?? -EIO;
    if (result < 0) return result;
    this.#durable = this.#written;
    this.#memory.publish(JOURNAL_WORD.durable, this.#durable);
    Atomics.add(this.#memory.words, JOURNAL_WORD.journalFlushes, 1);
    this.#parts.more();
    this.#parts.tell();
    return 0;
  }

  #superblock(): number {
    const memory = this.#memory;
    const wanted = memory.get(JOURNAL_WORD.superWanted);
    if (wanted === memory.get(JOURNAL_WORD.superDone) || !this.#device) return 0;
    const result = this.#supers?.write(this.#device, memory.superblock) ?? -EIO;
    if (result < 0) return result;
    this.#generation = generationOf(memory.superblock);
    memory.set(JOURNAL_WORD.superDone, wanted);
    this.#parts.tell();
    return 0;
  }

  /** Opens the device and makes sure that it is still this journal's. */
  #open(): number {
    const device = this.#parts.open();
    if (typeof device === 'number') return device;
    // Which copy is the newer one is known once: a write that failed may have made the other one unreadable.
    const read = readSuper(device, this.#supers !== null);
    const isOurs = typeof read === 'object' && read.ok && this.#isOurs(read.superblock.generation);
    // What a former process wrote and recovery found may lie in the page cache only.
    const flushed = isOurs ? device.flush() : 0;
    if (!isOurs || flushed < 0) {
      device.close();
      return typeof read === 'number' ? read : flushed < 0 ? flushed : -ESTALE;
    }
    this.#device = device;
    this.#supers ??= new SuperWriter(read.copy);
    return 0;
  }

  /** A superblock that begins a generation may be there or not when its writing failed. */
  #isOurs(generation: Uint8Array): boolean {
    const memory = this.#memory;
    const isWriting = memory.get(JOURNAL_WORD.superWanted) !== memory.get(JOURNAL_WORD.superDone);
    const ours = isWriting ? [this.#generation, generationOf(memory.superblock)] : [this.#generation];
    return ours.some((one) => sameBytes(generation, 0, one, 0, GENERATION_BYTES));
  }

  #well(): void {
    const memory = this.#memory;
    if (memory.get(JOURNAL_WORD.journalReady) === 1 && memory.get(JOURNAL_WORD.journalErrno) === 0) return;
    this.#retryMs = 0;
    memory.publish(JOURNAL_WORD.durable, this.#durable);
    memory.set(JOURNAL_WORD.journalErrno, 0);
    memory.set(JOURNAL_WORD.journalReady, 1);
    this.#parts.more();
    this.#parts.tell();
  }

  #failed(result: number, nowMs: number): number {
    this.#device?.close();
    this.#device = null;
    this.#written = this.#durable;
    this.#retryMs = Math.min(RETRY_MS_MAX, Math.max(RETRY_MS_MIN, this.#retryMs * 2));
    this.#retryAtMs = nowMs + this.#retryMs;
    this.#memory.set(JOURNAL_WORD.journalErrno, -result);
    this.#parts.tell();
    return this.#retryMs;
  }
}

const generationOf = (superblock: Uint8Array): Uint8Array =>
  superblock.slice(JOURNAL_SUPER.at.generation, JOURNAL_SUPER.at.generation + GENERATION_BYTES);
