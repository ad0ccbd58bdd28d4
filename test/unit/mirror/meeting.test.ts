import { describe, expect, test } from 'vitest';
import { meet, type SourceView, type TargetView } from '../../../agent/mirror/core/meeting.ts';

const chain = (mark: number): bigint => BigInt(mark) * 1000n;
const point = (mark: number): { mark: number; chain: bigint } => ({ mark, chain: chain(mark) });
const VOLUMES = [{ name: 'data', bytes: 1_048_576 }];

const source = (part: Partial<SourceView> = {}): SourceView => ({
  group: 'erp',
  volumes: VOLUMES,
  generation: 'g2',
  ancestry: [{ generation: 'g1', until: point(50) }],
  tail: point(100),
  durable: point(200),
  chainAt: chain,
  isCovered: () => false,
  isScanWanted: false,
  isInPlaceWanted: false,
  ...part,
});

const target = (part: Partial<TargetView> = {}): TargetView => ({
  group: 'erp',
  volumes: VOLUMES,
  generation: 'g2',
  hasCut: true,
  cut: point(120),
  prefix: point(150),
  ancestry: [],
  diverged: null,
  isTakenOver: false,
  ...part,
});

test('MI11: what the ring still holds is replayed from the target’s durable prefix', () => {
  expect(meet(source(), target())).toEqual({ how: 'replay', from: 150 });
  expect(meet(source(), target({ cut: point(100), prefix: point(100) }))).toEqual({ how: 'replay', from: 100 });
  expect(meet(source(), target({ cut: point(200), prefix: point(200) }))).toEqual({ how: 'replay', from: 200 });
});

test('MI3: what a crash took from the source is dropped by the target', () => {
  // The target holds 230 marks; asked for 200, it says its chain there.
  expect(meet(source(), target({ prefix: point(200) }))).toEqual({ how: 'replay', from: 200 });
  const other = { mark: 200, chain: 7n };
  expect(meet(source(), target({ prefix: other }))).toMatchObject({ how: 'scan' });
});

test('MI11: an equal mark with another chain is not in sync', () => {
  const other = { mark: 150, chain: 1n };
  expect(meet(source(), target({ prefix: other }))).toEqual({ how: 'scan', from: 200, isFirst: false });
});

test('CR4 MI11: what the ring has lost is compared by the bitmap, at a cut that it covers', () => {
  const behind = target({ cut: point(60), prefix: point(80) });
  const isCovered = ({ mark, chain: at }: { mark: number; chain: bigint }) => mark === 60 && at === chain(60);
  expect(meet(source({ isCovered }), behind)).toEqual({ how: 'bitmap', from: 200, isFirst: false });
  expect(meet(source({ isCovered }), target({ cut: point(61), prefix: point(80) }))).toMatchObject({ how: 'scan' });
});

test('CR5: without a bitmap that covers its cut all is compared', () => {
  const behind = target({ cut: point(60), prefix: point(80) });
  expect(meet(source(), behind)).toEqual({ how: 'scan', from: 200, isFirst: false });
});

test('an operator may have all of it compared, whatever is known', () => {
  const wanted = { isScanWanted: true, isCovered: () => true };
  expect(meet(source(wanted), target())).toEqual({ how: 'scan', from: 200, isFirst: false });
});

test('a new target is compared with all, and may be written in place', () => {
  expect(meet(source(), target({ hasCut: false, generation: '' }))).toEqual({ how: 'scan', from: 200, isFirst: true });
});

test('MI13: an ancestor is brought here by a scan; a stranger and an older source are refused', () => {
  expect(meet(source(), target({ generation: 'g1' }))).toEqual({ how: 'scan', from: 200, isFirst: false });
  expect(meet(source(), target({ generation: 'g9' }))).toMatchObject({
    how: 'refuse',
    reason: expect.stringContaining('no ancestor'),
  });
  expect(meet(source(), target({ cut: point(220), prefix: point(200) }))).toMatchObject({ how: 'refuse' });
});

