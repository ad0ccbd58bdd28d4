/**
 * [HI4] [HI6] How old segments are, for retention by time. What is folded nothing brings back, and a clock may be set: so age is time
 * that has passed by a clock that is never set. How long it was before a start the wall clock alone can say: that counts when
 * it has stood for a while since.
 */
import { statSync } from 'node:fs';
import { wasSet, type ClockNote } from '../core/clock.ts';
import { controlPath, segmentsIn } from './files.ts';

export interface AgesOptions {
  readonly folder: string;
  /** 0: not by time. */
  readonly hours: number;
  readonly nowMs: () => number;
  /** Of a clock that is never set. */
  readonly steadyMs: () => number;
  readonly clocks: () => readonly ClockNote[];
  readonly log: (line: string) => void;
}

const HOUR_MS = 3_600_000;
const STANDS_MS_MIN = 600_000;

export class Ages {
  readonly #options: AgesOptions;
  /** A segment is to be no longer than this. */
  readonly #periodMs: number;
  readonly #startedMs: number;
  /** The last that the start found; it is never written to. */
  readonly #lastFound: number;
  /** By steady time, of those behind it. */
  readonly #written = new Map<number, { readonly ms: number; readonly bytes: number }>();
  /** The one that is written, and since when by steady time. */
  #open: { readonly segment: number; readonly sinceMs: number };
  /** What the start found ends here, by the wall clock. */
  readonly #newestMs: number;
  /** The start by the wall clock, as far as that is known. */
  #startMs: number;
  /** It is: no more is made of a clock that is set. */
  #isSure = false;
  #aheadMs: number;
  /** So far ahead it has been since. */
  #standsSinceMs: number;

  constructor(options: AgesOptions) {
    this.#options = options;
    const { hours, nowMs, steadyMs, folder } = options;
    this.#periodMs = (hours * HOUR_MS) / 16;
    this.#startMs = nowMs();
    this.#startedMs = this.#standsSinceMs = steadyMs();
    this.#aheadMs = this.#startMs - this.#startedMs;
    const found = hours > 0 ? segmentsIn(folder, 'control') : [];
    this.#lastFound = found.at(-1) ?? 0;
    this.#open = { segment: this.#lastFound, sinceMs: this.#startedMs };
    this.#newestMs = found.reduce((newest, segment) => Math.max(newest, this.#writtenMs(segment)), -Infinity);
    this.#sayHeld(found[0]);
  }

  get #standsMs(): number {
    return Math.max(this.#periodMs, STANDS_MS_MIN);
  }

  /** After each write, and each second: of the segment that is written. */
  look(segment: number, bytes: number): void {
    const { hours, nowMs, steadyMs, folder, log } = this.#options;
    if (hours === 0) return;
    const steady = steadyMs();
    if (segment !== this.#open.segment) this.#open = { segment, sinceMs: steady };
    const isWritten = segment > this.#lastFound && this.#written.get(segment)?.bytes !== bytes;
    if (isWritten) this.#written.set(segment, { ms: steady, bytes });
    const aheadMs = nowMs() - steady;
    if (wasSet(aheadMs, this.#aheadMs)) {
      const forwardMs = aheadMs - this.#aheadMs;
      this.#aheadMs = aheadMs;
      this.#standsSinceMs = steady;
      if (!this.#isSure) this.#startMs = aheadMs + this.#startedMs;
      const what = `the clock was set forward by ${hoursText(forwardMs)}: that is no age`;
      if (forwardMs > this.#periodMs) log(`recording ${folder}: ${what}, what is kept for ${hours} h stays so long`);
    }
    this.#isSure ||= steady - this.#standsSinceMs >= this.#standsMs;
  }

  /** The segment that is written has been for so long that the next one is to be begun. */
  get isLong(): boolean {
    const { hours, steadyMs } = this.#options;
    return hours > 0 && steadyMs() - this.#open.sinceMs > this.#periodMs;
  }

  /** Whether all of the oldest segment before this one was written before that time, by the clock of its file. */
  isOldestBefore(current: number, us: number): boolean {
    const [oldest = Infinity] = segmentsIn(this.#options.folder, 'control');
    return oldest < current && this.#writtenMs(oldest) * 1000 < us;
  }

  /** Whether all of the oldest segment before this one is older than what is kept. */
  isOldestPast(current: number): boolean {
    const { hours, folder } = this.#options;
    const [oldest = Infinity] = hours > 0 ? segmentsIn(folder, 'control') : [];
    if (oldest >= current) return false;
    for (const segment of this.#written.keys()) if (segment < oldest) this.#written.delete(segment);
    return this.#ageMs(oldest) > hours * HOUR_MS;
  }

  #ageMs(segment: number): number {
    const steady = this.#options.steadyMs();
    const written = this.#written.get(segment);
    if (written) return steady - written.ms;
    const beganMs = this.#isSure ? this.#startMs : Math.min(this.#startMs, this.#newestMs);
    return steady - this.#startedMs + this.#passedMs(this.#writtenMs(segment), beganMs);
  }

  /** By the wall clock, without times of which a session has found that no clock tells them. */
  #passedMs(fromMs: number, untilMs: number): number {
    let passed = untilMs - fromMs;
    for (const { unclear } of this.#options.clocks()) {
      if (!unclear) continue;
      const stretch = Math.min(untilMs, unclear.untilUs / 1000) - Math.max(fromMs, unclear.fromUs / 1000);
      passed -= Math.max(0, stretch);
    }
    return Math.max(0, passed);
  }

  #writtenMs(segment: number): number {
    return statSync(controlPath(this.#options.folder, segment)).mtimeMs;
  }

  #sayHeld(oldest: number | undefined): void {
    const { hours, folder, log } = this.#options;
    const stoodMs = this.#startMs - this.#newestMs;
    if (oldest === undefined || stoodMs <= this.#periodMs) return;
    if (this.#startMs - this.#writtenMs(oldest) <= hours * HOUR_MS) return;
    const what = `nothing was written for ${hoursText(stoodMs)} by the clock`;
    log(`recording ${folder}: ${what}: that counts as age when the clock has stood for ${hoursText(this.#standsMs)}`);
  }
}

const hoursText = (ms: number): string => `${(ms / HOUR_MS).toFixed(1)} h`;
