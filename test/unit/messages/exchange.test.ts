import { afterEach, expect, test } from 'vitest';
import { MessageExchange } from '../../../agent/messages/exchange.ts';
import { allocateMessageRing, allocateMessages, MessageOutlet } from '../../../agent/messages/memory.ts';
import { until } from '../../support/until.ts';

let exchange: MessageExchange;
afterEach(() => exchange.close());

test('[AG3] what the switch and a reader deliver by turns arrives in the order of delivery', async () => {
  const memory = allocateMessages();
  const ofReader = allocateMessageRing();
  exchange = new MessageExchange(memory, () => {});
  exchange.hear([ofReader]);
  const got: number[] = [];
  exchange.listen((frame) => void got.push(frame[0] ?? -1));
  const outlets = [memory.fromSwitch, ofReader].map((ring) => new MessageOutlet(ring, memory.words));
  // The main thread is busy meanwhile: it finds all of them.
  const turns = [1, 1, 0, 1, 0, 0, 0, 1, 1, 0];
  for (const [i, turn] of turns.entries()) expect(outlets[turn]?.deliver(Uint8Array.of(i), 0)).toBe(true);
  await until('all arrive', () => got.length === turns.length);
  expect(got).toEqual(turns.map((_, i) => i));
});
