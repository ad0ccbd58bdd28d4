/**
 * What is known of the time before now: the newest events, and the figures of each minute. It outlives the agent in a file;
 * the page begins with it, and `stillbeat report` reads the file.
 */
import type { Settings } from '../settings/settings.ts';
import { type Minute, type Moment, minuteOf, MomentMaker } from '../view/figures.ts';
import type { StatusView } from '../view/status.ts';
import type { EventKind } from './event-kinds.ts';
import { EventFile, type KeptEvent, readNewestEvents } from './event-file.ts';

/** The status is looked at so often for the figures; so many looks are a line. */
const LOOK_MS = 10_000;
const LOOKS = 6;
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
    this.#timer = setInterval(() => void this.#look(), LOOK_MS);
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

  async #look(): Promise<void> {
    const status = await this.#sources.status().catch(() => null);
    if (status === null) return;
    this.#moments.push(this.#maker.next(status as unknown as StatusView, Date.now()));
    if (this.#moments.length >= LOOKS) this.#endMinute();
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
