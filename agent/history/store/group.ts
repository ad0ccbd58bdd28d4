/** What a recording writes together, and the parts of it where that is more than one segment is to hold. */
import { dataBytes, type DataHeader } from '../wire/data.ts';
import { RECORD_KIND, type ControlRecord } from '../wire/record.ts';
import type { Image } from './base-images.ts';

/** A payload that has come. */
export interface Arrived {
  readonly header: DataHeader;
  /** In its body. */
  readonly offset: number;
}

/** Data records, one behind the other. */
export interface Body {
  readonly body: Uint8Array;
  readonly arrived: readonly Arrived[];
}

/** A record of the recorder's own. `branchedTo`: of a branch, whose marks come behind it; `isEnd`: behind what is there a gap begins. */
export type Word = ControlRecord & { readonly branchedTo?: string; readonly isEnd?: true };

export interface Group {
  readonly bodies: readonly Body[];
  readonly records: readonly ControlRecord[];
  readonly words: readonly Word[];
  readonly images: readonly Image[];
}

export const isBranch = ({ kind }: ControlRecord): boolean => kind === RECORD_KIND.branch;

export const bodyBytes = ({ bodies }: Pick<Group, 'bodies'>): number =>
  bodies.reduce((sum, { body }) => sum + body.length, 0);

/**
 * One behind the other, each with no more data than `most` unless one record is. Control goes with the data of its time: a segment can be
 * folded when all that it names is here. A word goes behind all that it speaks of.
 */
export function partsOf(group: Group, most: number): readonly Group[] {
  const pieces = bodiesOf(group, most);
  if (pieces.length === 1) return [group];
  const parts = pieces.map((bodies) => ({
    bodies,
    records: [] as ControlRecord[],
    words: [] as Word[],
    images: [] as readonly Image[],
  }));
  let top = 0;
  const tops = pieces.map((bodies) => (top = marksOf(bodies).reduce((a, b) => Math.max(a, b), top)));
  for (const record of group.records) parts.at(tops.findIndex((mark) => mark >= record.mark))?.records.push(record);
  const lowest = parts.map(({ bodies, records }) =>
    [...marksOf(bodies), ...records.map(({ mark }) => mark)].reduce((a, b) => Math.min(a, b), Infinity),
  );
  let at = 0;
  for (const word of group.words) {
    const behind = lowest.findLastIndex((mark) => mark <= word.mark);
    at = Math.max(at, behind);
    // A branch voids what stands before it, and what is here has come since.
    parts[isBranch(word) ? 0 : at]?.words.push(word);
  }
  const [first] = parts;
  if (first) first.images = group.images;
  return parts;
}

const marksOf = (bodies: readonly Body[]): number[] =>
  bodies.flatMap(({ arrived }) => arrived.map(({ header }) => header.mark));

function bodiesOf(group: Group, most: number): readonly Body[][] {
  const parts: Body[][] = [[]];
  let bytes = 0;
  for (const one of group.bodies.flatMap((body) => split(body, most))) {
    if (bytes > 0 && bytes + one.body.length > most) {
      parts.push([]);
      bytes = 0;
    }
    parts.at(-1)?.push(one);
    bytes += one.body.length;
  }
  return parts;
}

/** A body that is too much, by its records. */
function split({ body, arrived }: Body, most: number): readonly Body[] {
  const pieces: Arrived[][] = [];
  let from = 0;
  for (const one of body.length > most ? arrived : []) {
    const isMore = pieces.length > 0 && endOf(one) - from <= most;
    if (!isMore) from = one.offset;
    if (isMore) pieces.at(-1)?.push(one);
    else pieces.push([one]);
  }
  if (pieces.length === 0) return [{ body, arrived }];
  return pieces.map((piece) => {
    const [begin, end] = [piece[0]?.offset ?? 0, piece.reduce((last, one) => Math.max(last, endOf(one)), 0)];
    const own = piece.map(({ header, offset }) => ({ header, offset: offset - begin }));
    return { body: body.subarray(begin, end), arrived: own };
  });
}

const endOf = ({ header, offset }: Arrived): number => offset + dataBytes(header.payloadBytes);
