/** [HI4] What came at once, written in parts that fit a segment: nothing is lost, and each word stands behind what it speaks of. */
import { expect, test } from 'vitest';
import { crc32 } from '../../../agent/base/crc32.ts';
import { Prng } from '../../../agent/base/prng.ts';
import {
  bodyBytes,
  partsOf,
  type Arrived,
  type Body,
  type Group,
  type Word,
} from '../../../agent/history/store/group.ts';
import { dataBytes } from '../../../agent/history/wire/data.ts';
import { EMPTY_RECORD, RECORD_KIND } from '../../../agent/history/wire/record.ts';
import { shuffled } from '../../support/recorded-writes.ts';

const MOST = 4096;
const SIZES = { kind: RECORD_KIND.write, volume: 0, offset: 0, length: 512, payloadBytes: 512, payloadCrc: 0 };

/** Some records in each. */
function bodiesOf(random: Prng, marks: readonly number[]): Body[] {
  const bodies: Body[] = [];
  for (let from = 0; from < marks.length;) {
    const arrived: Arrived[] = [];
    let bytes = 0;
    for (const mark of marks.slice(from, from + random.between(1, 12))) {
      const payloadBytes = random.between(1, 1.2 * MOST);
      arrived.push({ header: { ...SIZES, mark, payloadBytes }, offset: bytes });
      bytes += dataBytes(payloadBytes);
      from++;
    }
    bodies.push({ body: new Uint8Array(bytes).map((_, i) => i % 251), arrived });
  }
  return bodies;
}

/** What is said of it, and its bytes. */
const recordsOf = ({ bodies }: Pick<Group, 'bodies'>): unknown[] =>
  bodies.flatMap(({ body, arrived }) =>
    arrived.map(({ header, offset }) => [
      header,
      crc32(body.subarray(offset, offset + dataBytes(header.payloadBytes))),
    ]),
  );

function randomGroup(random: Prng): Group {
  const marks = Array.from({ length: random.between(1, 60) }, (_, i) => i + 1);
  const withData = marks.filter(() => random.chance(4, 5));
  const word = (kind: number): Word => ({ ...EMPTY_RECORD, kind, mark: random.between(0, marks.length) });
  return {
    bodies: bodiesOf(random, shuffled(random, withData, 6)),
    records: shuffled(random, marks, 6).map((mark) => ({ ...EMPTY_RECORD, kind: RECORD_KIND.write, mark })),
    words: [word(RECORD_KIND.whole), word(RECORD_KIND.branch), word(RECORD_KIND.clock)].sort((a, b) => a.mark - b.mark),
    images: [],
  };
}

const marksOf = ({ bodies }: Pick<Group, 'bodies'>): number[] =>
  bodies.flatMap(({ arrived }) => arrived.map(({ header }) => header.mark));

test('[HI4] all of a group is in its parts, none of them larger than a segment, and words come behind what they speak of', () => {
  const random = new Prng(4);
  let most = 0;
  for (let round = 0; round < 500; round++) {
    const group = randomGroup(random);
    const parts = partsOf(group, MOST);
    most = Math.max(most, parts.length);
    expect(parts.flatMap(recordsOf)).toEqual(recordsOf(group));
    expect(new Set(parts.flatMap(({ records }) => records))).toEqual(new Set(group.records));
    expect(new Set(parts.flatMap(({ words }) => words))).toEqual(new Set(group.words));
    for (const [i, part] of parts.entries()) {
      expect(part.bodies.flatMap(({ arrived }) => arrived).length === 1 || bodyBytes(part) <= MOST).toBe(true);
      const later = parts
        .slice(i + 1)
        .flatMap(({ bodies, records }) => [
          ...records.map(({ mark }) => mark),
          ...bodies.flatMap(({ arrived }) => arrived.map(({ header }) => header.mark)),
        ]);
      for (const { kind, mark } of part.words) {
        if (kind === RECORD_KIND.branch) expect(i).toBe(0);
        else expect(Math.min(...later)).toBeGreaterThan(mark);
      }
      // A segment is folded when all that it names is here: what comes later is not named much before it.
      const named = Math.max(0, ...part.records.map(({ mark }) => mark));
      const here = Math.max(0, ...parts.slice(0, i + 1).flatMap(marksOf));
      if (i < parts.length - 1) expect(named).toBeLessThanOrEqual(here);
    }
  }
  expect(most).toBeGreaterThan(10);
});

test('a recorder whose storage was away for long has more control than a call takes arguments', () => {
  const records = Array.from({ length: 300_000 }, (_, i) => ({ ...EMPTY_RECORD, kind: RECORD_KIND.zero, mark: i + 1 }));
  const header = { ...SIZES, mark: 300_000, payloadBytes: MOST };
  const bodies = [1, 2].map(() => ({ body: new Uint8Array(dataBytes(MOST)), arrived: [{ header, offset: 0 }] }));
  const parts = partsOf({ bodies, records, words: [], images: [] }, MOST);
  expect(parts.map((part) => part.records.length)).toEqual([300_000, 0]);
});
