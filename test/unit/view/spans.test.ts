/** Events as stretches of time. */
import { expect, test } from 'vitest';
import { spansOf, timeOn } from '../../../agent/view/spans.ts';
import type { EventView } from '../../../agent/view/status.ts';

const at = (ms: number): string => new Date(ms).toISOString();
const path = (ms: number, from: string, to: string, peer = 'b'): EventView => ({
  at: at(ms),
  kind: 'path',
  peer,
  from,
  to,
  reason: `because of ${to}`,
});
const shape = (spans: ReturnType<typeof spansOf>) => spans.map((span) => [span.path, span.fromMs, span.toMs]);

const EVENTS: EventView[] = [
  { at: at(1000), kind: 'running' },
  path(1500, 'isolated', 'network'),
  path(4000, 'network', 'storage'),
  path(4100, 'isolated', 'network', 'c'),
  path(9000, 'storage', 'network'),
];

test('a cut: what held before it, in it and after it, without holes', () => {
  const spans = spansOf(EVENTS, 'b', 2000, 12_000);
  expect(shape(spans)).toEqual([
    ['network', 2000, 4000],
    ['storage', 4000, 9000],
    ['network', 9000, 12_000],
  ]);
  expect(spans[1]?.reason).toBe('because of storage');
  expect(Object.fromEntries(timeOn(spans))).toEqual({ network: 5000, storage: 5000 });
});

test('the time before anything is kept is unknown, the start of the agent is no isolation', () => {
  expect(shape(spansOf(EVENTS, 'b', 0, 3000))).toEqual([
    ['unknown', 0, 1000],
    ['off', 1000, 1500],
    ['network', 1500, 3000],
  ]);
  expect(shape(spansOf([], 'b', 0, 3000))).toEqual([['unknown', 0, 3000]]);
});

test('an agent that was stopped, and one that was killed: off from its last word on', () => {
  const stopped = [...EVENTS, { at: at(10_000), kind: 'stopped' }, { at: at(11_000), kind: 'running' }];
  expect(shape(spansOf(stopped, 'b', 9000, 12_000))).toEqual([
    ['network', 9000, 10_000],
    ['off', 10_000, 12_000],
  ]);
  const killed = [...EVENTS, { at: at(9500), kind: 'figures' }, { at: at(11_000), kind: 'running' }];
  expect(shape(spansOf(killed, 'b', 9000, 12_000))).toEqual([
    ['network', 9000, 9500],
    ['off', 9500, 12_000],
  ]);
});

test('what the agent says now wins over events that are not there', () => {
  expect(shape(spansOf([], 'b', 0, 3000, { path: 'isolated', sinceMs: 2000 }))).toEqual([
    ['unknown', 0, 2000],
    ['isolated', 2000, 3000],
  ]);
  expect(shape(spansOf(EVENTS, 'b', 9000, 12_000, { path: 'suspect', sinceMs: 11_900 })).at(-1)).toEqual([
    'suspect',
    11_900,
    12_000,
  ]);
});

test('an end before the last event leaves out what came later', () => {
  expect(shape(spansOf(EVENTS, 'b', 3000, 5000))).toEqual([
    ['network', 3000, 4000],
    ['storage', 4000, 5000],
  ]);
});
