import { expect, test } from 'vitest';
import { Sent } from '../../../../agent/mirror/source/sent.ts';

const at = (mark: number, position: number) => ({ mark, position });

test('what is under way is what was sent and not taken; what is durable may be freed', () => {
  const sent = new Sent<ReturnType<typeof at>>();
  sent.begin(at(0, 1000));
  expect(sent.underWay).toBe(0);
  sent.sent(at(1, 1100));
  sent.sent(at(2, 1300));
  sent.sent(at(3, 1600));
  expect(sent.underWay).toBe(600);
  expect(sent.stored(2, 0)).toBe(1000);
  expect(sent.underWay).toBe(300);
  expect(sent.stored(2, 1)).toBe(1100);
  expect(sent.underWay).toBe(300);
  expect(sent.stored(3, 3)).toBe(1600);
  expect(sent.underWay).toBe(0);
  sent.sent(at(4, 1700));
  expect(sent.underWay).toBe(100);
  sent.begin(at(4, 1500));
  expect(sent.underWay).toBe(0);
});

test('it goes back to what the target has without a hole, never behind a transfer that it has in part', () => {
  const sent = new Sent<ReturnType<typeof at>>();
  sent.begin(at(0, 1000));
  expect(sent.goBack()).toEqual(at(0, 1000));
  for (const place of [at(2, 1200), at(4, 1400), at(6, 1600)]) sent.sent(place);
  sent.stored(5, 3);
  expect(sent.taken).toBe(1400);
  expect(sent.goBack()).toEqual(at(4, 1400));
  expect(sent.underWay).toBe(0);
  sent.sent(at(5, 1500));
  expect(sent.underWay).toBe(100);
  // Durable up to where it went back to: freed up to there, and not further.
  expect(sent.stored(4, 4)).toBe(1400);
  expect(sent.goBack()).toEqual(at(4, 1400));
});
