/**
 * Everything that happens comes by here, once: into the log, into the newest events that `status` shows, and to whoever
 * counts them. A storm of one kind about one peer is thinned out in the first two; counted is all of it.
 */
import { systemClock } from '../platform/clock.ts';
import { LINES_LOST, type Log, type LogLevel } from '../platform/log.ts';
import { errnoName } from '../platform/native.ts';
import { type EventKind, kindOf } from './event-kinds.ts';
import { EventLimit } from './event-limit.ts';

const EVENTS_KEPT = 200;
const RELEASE_EVERY_MS = 500;

export type Figures = Readonly<Record<string, unknown>>;

export interface LoggedEvent {
  readonly at: string;
  readonly kind: string;
  readonly [figure: string]: unknown;
}

interface Entry {
  readonly at: string;
  readonly kind: EventKind;
  readonly level: LogLevel;
  readonly figures: Figures;
}

export class EventLog {
  readonly #log: Log;
  readonly #count: (kind: EventKind, figures: Figures, at: string) => void;
  readonly #keep: (event: LoggedEvent) => void;
  readonly #newest: LoggedEvent[] = [];
  readonly #limit = new EventLimit<Entry>();
  #timer: NodeJS.Timeout | undefined;

  /**
   * `count` hears of every event, also of those that a storm keeps out of the log; `keep` of those that are in the log at its
   * usual level, for what outlives the agent.
   */
  constructor(
    log: Log,
    count: (kind: EventKind, figures: Figures, at: string) => void,
    keep: (event: LoggedEvent) => void = () => {},
  ) {
    this.#keep = keep;
    this.#log = log;
    this.#count = count;
    log.on(LINES_LOST, (lines: number) => this.tell('log-lost', { lines }));
  }

  /** The newest events, oldest first. */
  get newest(): readonly LoggedEvent[] {
    return this.#newest;
  }

  tell(kind: EventKind, said: Figures): void {
    const at = new Date().toISOString();
    const { level, reason } = kindOf(kind);
    const figures = plain(reason === undefined ? said : { ...said, reason: said['reason'] ?? reason });
    this.#count(kind, figures, at);
    const entry: Entry = { at, kind, level: isPassing(kind, figures) ? 'debug' : level, figures };
    const about = figures['peer'] ?? figures['volume'] ?? figures['thread'];
    const thing = `${entry.level} ${kind} ${typeof about === 'string' ? about : ''}`;
    if (this.#limit.offer(thing, entry, systemClock.monotonicMs())) this.#write(entry);
    else this.#timer ??= setInterval(() => this.#release(), RELEASE_EVERY_MS).unref();
  }

  /** Tells what still waits, before the last word of all. */
  flush(): void {
    this.#release(true);
  }

  #release(isLast = false): void {
    for (const { event, untold } of this.#limit.due(systemClock.monotonicMs(), isLast)) {
      this.#write(untold === 0 ? event : { ...event, figures: { ...event.figures, untold } });
    }
    if (this.#limit.isHolding) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #write({ at, kind, level, figures }: Entry): void {
    this.#newest.push({ at, kind, ...figures });
    if (this.#newest.length > EVENTS_KEPT) this.#newest.shift();
    const known = Object.fromEntries(Object.entries(figures).filter(([, value]) => value !== null && value !== ''));
    if (level !== 'debug') this.#keep({ at, kind, level, ...known });
    this.#log.log(level, kind, { timestamp: at, ...known });
  }
}

/** A late probe and the next one that comes: no change of the way, and on a busy machine many. */
const isPassing = (kind: EventKind, { from, to }: Figures): boolean =>
  kind === 'path' && (to === 'suspect' || (from === 'suspect' && to === 'network'));

/** As an operator reads it: errors by name, times to a tenth, no moment on a clock that only this host has. */
function plain({ atMs: _monotonic, ...figures }: Figures): Figures {
  return Object.fromEntries(Object.entries(figures).map(([key, value]) => [key, printable(key, value)]));
}

function printable(key: string, value: unknown): unknown {
  if (typeof value !== 'number') return value;
  if (key === 'errno') return errnoName(value);
  return Number.isFinite(value) ? Math.round(value * 10) / 10 : null;
}
