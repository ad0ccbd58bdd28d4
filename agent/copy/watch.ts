/**
 * [AG9] Judges a copy by how far it is behind what was written. Pure: points come with their time.
 *
 * Always true:
 * - The lag that is told is at least the real one, but for the time between two looks.
 * - A miss is counted once: from when something was not copied within its time until the copy has caught up with it.
 */
import { hasCopied, type CopyPoint } from '../queue/copy-state.ts';

export interface CopyLimits {
  /** What is written is to be on the copy within this. */
  readonly withinMs: number;
  /** Bytes of the ring: what a copy may be behind at most. */
  readonly ringBytes: number;
}

export type CopyNews =
  | { readonly kind: 'copy-late'; readonly lagMs: number; readonly lagBytes: number }
  | { readonly kind: 'copy-caught-up'; readonly afterMs: number }
  | {
      readonly kind: 'copy-ring';
      readonly lagMs: number;
      readonly bytesPerSecond: number;
      readonly ringBytes: number;
    };

interface Mark {
  readonly point: CopyPoint;
  readonly atMs: number;
}

/** Rate and lag are the highest of so long. */
const PEAK_MS = 60_000;
const RATE_MS = 1000;
const MARKS_MAX = 1024;
/** A ring that the copy needs more of is short: writers keep clear of its last eighth. */
const RING_PART = 7 / 8;

export class CopyWatch {
  readonly #limits: CopyLimits;
  /** What was written and is not copied yet, as of each look. */
  #marks: Mark[] = [];
  #rates: { readonly bytesPerSecond: number; readonly atMs: number }[] = [];
  #rateFrom: { readonly position: number; readonly atMs: number } | null = null;
  #lags: { readonly lagMs: number; readonly atMs: number }[] = [];
  #lagMs = 0;
  #lagBytes = 0;
  #lateSinceMs = -1;
  #misses = 0;
  #isShort = false;

  constructor(limits: CopyLimits) {
    this.#limits = limits;
  }

  get lagMs(): number {
    return this.#lagMs;
  }

  get lagBytes(): number {
    return this.#lagBytes;
  }

  get misses(): number {
    return this.#misses;
  }

  get isLate(): boolean {
    return this.#lateSinceMs >= 0;
  }

  /** The highest rate of the last minute. */
  get bytesPerSecond(): number {
    return Math.max(0, ...this.#rates.map(({ bytesPerSecond }) => bytesPerSecond));
  }

  /** What the ring must hold: this rate for the longest that a copy may take, or took in the last minute. */
  get neededBytes(): number {
    const lagMs = Math.max(this.#limits.withinMs, ...this.#lags.map(({ lagMs }) => lagMs));
    return (this.bytesPerSecond * lagMs) / 1000;
  }

  get isRingShort(): boolean {
    return this.neededBytes > this.#limits.ringBytes * RING_PART;
  }

  look(nowMs: number, written: CopyPoint, copied: CopyPoint): CopyNews[] {
    this.#noteRate(nowMs, written.position);
    this.#noteWritten(nowMs, written);
    this.#marks = this.#marks.filter(({ point }) => !hasCopied(copied, point));
    this.#lagMs = nowMs - (this.#marks[0]?.atMs ?? nowMs);
    this.#lagBytes = Math.max(0, written.position - copied.position);
    this.#lags = [
      ...this.#lags.filter(({ atMs, lagMs }) => nowMs - atMs < PEAK_MS && lagMs > this.#lagMs),
      { lagMs: this.#lagMs, atMs: nowMs },
    ];
    return [...this.#judge(nowMs), ...this.#judgeRing()];
  }

  #noteWritten(nowMs: number, point: CopyPoint): void {
    const marks = this.#marks;
    const newest = marks.at(-1);
    if (newest?.point.position === point.position && newest.point.heads === point.heads) return;
    // Of a copy that stands for long, the newest marks share one time: the oldest of them.
    if (newest && marks.length >= MARKS_MAX) marks[marks.length - 1] = { point, atMs: newest.atMs };
    else marks.push({ point, atMs: nowMs });
  }

  #judge(nowMs: number): CopyNews[] {
    const isLate = this.#lagMs > this.#limits.withinMs;
    if (isLate && this.#lateSinceMs < 0) {
      this.#misses++;
      this.#lateSinceMs = nowMs - this.#lagMs;
      return [{ kind: 'copy-late', lagMs: this.#lagMs, lagBytes: this.#lagBytes }];
    }
    if (isLate || this.#lateSinceMs < 0) return [];
    const afterMs = nowMs - this.#lateSinceMs;
    this.#lateSinceMs = -1;
    return [{ kind: 'copy-caught-up', afterMs }];
  }

  #judgeRing(): CopyNews[] {
    const wasShort = this.#isShort;
    this.#isShort = this.isRingShort;
    if (wasShort || !this.#isShort) return [];
    const { ringBytes } = this.#limits;
    const lagMs = Math.round((this.neededBytes / this.bytesPerSecond) * 1000);
    return [{ kind: 'copy-ring', lagMs, bytesPerSecond: Math.round(this.bytesPerSecond), ringBytes }];
  }

  #noteRate(nowMs: number, position: number): void {
    const from = this.#rateFrom;
    if (!from || position < from.position) {
      this.#rateFrom = { position, atMs: nowMs };
      return;
    }
    const forMs = nowMs - from.atMs;
    if (forMs < RATE_MS) return;
    const bytesPerSecond = ((position - from.position) * 1000) / forMs;
    this.#rates = this.#rates.filter((rate) => nowMs - rate.atMs < PEAK_MS && rate.bytesPerSecond > bytesPerSecond);
    this.#rates.push({ bytesPerSecond, atMs: nowMs });
    this.#rateFrom = { position, atMs: nowMs };
  }
}
