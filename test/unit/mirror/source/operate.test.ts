/** [CR3] When a scan is due: counted from the end of the last one, over restarts and whatever the clock does. */
import { beforeEach, expect, test } from 'vitest';
import type { Machine } from '../../../../agent/mirror/machine.ts';
import type { SourceGroup } from '../../../../agent/mirror/source/group.ts';
import { scrubEvery } from '../../../../agent/mirror/source/operate.ts';

const HOUR_S = 3600;
const NOW_S = 1_790_000_000;

let wallS: number;
let look: () => void;
let done: string[];
const session = { link: { state: 'in-sync' }, order: { scanned: 0 }, verify: () => {}, scannedNow: () => {} };

beforeEach(() => {
  wallS = NOW_S;
  done = [];
  Object.assign(session.link, { state: 'in-sync' });
  session.order.scanned = 0;
  session.verify = () => void done.push('scan');
  session.scannedNow = () => {
    session.order.scanned = wallS;
    done.push('count');
  };
});

function starts(everyHours: number): void {
  const every = (_: number, action: () => void): (() => void) => {
    look = action;
    return () => {};
  };
  const machine = { timers: { every }, clock: { wallMs: () => wallS * 1000 } };
  const group = { sessions: [session] };
  scrubEvery(everyHours, group as unknown as SourceGroup, machine as unknown as Machine);
}

function after(seconds: number): string[] {
  wallS += seconds;
  look();
  return done.splice(0);
}

test('[CR3] one that is started anew every day is scanned when its time has come', () => {
  starts(24 * 3);
  expect(after(0)).toEqual(['count']);
  for (const wanted of [[], [], ['scan']]) {
    starts(24 * 3);
    expect(after(24 * HOUR_S)).toEqual(wanted);
  }
  // It did not end: it comes again.
  expect(after(60)).toEqual(['scan']);
  session.order.scanned = wallS;
  expect(after(60)).toEqual([]);
});

test('[CR3] a clock that was ahead puts it off by no more than one time', () => {
  starts(24);
  session.order.scanned = wallS + 10 * 365 * 24 * HOUR_S;
  expect(after(0)).toEqual(['count']);
  expect(after(24 * HOUR_S - 1)).toEqual([]);
  expect(after(1)).toEqual(['scan']);
});

test('[CR3] who is not in sync is scanned as soon as it is', () => {
  starts(24);
  session.order.scanned = wallS;
  session.link.state = 'journaling';
  expect(after(25 * HOUR_S)).toEqual([]);
  session.link.state = 'in-sync';
  expect(after(60)).toEqual(['scan']);
});
