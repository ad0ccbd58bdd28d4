import { beforeEach, expect, test } from 'vitest';
import { BULK, DATA, type TypeIndex } from '../../../agent/base/packet-type.ts';
import { MessageIntake, laneWord } from '../../../agent/messages/intake.ts';
import { allocateMessages, messageRing } from '../../../agent/messages/memory.ts';
import type { Ring } from '../../../agent/queue/ring.ts';

let ring: Ring;
let intake: MessageIntake;
let sent: { peer: number; type: TypeIndex; content: number; enteredMs: number }[];
/** Lanes without room. */
let full: Set<number>;

beforeEach(() => {
  const memory = allocateMessages();
  ring = messageRing(memory.toSwitch);
  intake = new MessageIntake(memory);
  sent = [];
  full = new Set();
});

function put(peer: number, type: TypeIndex, content: number, enteredMs = 0, deadlineMs = 1000): void {
  ring.bytes[ring.reserve(1)] = content;
  ring.commit(1, laneWord(peer, type), deadlineMs, enteredMs);
}

const pump = (nowMs: number): boolean =>
  intake.pump(nowMs, (peer, type, frame, enteredMs) => {
    if (full.has(laneWord(peer, type))) return false;
    sent.push({ peer, type, content: frame[0] ?? -1, enteredMs });
    return true;
  });

const contents = (): number[] => sent.map(({ content }) => content);

test('[AG3] messages go to the lane of their peer and type, as old as they are', () => {
  put(62, BULK, 7, 12.5);
  expect(pump(20)).toBe(false);
  expect(sent).toEqual([{ peer: 62, type: BULK, content: 7, enteredMs: 12.5 }]);
});

test('[ORD1] a full lane keeps its own messages waiting, in order, and no other lane’s', () => {
  full.add(laneWord(1, DATA));
  for (let i = 0; i < 3; i++) {
    put(1, DATA, i);
    put(2, DATA, 10 + i);
    put(1, BULK, 20 + i);
  }
  pump(1);
  expect(contents()).toEqual([10, 20, 11, 21, 12, 22]);
  expect(intake.isWaiting).toBe(true);
  expect(ring.isEmpty).toBe(true);
  sent.length = 0;
  full.clear();
  put(1, DATA, 3);
  pump(2);
  expect(contents()).toEqual([0, 1, 2, 3]);
  expect(intake.isWaiting).toBe(false);
});

test('none waits beyond its deadline: its writer has counted it as missed', () => {
  full.add(laneWord(1, DATA));
  put(1, DATA, 1, 0, 100);
  put(1, DATA, 2, 0, 300);
  pump(1);
  full.clear();
  pump(200);
  expect(contents()).toEqual([2]);
});

test('a flood is taken in pieces, and says that there is more', () => {
  for (let i = 0; i < 100; i++) put(0, DATA, i);
  expect(pump(1)).toBe(true);
  expect(sent.length).toBe(64);
  expect(pump(1)).toBe(false);
  expect(contents()).toEqual(Array.from({ length: 100 }, (_, i) => i));
});
