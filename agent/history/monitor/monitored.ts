/**
 * What is recorded, as a session with a recorder sees it: a log of entries without a hole, of which nothing is ever taken back, and
 * the volumes that they were written to. A source's journal is one, the copy that a target shows is another.
 */
import type { Point, VolumeShape } from '../../mirror/core/meeting.ts';
import type { Batch } from '../../mirror/source/ring-cursor.ts';
import type { RingPlace } from '../../mirror/store/ring.ts';
import type { RecordHello } from '../wire/greeting.ts';

/** Goes through the log. */
export interface LogCursor {
  /** Behind the last entry that was taken. */
  readonly place: RingPlace;
  readonly isAtEnd: boolean;
  /** The next entries that are at hand, up to about `bytesMax`; null when there are none. Borrowed: for this turn of the event loop. */
  take(bytesMax: number, isBorrowed: true): Batch | null;
  /** The same, wherever they are; null at the end. Rejects when they cannot be had. */
  load(bytesMax: number): Promise<Batch | null>;
}

/** `errno` 0: a range of a volume as it was behind `mark`. */
export interface LogImage {
  readonly errno: number;
  readonly mark: number;
  readonly bytes: Uint8Array;
}

export interface Monitored {
  readonly group: string;
  readonly volumes: readonly VolumeShape[];
  readonly lineage: Pick<RecordHello, 'generation' | 'ancestry'>;
  /** Of the ring that the log lies in. */
  readonly ringBytes: number;
  /** The oldest place that is held. Positions only grow. */
  readonly oldest: RingPlace;
  readonly end: RingPlace;
  /** Wall clock by which entries are stamped, ms; null as long as it is not known. */
  readonly clockMs: number | null;
  /** By how much that is ahead of one that is never set; null where nothing tells. */
  readonly aheadMs: number | null;
  /** [HI9] What comes behind this mark, which is not beyond `end`, is stamped later than this, ms by that clock. */
  readonly known: { readonly mark: number; readonly ms: number };
  /** Resolves with the present end, once all before it will outlive a crash. */
  durable(): Promise<RingPlace>;
  /** From there on; a place that is held. */
  from(place: RingPlace): LogCursor;
  /** From that point on; null when it is none of the log, or is held no more. */
  find(point: Point): Promise<LogCursor | null>;
  /** Resolves when the volumes are that far. */
  stored(place: RingPlace): Promise<void>;
  image(volume: number, offset: number, length: number, done: (image: LogImage) => void): void;
}
