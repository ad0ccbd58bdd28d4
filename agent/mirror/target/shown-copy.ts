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

export class ShownCopy {
  readonly #parts: ShownParts;
  #crampedLooks = 0;

  constructor(parts: ShownParts) {
    this.#parts = parts;
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

  /** Entries are stamped by the source's clock: what it is ahead, as far as the last of them tells. */
  get clockMs(): number {
    return Math.max(this.#parts.wallMs(), Number(this.#parts.log.end.time / 1_000_000n));
  }

  get aheadMs(): number | null {
    return null;
  }

  get knownMs(): number {
    return this.#parts.log.knownMs;
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
