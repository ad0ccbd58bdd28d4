/** What an operator has said of targets, in a superblock. */
import { expect, test } from 'vitest';
import { decodeOrders, encodeOrders, ORDERS_BYTES, type TargetOrder } from '../../../../agent/mirror/store/orders.ts';
import { decodeSuper, encodeSuper } from '../../../../agent/mirror/store/superblock.ts';
import { freshSuper } from './journal-world.ts';

const ORDERS: readonly TargetOrder[] = [
  { name: 'east', isPaused: true, compare: null, scanned: 0 },
  { name: 'a name of nearly thirty-two bytes', isPaused: false, compare: 'staged', scanned: 1_790_000_000 },
  { name: 'west', isPaused: true, compare: 'in place', scanned: 4_294_967_295 },
];

test('are read as they were written', () => {
  const orders = ORDERS.map((order) => ({ ...order, name: order.name.slice(0, 31) }));
  const result = decodeSuper(encodeSuper(freshSuper({ orders })));
  expect(result.ok && result.superblock.orders).toEqual(orders);
});

test('of a superblock that was written before there were any: none', () => {
  expect(decodeOrders(new Uint8Array(ORDERS_BYTES))).toEqual([]);
});

test('eight targets have room, and flags that are not known are passed over', () => {
  const orders = Array.from({ length: 8 }, (_, i) => ({
    name: `t${i}`,
    isPaused: true,
    compare: 'staged' as const,
    scanned: i,
  }));
  const block = new Uint8Array(ORDERS_BYTES);
  encodeOrders(orders, block);
  expect(decodeOrders(block)).toEqual(orders);
  block[32] = (block[32] ?? 0) + 128;
  expect(decodeOrders(block)).toEqual(orders);
});
