/** What leaves for a target over several connections: on which, how much of it at once, and again when one is lost. */
import { beforeEach, describe, expect, test } from 'vitest';
import type { LinkConnection } from '../../../../agent/mirror/link/connection.ts';
import { Appender } from '../../../../agent/mirror/source/appender.ts';
import { DataLink } from '../../../../agent/mirror/source/data-link.ts';
import { Outflow } from '../../../../agent/mirror/source/outflow.ts';
import type { Resync } from '../../../../agent/mirror/source/resync.ts';
import { RingCursor } from '../../../../agent/mirror/source/ring-cursor.ts';
import { SessionCuts } from '../../../../agent/mirror/source/session-cuts.ts';
import { allocateJournal, JournalMemory } from '../../../../agent/mirror/store/journal-memory.ts';
import { ENTRY_KIND, entryBytes } from '../../../../agent/mirror/wire/entry.ts';
import { FRAME_KIND, type FrameKind } from '../../../../agent/mirror/wire/frame.ts';

const KIB = 1024;
const SIZE = { windowBytes: 4096 * KIB, ringBytes: 4096 * KIB };
const START = { position: 0, mark: 0, chain: 0n, time: 0n, cycle: 1 };
const SESSION = 7;
/** Each fills a transfer. */
const WRITE = 200 * KIB;
const BYTES = entryBytes(WRITE);

class FakeConnection {
  isFull = false;
  ended: string | null = null;
  transfers: number[] = [];
  questions: number[] = [];

  get isOpen(): boolean {
    return this.ended === null;
  }

  send(kind: FrameKind, session: number, id: number): void {
    expect(session).toBe(SESSION);
    if (kind === FRAME_KIND.entries) this.transfers.push(id);
    if (kind === FRAME_KIND.inquiry) this.questions.push(id);
  }

  end(reason: string): void {
    this.ended = reason;
  }

  get link(): LinkConnection {
    return this as unknown as LinkConnection;
  }
}

let appender: Appender;
let outflow: Outflow;
let cuts: SessionCuts;
let resync: Resync | null;
let first: FakeConnection;
let extras: { readonly connection: FakeConnection; readonly link: DataLink }[];

function write(count: number): void {
  for (let i = 0; i < count; i++) appender.append(ENTRY_KIND.write, 0, 0, WRITE, [new Uint8Array(WRITE)]);
  outflow.pump();
}

const all = (): number[][] => [first, ...extras.map(({ connection }) => connection)].map(({ transfers }) => transfers);

beforeEach(() => {
  const memory = new JournalMemory(allocateJournal(SIZE));
  appender = new Appender(memory, new Uint8Array(16).fill(7), START, 0, () => 1n);
  resync = null;
  const ring = {
    ...SIZE,
    get head() {
      return appender.head;
    },
    get durable() {
      return appender.head;
    },
    windowFrom: (position: number) => memory.window.subarray(position % SIZE.windowBytes),
    inFile: () => true,
  };
  const host = { machine: null as never, ring, readFile: async () => {} };
  cuts = new SessionCuts(true);
  cuts.begin(0, 0);
  outflow = new Outflow(host, cuts, () => resync);
  first = new FakeConnection();
  const cursor = new RingCursor(ring, START, host.readFile);
  const { windowBytes } = SIZE;
  outflow.begin({ connection: first.link, session: SESSION, cursor, windowBytes, isOneOfSeveral: true });
  outflow.roomBytes = SIZE.ringBytes;
  extras = [1, 2].map(() => {
    const connection = new FakeConnection();
    const link = new DataLink(connection.link, true);
    outflow.join(link);
    return { connection, link };
  });
});

test('[CY2] each transfer goes to the connection with the fewest bytes waiting', () => {
  expect(outflow.connections).toBe(3);
  write(4);
  expect(all()).toEqual([[1, 4], [2], [3]]);
  // Behind each the question whether it is there.
  expect(first.questions).toEqual([1, 4]);
  extras[1]?.link.answered(3);
  write(2);
  expect(all()).toEqual([
    [1, 4],
    [2, 6],
    [3, 5],
  ]);
  outflow.answered(4);
  const [one] = extras;
  if (one) one.connection.isFull = true;
  write(3);
  expect(all()).toEqual([
    [1, 4, 7, 8],
    [2, 6],
    [3, 5, 9],
  ]);
});

