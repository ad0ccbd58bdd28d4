/**
 * What is known of the time before now: the newest events, and the figures of each minute. It outlives the agent in a file;
 * the page begins with it, and `stillbeat report` reads the file.
 */
import type { Settings } from '../settings/settings.ts';
import { type Minute, type Moment, minuteOf, MomentMaker } from '../view/figures.ts';
import type { StatusView } from '../view/status.ts';
import type { EventKind } from './event-kinds.ts';
import { EventFile, type KeptEvent, readNewestEvents } from './event-file.ts';

/** The status is looked at so often for the figures; a line is a minute of them. */
const LOOK_MS = 10_000;
const MINUTE_MS = 60_000;
const ASKED_MS = 500;
const FLUSH_MS_MAX = 500;
/** In memory, for a page that opens. */
const EVENTS_MAX = 1000;
const MINUTES_MAX = 60;

export interface PastSources {
  readonly status: () => Promise<Readonly<Record<string, unknown>>>;
  readonly tell: (kind: EventKind, figures: Readonly<Record<string, unknown>>) => void;
}

export class Past {
  readonly #sources: PastSources;
  readonly #events: KeptEvent[] = [];
  readonly #minutes: Minute[] = [];
  #file: EventFile | null = null;
  #maker = new MomentMaker();
  #moments: Moment[] = [];
  #fromMs = Date.now();
  readonly #timer: NodeJS.Timeout;

  constructor(sources: PastSources) {
    this.#sources = sources;
    this.#timer = setInterval(() => void this.#lookInTurn(), LOOK_MS);
    this.#timer.unref();
  }

  /** Oldest first. */
  get events(): readonly KeptEvent[] {
    return this.#events;
  }

  get minutes(): readonly Minute[] {
    return this.#minutes;
  }

  /** Where it is kept from now on. What the file has of the time before is taken in once. */
  use({ events: { file, bytes } }: Settings): void {
    if (this.#file?.path === file && this.#file.bytesMax === bytes) return;
    const isFirst = this.#file === null;
    const early = [...this.#events];
    this.#file = new EventFile(file, bytes, (fault) => this.#fileTurned(file, fault));
    if (!isFirst || bytes === 0) return;
    try {
      const former = readNewestEvents(file);
      this.#events.length = 0;
      for (const event of former) this.#remember(event);
    } catch {
      // The first line that is written says what is wrong with it.
    }
    for (const event of early) this.note(event);
  }

  /** An event, as the log has it. */
  note(event: KeptEvent): void {
    this.#remember(event);
    this.#file?.append(event);
  }

  /** The minute that is under way, up to now; null before the first look. It goes on, and is kept when it is over. */
  async minuteSoFar(): Promise<Minute | null> {
    await this.#look();
    return minuteOf(this.#moments, this.#fromMs);
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#endMinute();
    await this.#file?.flushed(FLUSH_MS_MAX);
  }

  #remember(event: KeptEvent): void {
    if (event.kind === 'figures') {
      this.#minutes.push(event as Minute);
      if (this.#minutes.length > MINUTES_MAX) this.#minutes.shift();
      return;
    }
    this.#events.push(event);
    if (this.#events.length > EVENTS_MAX) this.#events.shift();
  }

  async #lookInTurn(): Promise<void> {
    await this.#look();
    // A look that somebody asked for makes no minute shorter.
    if (Date.now() - this.#fromMs > MINUTE_MS - LOOK_MS / 2) this.#endMinute();
  }

  async #look(): Promise<void> {
    const status = await this.#sources.status().catch(() => null);
    if (status === null) return;
    const nowMs = Date.now();
    // Whoever asks all the time gets what was seen last.
    if (nowMs - (this.#moments.at(-1)?.atMs ?? 0) < ASKED_MS) return;
    this.#moments.push(this.#maker.next(status as unknown as StatusView, nowMs));
  }

  #endMinute(): void {
    const minute = minuteOf(this.#moments, this.#fromMs);
    this.#moments = [];
    this.#fromMs = Date.now();
    if (minute) this.note(minute);
  }

  #fileTurned(file: string, fault: string | null): void {
    if (fault === null) this.#sources.tell('events-kept', { file });
    else this.#sources.tell('events-not-kept', { file, errno: fault });
  }
}
