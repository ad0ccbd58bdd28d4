import { expect, test } from 'vitest';
import { Sent } from '../../../../agent/mirror/source/sent.ts';

test('what is under way is what was sent and not taken; what is durable may be freed', () => {
  const sent = new Sent();
  sent.begin(1000);
  expect(sent.underWay).toBe(0);
  sent.sent(1, 1100);
  sent.sent(2, 1300);
  sent.sent(3, 1600);
  expect(sent.underWay).toBe(600);
  expect(sent.stored(2, 0)).toBe(1000);
  expect(sent.underWay).toBe(300);
  expect(sent.stored(2, 1)).toBe(1100);
  expect(sent.underWay).toBe(300);
  expect(sent.stored(3, 3)).toBe(1600);
  expect(sent.underWay).toBe(0);
  sent.sent(4, 1700);
  expect(sent.underWay).toBe(100);
  sent.begin(1500);
  expect(sent.underWay).toBe(0);
});
