import { expect, test } from 'vitest';
import { ArrivedTransfers, SentTransfers } from '../../../agent/mirror/core/transfers.ts';

test('[RF4] the source knows the transfer of a mark and the place in it, and no mark that it did not send', () => {
  const sent = new SentTransfers();
  sent.add(1, 12, 3);
  sent.add(2, 13, 1);
  sent.add(3, 20, 7);
  const places = [9, 10, 12, 13, 14, 20, 21].map((mark) => sent.placeOf(mark));
  expect(places).toEqual([
    null,
    { transfer: 1, index: 0 },
    { transfer: 1, index: 2 },
    { transfer: 2, index: 0 },
    { transfer: 3, index: 0 },
    { transfer: 3, index: 6 },
    null,
  ]);
});

test('[CY2] what is sent once more is known by its last transfer', () => {
  const sent = new SentTransfers();
  sent.add(1, 12, 3);
  sent.add(2, 13, 1);
  sent.add(3, 20, 7);
  sent.dropBeyond(13);
  expect(sent.placeOf(14)).toBeNull();
  sent.add(4, 15, 2);
  expect(sent.placeOf(13)).toEqual({ transfer: 2, index: 0 });
  expect(sent.placeOf(15)).toEqual({ transfer: 4, index: 1 });
});

test('[RF4] the target knows the mark at a place of a transfer, in whatever order they came', () => {
  const arrived = new ArrivedTransfers();
  for (const [transfer, mark] of [
    [2, 13],
    [1, 10],
    [1, 11],
    [3, 11],
  ] as const) {
    arrived.add(transfer, mark);
  }
  expect(arrived.markAt({ transfer: 1, index: 1 })).toBe(11);
  expect(arrived.markAt({ transfer: 3, index: 0 })).toBe(11);
  expect(arrived.markAt({ transfer: 1, index: 2 })).toBeNull();
  expect(arrived.markAt({ transfer: 4, index: 0 })).toBeNull();
});

test('[MI16] what a cut has passed is forgotten on both sides, and nothing behind it', () => {
  const sent = new SentTransfers();
  const arrived = new ArrivedTransfers();
  for (let transfer = 1; transfer <= 10; transfer++) {
    sent.add(transfer, transfer * 2, 2);
    arrived.add(transfer, transfer * 2 - 1);
    arrived.add(transfer, transfer * 2);
  }
  sent.forget(7);
  arrived.forget(7);
  expect(sent.placeOf(6)).toBeNull();
  expect(sent.placeOf(8)).toEqual({ transfer: 4, index: 1 });
  expect(arrived.markAt({ transfer: 3, index: 0 })).toBeNull();
  expect(arrived.markAt({ transfer: 4, index: 1 })).toBe(8);
  sent.forget(100);
  expect(sent.placeOf(20)).toBeNull();
});
