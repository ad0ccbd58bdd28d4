import { expect, test } from 'vitest';
import { EVENT_KINDS } from '../../../agent/operate/event-kinds.ts';
import { LOG_LEVELS } from '../../../agent/platform/log.ts';
import { DOCUMENTED_EVENTS, saysWhy } from '../../support/events-table.ts';

test('README names every event with its level, and no other', () => {
  const documented = [...DOCUMENTED_EVENTS].map(([kind, { level }]) => [kind, level]);
  const known = Object.entries(EVENT_KINDS).map(([kind, { level }]) => [kind, level]);
  expect(Object.fromEntries(documented)).toEqual(Object.fromEntries(known));
});

test('every event has a figure, and says why: by itself, or by what its kind means', () => {
  for (const [kind, { figures }] of DOCUMENTED_EVENTS) {
    expect([kind, figures.length > 0]).toEqual([kind, true]);
    expect([kind, saysWhy(kind, figures)]).toEqual([kind, true]);
  }
});

test('lines that are missing from the log are told at every level that it can have', () => {
  expect(EVENT_KINDS['log-lost'].level).toBe(LOG_LEVELS[0]);
});
