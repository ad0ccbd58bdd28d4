/** Two hubs joined by a road that the test holds: what is reported, counted and kept. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { DATA, type TypeIndex } from '../../../agent/base/packet-type.ts';
import type { OnArrival } from '../../../agent/messages/exchange.ts';
import { MessageHub } from '../../../agent/messages/hub.ts';
import type { Listener, ReceivedMessage, WriteResult, Writer } from '../../../agent/messages/program.ts';

class Program implements Writer, Listener {
  readonly reports: [number, WriteResult][] = [];
  readonly given: ReceivedMessage[] = [];
  report(number: number, result: WriteResult): void {
    this.reports.push([number, result]);
  }
  give(message: ReceivedMessage): void {
    this.given.push(message);
  }
  get texts(): string[] {
    return this.given.map(({ bytes }) => Buffer.from(bytes).toString());
  }
}

/** One node: its hub, and where its arrivals go. */
class Node {
  readonly hub = new MessageHub(() => performance.now(), 1000);
  onArrival: OnArrival = () => {};
  peer: Node | null = null;
  hasRoom = true;
  /** How old a frame is when it arrives. */
  lagMs = 0;

  join(name: string): void {
    this.hub.join({
      node: name,
      peers: [name === 'a' ? 'b' : 'a'],
      deadlineMs: 1000,
      maxAgeMs: 2000,
      seatOf: (peer) => (peer === (name === 'a' ? 'b' : 'a') ? 0 : -1),
      send: (_peer: number, _type: TypeIndex, frame: Uint8Array, enteredMs: number) => {
        if (this.hasRoom) this.peer?.onArrival(frame.slice(), enteredMs - this.lagMs);
        return this.hasRoom;
      },
      listen: (onArrival) => (this.onArrival = onArrival),
    });
  }
}

let a: Node;
let b: Node;
let writer: Program;
let number: number;

beforeEach(() => {
  vi.useFakeTimers();
  [a, b] = [new Node(), new Node()];
  [a.peer, b.peer] = [b, a];
  a.join('a');
  b.join('b');
  writer = new Program();
  number = 1;
});
afterEach(() => {
  a.hub.close();
  b.hub.close();
  vi.useRealTimers();
});

const write = (text: string, fields: { channel?: string; peer?: string; deadlineMs?: number } = {}): string | null =>
  a.hub.write(writer, { number: number++, peer: 'b', type: DATA, channel: '', bytes: Buffer.from(text), ...fields });

function listen(channel = '', count = Infinity): Program {
  const program = new Program();
  b.hub.subscribe(program, channel, count);
  return program;
}

test('[AG9] delivered is said when a program has read it, not when it was given', () => {
  const reader = listen();
  write('x');
  expect(reader.texts).toEqual(['x']);
  vi.advanceTimersByTime(10);
  expect(writer.reports).toEqual([]);
  b.hub.taken(reader.given[0]?.number ?? 0);
  expect(writer.reports).toEqual([[1, { delivered: true, afterMs: 10 }]]);
  vi.advanceTimersByTime(5000);
  expect(writer.reports).toHaveLength(1);
  expect(a.hub.counters).toMatchObject({ sent: 1, delivered: 1, missed: 0, late: 0 });
  expect(b.hub.counters).toMatchObject({ received: 1, untaken: 0 });
});

test('[AG9] no report by the deadline is a miss; a report behind it counts as late, once', () => {
  const reader = listen();
  write('x', { deadlineMs: 300 });
  vi.advanceTimersByTime(299);
  expect(writer.reports).toEqual([]);
  vi.advanceTimersByTime(1);
  expect(writer.reports).toEqual([[1, { delivered: false, reason: 'deadline' }]]);
  const { number: given } = reader.given[0] as ReceivedMessage;
  b.hub.taken(given);
  b.hub.taken(given);
  expect(a.hub.counters).toMatchObject({ delivered: 0, missed: 1, late: 1 });
});

test('with nobody listening the reason is known; who comes in time gets it, in order', () => {
  write('lost', { deadlineMs: 100 });
  vi.advanceTimersByTime(100);
  expect(writer.reports).toEqual([[1, { delivered: false, reason: 'no receiver' }]]);
  write('second');
  write('elsewhere', { channel: 'other' });
  expect(b.hub.waiting).toBe(3);
  const reader = listen();
  expect(reader.texts).toEqual(['lost', 'second']);
  expect(b.hub.waiting).toBe(1);
});

test('[AGE1] what waits for a program grows no older than a packet may, its way included', () => {
  a.lagMs = 1500;
  write('x');
  vi.advanceTimersByTime(400);
  expect(b.hub.waiting).toBe(1);
  vi.advanceTimersByTime(200);
  expect(b.hub.waiting).toBe(0);
  expect(listen().texts).toEqual([]);
  expect(b.hub.counters.untaken).toBe(1);
});

test('what waits is bounded: beyond that the writer is told at once', () => {
  for (let i = 0; i < 30; i++) write('x'.repeat(50_000));
  expect(b.hub.waiting).toBeLessThan(21);
  expect(writer.reports.length).toBe(30 - b.hub.waiting);
  expect(writer.reports[0]).toEqual([b.hub.waiting + 1, { delivered: false, reason: 'no receiver' }]);
});

test('every listener of the channel gets it, and the first that reads it makes it delivered', () => {
  const [one, two, other] = [listen(), listen(), listen('other')];
  write('x');
  expect([one.texts, two.texts, other.texts]).toEqual([['x'], ['x'], []]);
  b.hub.forget(one, [one.given[0]?.number ?? 0]);
  b.hub.taken(two.given[0]?.number ?? 0);
  b.hub.taken(two.given[0]?.number ?? 0);
  expect(writer.reports).toHaveLength(1);
  expect(b.hub.counters.untaken).toBe(0);
});

test('who wants two gets two; what it was given and did not read goes to nobody else', () => {
  const few = listen('', 2);
  for (const text of ['1', '2', '3']) write(text);
  expect(few.texts).toEqual(['1', '2']);
  b.hub.forget(
    few,
    few.given.map((message) => message.number),
  );
  expect(b.hub.counters.untaken).toBe(2);
  expect(listen().texts).toEqual(['3']);
});

test('an unknown peer is refused by name, and nothing is counted', () => {
  expect(write('x', { peer: 'c' })).toBe("no peer c: this node's peers are b");
  expect(a.hub.counters.sent).toBe(0);
});

test('without room, and while the agent is exchanged, messages wait in order, until their deadline', () => {
  const reader = listen();
  a.hasRoom = false;
  write('1', { deadlineMs: 50 });
  write('2');
  vi.advanceTimersByTime(60);
  a.hub.join(null);
  write('3');
  expect(writer.reports).toEqual([[1, { delivered: false, reason: 'deadline' }]]);
  a.hasRoom = true;
  a.join('a');
  expect(reader.texts).toEqual(['2', '3']);
  expect(reader.given[0]?.peer).toBe('a');
});

test('a frame that is no message of ours is passed over', () => {
  b.onArrival(Uint8Array.of(0xb5, 1, 0, 200), 0);
  b.onArrival(new Uint8Array(0), 0);
  expect(b.hub.counters.received).toBe(0);
});

test('[AG9] what waits for a program outlives a restart in place, and grows no older than before', () => {
  write('x');
  b.hub.join(null);
  vi.advanceTimersByTime(500);
  expect(b.hub.waiting).toBe(1);
  b.join('b');
  expect(listen().texts).toEqual(['x']);
  write('y', { channel: 'other' });
  b.hub.join(null);
  vi.advanceTimersByTime(2100);
  expect(b.hub.waiting).toBe(0);
});
