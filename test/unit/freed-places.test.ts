import { beforeEach, expect, test } from 'vitest';
import { FreedPlaces } from '../../agent/freed-places.ts';
import { READER } from '../../agent/queue/reader-words.ts';
import { AGENT, SharedState, sharedStateBytes } from '../../agent/queue/shared-state.ts';

const NOTHING = { seats: new Set(), readers: new Set() };
let state: SharedState;
let freed: FreedPlaces;
beforeEach(() => {
  state = new SharedState(new SharedArrayBuffer(sharedStateBytes()));
  freed = new FreedPlaces(state);
});

/** Switch, flush and the readers 0 and 1 have these plans. */
function have([theSwitch = 0, flush = 0, ...readers]: readonly number[]): void {
  state.words[AGENT.switchPlan] = theSwitch;
  state.words[AGENT.flushPlan] = flush;
  readers.forEach((plan, reader) => (state.reader(reader).words[READER.plan] = plan));
}

test('what a plan freed is busy until the last thread has taken it over', () => {
  freed.add({ plan: 2, seats: [5, 6], readers: [1] });
  const busy = { seats: new Set([5, 6]), readers: new Set([1]) };
  for (let late = 0; late < 4; late++) {
    have([0, 1, 2, 3].map((thread) => (thread === late ? 1 : 2)));
    expect(freed.busy([0])).toEqual(busy);
  }
  have([2, 2, 2, 2]);
  expect(freed.busy([0])).toEqual(NOTHING);
});

test('each plan for itself: what an earlier one freed comes back first, and does not get busy again', () => {
  freed.add({ plan: 2, seats: [5], readers: [] });
  freed.add({ plan: 3, seats: [6], readers: [] });
  have([2, 2, 2]);
  expect(freed.busy([0])).toEqual({ seats: new Set([6]), readers: new Set() });
  have([1, 1, 1]);
  expect(freed.busy([0]).seats).toEqual(new Set([6]));
});

test('the newest plan of all is that of the slowest; a reader that is not asked for does not count', () => {
  have([4, 3, 4, 1]);
  expect([freed.newestOfAll([0]), freed.newestOfAll([0, 1])]).toEqual([3, 1]);
});

test('a reader that hangs holds also what was freed before it was dropped itself', () => {
  freed.add({ plan: 2, seats: [5], readers: [] });
  have([2, 2, 2, 1]);
  freed.add({ plan: 3, seats: [], readers: [1] });
  have([3, 3, 3, 1]);
  expect(freed.busy([0])).toEqual({ seats: new Set([5]), readers: new Set([1]) });
  have([3, 3, 3, 3]);
  expect(freed.busy([0])).toEqual(NOTHING);
});
