/**
 * The copy that a target shows, for one who records it ([HI11]): its log, and its volumes at the mark where that ends. It asks nothing
 * of the mirror but room in the ring, and not for long.
 */
import { AgentError } from '../../base/errors.ts';
import type { Ancestor, Point, VolumeShape } from '../core/meeting.ts';
import { ancestryShown, generationText } from '../link/greeting.ts';
import type { FileReader } from '../machine.ts';
import type { RingPlace } from '../store/ring.ts';
import type { Copy } from './copy.ts';
import type { ShownCursor, ShownEvents, ShownLog } from './shown-log.ts';

export interface ShownImage {
  /** 0, or why there is none. */
  readonly errno: number;
  readonly mark: number;
  readonly bytes: Uint8Array;
}

export interface ShownParts {
  readonly group: string;
  readonly copy: Pick<Copy, 'gate' | 'generation' | 'ancestry' | 'volumes' | 'heldBack' | 'isCramped' | 'moveTail'>;
  readonly log: ShownLog;
  /** Of the receive volumes, by index. */
  readonly volumes: readonly Pick<FileReader, 'read'>[];
  readonly wallMs: () => number;
}

const EIO = 5;
/** More than this of the ring is held for nobody who only records. */
const HELD_SHARE = 0.5;
/** Looks at which arrivals have found no room. */
const CRAMPED_LOOKS = 2;
/** A clock that is less ahead is not, and one that goes apart from another by so much was set. */
const NOISE_MS = 1000;
const SET_MS = 500;
const SURE_WORDS = 3;

export class ShownCopy {
  readonly #parts: ShownParts;
  #crampedLooks = 0;
  /** Of the source's clock, by its words: `ahead` of ours, and of one of its own that is never set. */
  #clock: { readonly ahead: number; readonly own: number | null; readonly words: number } | null = null;

  constructor(parts: ShownParts) {
    this.#parts = parts;
    parts.log.listen((ms, own) => this.#heard(ms, own));
  }

  get group(): string {
    return this.#parts.group;
  }

  get volumes(): readonly VolumeShape[] {
    return this.#parts.copy.volumes;
  }

  get lineage(): { readonly generation: string; readonly ancestry: readonly Ancestor[] } {
    const { generation, ancestry } = this.#parts.copy;
    return { generation: generationText(generation), ancestry: ancestryShown(ancestry) };
  }

  get ringBytes(): number {
    return this.#parts.log.ring.ringBytes;
  }

  /** There is a copy to record. */
  get isWhole(): boolean {
    return this.#parts.log.isWhole;
  }

  get oldest(): RingPlace {
    return this.#parts.log.oldest;
  }

  get end(): RingPlace {
    return this.#parts.log.end;
  }

  /** Entries are stamped by the source's clock, of which its words tell; null as long as they do not. */
  get clockMs(): number | null {
    const { aheadMs } = this;
    return aheadMs === null ? null : this.#parts.wallMs() + aheadMs;
  }

  /** By how much that is ahead of ours. One that is behind may be a word that took long, unless that goes on. */
  get aheadMs(): number | null {
    if (!this.#clock) return null;
    const { ahead, words } = this.#clock;
    if (Math.abs(ahead) < NOISE_MS) return 0;
    return ahead > 0 || words >= SURE_WORDS ? ahead : null;
  }

  /** The word that took the least time tells most, as long as the clock is the same. */
  #heard(ms: number, own: number | null): void {
    const ahead = ms - this.#parts.wallMs();
    const former = this.#clock;
    const isSame = former !== null && own !== null && former.own !== null && Math.abs(own - former.own) < SET_MS;
    if (isSame) this.#clock = { ahead: Math.max(ahead, former.ahead), own: former.own, words: former.words + 1 };
    else this.#clock = { ahead, own, words: 1 };
  }

  get known(): ShownLog['known'] {
    return this.#parts.log.known;
  }

  follow(events: ShownEvents): void {
    this.#parts.log.follow(events);
  }

  async durable(): Promise<RingPlace> {
    if (!this.isWhole) throw new AgentError('failed', 'the volumes are no whole copy yet');
    return Promise.resolve(this.end);
  }

  from(place: RingPlace): ShownCursor {
    return this.#parts.log.from(place);
  }

  async find(point: Point): Promise<ShownCursor | null> {
    return Promise.resolve(this.#parts.log.find(point));
  }

  /** The log ends where the volumes are. */
  async stored(): Promise<void> {
    return Promise.resolve();
  }

  /** Between two cuts: so behind the last mark of the log. */
  image(volume: number, offset: number, length: number, done: (image: ShownImage) => void): void {
    const { copy, log, volumes } = this.#parts;
    copy.gate.read((finished) => {
      const { mark } = log.end;
      const bytes = new Uint8Array(length);
      const end = (errno: number): void => {
        finished();
        done({ errno, mark, bytes });
      };
      const reader = volumes[volume];
      if (!log.isWhole || !reader) return end(EIO);
      return reader.read(offset, bytes, end);
    });
  }

  /** Nothing before this position of the log is needed any more. */
  free(position: number): void {
    const { copy, log } = this.#parts;
    log.free(position);
    if (copy.isCramped) copy.moveTail();
  }

  /** From time to time: why the ring must be let go of, or null. */
  look(): string | null {
    const { copy } = this.#parts;
    const { heldBack, isCramped } = copy;
    this.#crampedLooks = isCramped && heldBack > 0 ? this.#crampedLooks + 1 : 0;
    if (heldBack > this.ringBytes * HELD_SHARE) return 'it holds half of the journal';
    if (this.#crampedLooks >= CRAMPED_LOOKS) return 'arrivals need the room that it holds in the journal';
    copy.moveTail();
    return null;
  }
}
