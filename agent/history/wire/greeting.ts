/** What monitor and recorder say when they meet: bodies of `record`, `recording` and `take`, as JSON, as the mirror's are. */
import type { Ancestor, Point, VolumeShape } from '../../mirror/core/meeting.ts';
import {
  ancestryOf,
  ancestryText,
  checkedVersion,
  count,
  encode,
  flag,
  generationOf,
  GreetingError,
  parse,
  point,
  pointOf,
  text,
  volumesOf,
  word,
} from '../../mirror/link/greeting.ts';
import { LINK_VERSION } from '../../mirror/wire/layout.ts';

/** Monitor to recorder. */
export interface RecordHello {
  /** Its group. */
  readonly monitor: string;
  readonly volumes: readonly VolumeShape[];
  readonly generation: string;
  readonly ancestry: readonly Ancestor[];
  /** Of what its ring holds. */
  readonly tail: Point;
  readonly durable: Point;
  /** A number that no other session of it has: its connections are told by it. */
  readonly session: number;
  readonly carries: 'control' | 'data';
  /** The folder, as the recorder knows it, into which data is put; null: it comes over links. */
  readonly dataFolder: string | null;
}

/** Recorder to monitor. */
export interface RecordingState {
  readonly prefix: Point;
  /** Whether it has a base. */
  readonly isWhole: boolean;
}

/** Monitor to recorder: what comes. `base`: the volumes as they are come beside it; `changed`: what of them may have changed. */
export interface Take {
  readonly how: 'replay' | 'changed' | 'base';
  readonly from: Point;
  /** The monitor's clock, ms since 1970: between the recorder's word and this it was read. 0: it is not known yet. */
  readonly clockMs: number;
  /** The newest mark that is given by then, and its stamp, ms. Left out by an earlier program. */
  readonly newest?: { readonly mark: number; readonly stampMs: number };
}

export const encodeRecordHello = (hello: RecordHello): Uint8Array =>
  encode({
    ...hello,
    version: LINK_VERSION,
    ancestry: ancestryText(hello.ancestry),
    tail: point(hello.tail),
    durable: point(hello.durable),
  });

/** Throws a GreetingError. */
export function decodeRecordHello(body: Uint8Array): RecordHello {
  const from = parse(body);
  checkedVersion(from);
  const monitor = text(from, 'monitor');
  // It names a folder.
  if (!/^[A-Za-z0-9_-][A-Za-z0-9._-]{0,31}$/.test(monitor)) throw new GreetingError('no monitor');
  return {
    monitor,
    volumes: volumesOf(from),
    generation: generationOf(from),
    ancestry: ancestryOf(from),
    tail: pointOf(from, 'tail'),
    durable: pointOf(from, 'durable'),
    session: count(from, 'session'),
    carries: word(from, 'carries', ['control', 'data']),
    dataFolder: from['dataFolder'] === null ? null : text(from, 'dataFolder'),
  };
}

export const encodeRecordingState = ({ prefix, isWhole }: RecordingState): Uint8Array =>
  encode({ version: LINK_VERSION, prefix: point(prefix), isWhole });

/** Throws a GreetingError. */
export function decodeRecordingState(body: Uint8Array): RecordingState {
  const from = parse(body);
  checkedVersion(from);
  return { prefix: pointOf(from, 'prefix'), isWhole: flag(from, 'isWhole') };
}

export const encodeTake = ({ how, from, clockMs, newest }: Take): Uint8Array =>
  encode({
    how,
    from: point(from),
    clockMs,
    ...(newest ? { newestMark: newest.mark, newestStampMs: newest.stampMs } : {}),
  });

/** Throws a GreetingError. */
export function decodeTake(body: Uint8Array): Take {
  const from = parse(body);
  const how = word(from, 'how', ['replay', 'changed', 'base']);
  const take = { how, from: pointOf(from, 'from'), clockMs: count(from, 'clockMs') };
  if (from['newestMark'] === undefined) return take;
  return { ...take, newest: { mark: count(from, 'newestMark'), stampMs: count(from, 'newestStampMs') } };
}