describe('[CY2] the room of the target', () => {
  test('in any order goes what fits in any order; the rest on the first alone, when all else has arrived', () => {
    // Four, and a skip that is as long as one.
    outflow.roomBytes = 5 * BYTES;
    write(8);
    expect(all()).toEqual([[1, 4], [2], [3]]);
    // The third is missing: on the first it could be overtaken, and what it needs taken by another.
    outflow.stored(2, 0);
    outflow.roomBytes = 2 * BYTES;
    outflow.pump();
    expect(all()).toEqual([[1, 4], [2], [3]]);
    // All there, and room for one, not for a skip too.
    outflow.stored(4, 0);
    outflow.roomBytes = 1.5 * BYTES;
    outflow.pump();
    expect(all()).toEqual([[1, 4, 5, 6], [2], [3]]);
    outflow.stored(6, 6);
    outflow.roomBytes = SIZE.ringBytes;
    outflow.pump();
    expect(all()).toEqual([
      [1, 4, 5, 6],
      [2, 7],
      [3, 8],
    ]);
  });

  test('while a comparison runs everything is in its order, on the first', () => {
    resync = { pump: () => {}, isFlowing: true, isInPlace: true } as unknown as Resync;
    write(4);
    expect(all()).toEqual([[1, 2, 3, 4], [], []]);
    resync = null;
    write(2);
    expect(all()).toEqual([[1, 2, 3, 4], [5], [6]]);
  });
});

describe('[CY2] a connection that is lost', () => {
  test('what lies behind what has arrived goes once more on the others, in other transfers', () => {
    write(5);
    expect(all()).toEqual([[1, 4], [2, 5], [3]]);
    outflow.stored(1, 0);
    expect(cuts.next()).toBeNull();
    const [one] = extras;
    if (!one) throw new Error('there are two');
    one.connection.end('lost');
    outflow.leave(one.link);
    outflow.leave(one.link);
    expect(outflow.connections).toBe(2);
    expect(
      all()
        .flat()
        .toSorted((a, b) => a - b),
    ).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(one.connection.transfers).toEqual([2, 5]);
    expect(outflow.stored(5, 5)).toBe(5 * BYTES);
  });

  test('nothing goes again when all of it is there', () => {
    write(3);
    outflow.stored(3, 0);
    const [one] = extras;
    if (one) outflow.leave(one.link);
    expect(all()).toEqual([[1], [2], [3]]);
  });

  test('one that answers nothing for ten seconds is lost, and not while the target takes nothing', () => {
    const [one, two] = extras;
    const ask = (isBusy = false): void => {
      outflow.ask(1000, isBusy);
      two?.link.answered(0);
    };
    for (let i = 0; i < 11; i++) ask();
    expect(one?.connection.ended).toBeNull();
    for (let i = 0; i < 30; i++) ask(true);
    for (let i = 0; i < 10; i++) ask();
    expect(one?.connection.ended).toBeNull();
    for (let i = 0; i < 2; i++) ask();
    expect([first, two?.connection].map((connection) => connection?.ended)).toEqual([null, null]);
    expect(one?.connection.ended).toMatch(/no answer for too long/);
  });

  test('the first, which carries more than transfers, is given longer; whatever it brings shows that it lives', () => {
    const ask = (seconds: number): void => {
      for (let i = 0; i < seconds; i++) outflow.ask(1000, false);
    };
    // Ten seconds, and what 8 MiB take at 64 KiB a second.
    ask(138);
    outflow.heard();
    ask(138);
    expect(first.ended).toBeNull();
    ask(2);
    expect(first.ended).toMatch(/no answer for too long/);
  });

  test('one with much to carry is given the time for it', () => {
    write(2);
    const [one] = extras;
    // Ten seconds, and what 200 KiB take at 64 a second.
    for (let i = 0; i < 13; i++) outflow.ask(1000, false);
    expect(one?.connection.ended).toBeNull();
    for (let i = 0; i < 3; i++) outflow.ask(1000, false);
    expect(one?.connection.ended).not.toBeNull();
  });
});
