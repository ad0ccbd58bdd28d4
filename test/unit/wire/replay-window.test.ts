import { expect, test } from 'vitest';
import { ReplayWindow } from '../../../agent/wire/replay-window.ts';

test('takes each counter once, in any order, within its size', () => {
  const window = new ReplayWindow();
  expect(window.accept(5)).toBe(true);
  expect(window.accept(3)).toBe(true);
  expect(window.accept(3)).toBe(false);
  expect(window.accept(5 + ReplayWindow.SIZE)).toBe(true);
  expect(window.accept(5)).toBe(false);
  expect(window.accept(6)).toBe(true);
  expect(window.accept(2 ** 50)).toBe(true);
  expect(window.accept(6 + ReplayWindow.SIZE)).toBe(false);
  expect(window.accept(2 ** 50 - ReplayWindow.SIZE + 1)).toBe(true);
});