test.each<[string, Partial<TargetView>]>([
  ['another group', { group: 'crm' }],
  ['a volume that is missing', { volumes: [] }],
  ['a volume of another size', { volumes: [{ name: 'data', bytes: 1 }] }],
  ['a volume too many', { volumes: [...VOLUMES, { name: 'log', bytes: 1 }] }],
])('MI13: %s is refused, and the reason names it', (_, part) => {
  const met = meet(source(), target(part));
  expect(met.how).toBe('refuse');
  expect(met).toHaveProperty('reason', expect.stringMatching(/"(crm|data|log)"/));
});

describe('MI13: generations', () => {
  const former = (generation: string, mark: number) => ({ generation, until: point(mark) });

  test('a copy of the parent with nothing beyond the branch goes on from where it is', () => {
    const ancestry = [former('g1', 120)];
    const copy = target({ generation: 'g1', cut: point(110), prefix: point(120) });
    expect(meet(source({ ancestry }), copy)).toEqual({ how: 'replay', from: 120 });
    // It stands before what the ring has.
    const older = target({ generation: 'g1', cut: point(60), prefix: point(90) });
    expect(meet(source({ ancestry }), older)).toEqual({ how: 'scan', from: 200, isFirst: false });
  });

  test('a copy of the parent that goes beyond the branch is compared, however alike the marks are', () => {
    const ancestry = [former('g1', 120)];
    for (const part of [
      { cut: point(130), prefix: point(130) },
      { cut: point(130), prefix: point(120) },
    ]) {
      const met = meet(source({ ancestry }), target({ generation: 'g1', ...part }));
      expect(met).toEqual({ how: 'scan', from: 200, isFirst: false });
    }
  });

  test('a source that meets its successor is told what it alone holds', () => {
    for (const isTakenOver of [true, false]) {
      const newer = target({ generation: 'g3', ancestry: [former('g2', 180)], isTakenOver });
      expect(meet(source(), newer)).toEqual({
        how: 'refuse',
        reason: expect.stringContaining('marks 181 to 200 are here alone'),
        rival: { kin: 'overtaken', generation: 'g3', until: point(180) },
      });
    }
    // The second has marks that a crash took from us.
    for (const until of [200, 210]) {
      const even = target({ generation: 'g3', ancestry: [former('g2', until)], isTakenOver: true });
      expect(meet(source(), even)).toHaveProperty('reason', expect.stringContaining('nothing was written here since'));
    }
  });

  test('CY6: of a former source what it has beyond the branch is compared, and what was written here since', () => {
    const regions = [{ volume: 0, first: 3, count: 2 }];
    const blank = target({ generation: 'g1', hasCut: false, diverged: { until: point(120), regions } });
    const ours = source({ ancestry: [former('g1', 120)], isCovered: ({ mark }) => mark === 120 });
    expect(meet(ours, blank)).toEqual({ how: 'bitmap', from: 200, isFirst: true, also: regions });
    const scan = { how: 'scan', from: 200, isFirst: true };
    expect(meet({ ...ours, isCovered: () => false }, blank)).toEqual(scan);
    expect(meet({ ...ours, ancestry: [former('g1', 119)] }, blank)).toEqual(scan);
    expect(meet({ ...ours, isScanWanted: true }, blank)).toEqual(scan);
    expect(meet(ours, { ...blank, diverged: null })).toEqual(scan);
  });

  test('two generations of one parent are split brain, named with what each has', () => {
    const other = target({ generation: 'g3', ancestry: [former('g1', 60)], isTakenOver: true, prefix: point(75) });
    expect(meet(source(), other)).toEqual({
      how: 'refuse',
      reason: expect.stringMatching(
        /split brain: generation g2 \(marks 51 to 200\) here and g3 \(marks 51 to 75\) there both come from g1.*failback --discard/,
      ),
      rival: { kin: 'split', generation: 'g3', until: point(50) },
    });
  });

  test('a source that is not yet a target, one of the same generation, and a stranger are refused', () => {
    const all: [Partial<TargetView>, RegExp][] = [
      [{ generation: 'g1' }, /still a source, of generation g1.*mirror failback/],
      [{ generation: 'g2' }, /same generation/],
      [{ generation: 'g9' }, /no kin/],
    ];
    for (const [part, words] of all) {
      const met = meet(source(), target({ isTakenOver: true, ...part }));
      expect(met).toEqual({ how: 'refuse', reason: expect.stringMatching(words) });
    }
  });
});
