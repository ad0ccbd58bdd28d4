/** What of a source's ring lies beyond the point at which another generation went on. */
import { expect, test } from 'vitest';
import { Prng } from '../../../../agent/base/prng.ts';
import type { Point } from '../../../../agent/mirror/core/meeting.ts';
import { beyond } from '../../../../agent/mirror/source/beyond.ts';
import { encodeSuper, SuperWriter } from '../../../../agent/mirror/store/superblock.ts';
import type { VolumeDevice } from '../../../../agent/mirror/threads/volume-loop.ts';
import { JOURNAL_RING_OFFSET } from '../../../../agent/mirror/wire/layout.ts';
import { CrashDisk } from '../../../support/crash-disk.ts';
import { SourceModel } from '../../../support/source-model.ts';
import { freshSuper, SIZE } from '../store/journal-world.ts';

/** A generation that wrote some, sealed, and wrote more; the seal is mark 4. What is common to two is the same in both. */
function written(last = 7): SourceModel {
  const model = new SourceModel(new Prng(1), [65_536], 2000);
  for (let i = 0; i < 3; i++) model.append();
  model.seal();
  while (model.mark < last) model.append();
  return model;
}

/** The journal's device; `from`: the ring begins behind this mark. */
function journalOf({ entries, generation }: SourceModel, from: Point = { mark: 0, chain: 0n }): VolumeDevice {
  const disk = new CrashDisk(JOURNAL_RING_OFFSET + SIZE.ringBytes);
  let position = 0;
  let tailPosition = 0;
  for (const { bytes, mark } of entries) {
    disk.write(JOURNAL_RING_OFFSET + position, bytes);
    position += bytes.length;
    if (mark === from.mark) tailPosition = position;
  }
  const superblock = freshSuper({
    generation,
    tailPosition,
    durablePosition: tailPosition,
    tailMark: from.mark + 1,
    tailChain: from.chain,
  });
  expect(new SuperWriter(1).write(disk, encodeSuper(superblock))).toBe(0);
  return Object.assign(disk, { zero: () => 0, close: () => {} });
}

test('it counts the writes behind the point, and none where seals alone lie there', () => {
  const model = written();
  expect(beyond(journalOf(model), model.point(4))).toMatchObject({ writes: 3, first: 5, last: 7 });
  expect(beyond(journalOf(model, model.point(4)), model.point(4))).toMatchObject({ writes: 3 });
  expect(beyond(journalOf(model), model.point(7))).toMatchObject({ writes: 0, first: 8, last: 7, regions: [] });
  model.seal();
  expect(beyond(journalOf(model), model.point(7))).toMatchObject({ writes: 0, first: 8, last: 8, regions: [] });
});

test('a ring that does not go back to the point cannot say', () => {
  const model = written();
  expect(beyond(journalOf(model, model.point(5)), model.point(4))).toBeNull();
});

test('[MI3] [MI11] nor can one that ends before it, or bears other writes under those marks: a crash took its own', () => {
  const target = written();
  const source = written(5);
  expect(beyond(journalOf(source), target.point(7))).toBeNull();
  source.random.below(2);
  for (let i = 0; i < 3; i++) source.append();
  expect(source.mark).toBe(8);
  expect(beyond(journalOf(source), target.point(7))).toBeNull();
  // Behind the last mark that both have it can.
  expect(beyond(journalOf(source), target.point(5))).toMatchObject({ writes: 3, first: 6, last: 8 });
});
