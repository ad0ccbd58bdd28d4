import { beforeEach, expect, test } from 'vitest';
import { TargetLink } from '../../../agent/mirror/core/target-link.ts';

let link: TargetLink;

beforeEach(() => {
  link = new TargetLink('east', 10, 3);
});

test('MI2: waited for once it is close, in sync once it has what was answered before that', () => {
  link.met({ how: 'replay', from: 10 });
  expect(link.state).toBe('replicating');
  link.joinIfClose(2_000_000, 30);
  expect(link.isWaitedFor).toBe(false);
  link.joinIfClose(1000, 30);
  expect([link.state, link.isWaitedFor]).toEqual(['replicating', true]);
  link.stored(35, 29);
  expect(link.state).toBe('replicating');
  link.stored(35, 30);
  expect(link.state).toBe('in-sync');
});

test('one that has everything joins at once', () => {
  link.met({ how: 'replay', from: 10 });
  link.joinIfClose(0, 10);
  expect(link.state).toBe('in-sync');
});

test('MI2: told to resume what was never paused, it stays what it is, and is waited for', () => {
  link.met({ how: 'replay', from: 10 });
  link.joinIfClose(0, 10);
  link.resume();
  expect([link.state, link.isWaitedFor]).toEqual(['in-sync', true]);
  link.stop();
  link.resume();
  expect(link.state).toBe('journaling');
});

test('CY7: a lost link ends the waiting, and the ring keeps what it lacks', () => {
  link.met({ how: 'replay', from: 10 });
  link.joinIfClose(0, 10);
  link.stored(20, 18);
  link.lost();
  expect([link.state, link.isWaitedFor, link.isOutdated]).toEqual(['journaling', false, false]);
});

test('CY9: behind an overflow its bitmap stands, until a comparison begins', () => {
  link.met({ how: 'replay', from: 10 });
  link.stored(20, 18);
  link.overflowed();
  expect([link.state, link.isOutdated, link.durable]).toEqual(['bitmap', true, 18]);
  link.met({ how: 'bitmap', from: 700, isFirst: false });
  expect([link.state, link.isOutdated]).toEqual(['resyncing', false]);
  link.resynced();
  expect(link.state).toBe('replicating');
});

test('what is gone from the journal is missing until it goes on without a hole, or the comparison is whole', () => {
  const outdated = (): TargetLink => new TargetLink('east', 10, 3, true, -5000);
  link = outdated();
  expect(link.lacksSinceMs).toBe(-5000);
  link.met({ how: 'bitmap', from: 700, isFirst: false });
  link.lost();
  expect(link.lacksSinceMs).toBe(-5000);
  link.met({ how: 'bitmap', from: 800, isFirst: false });
  link.resynced();
  expect(link.lacksSinceMs).toBeNull();
  link = outdated();
  link.met({ how: 'replay', from: 10 });
  expect(link.lacksSinceMs).toBeNull();
});

test('MI11 MI12: what a comparison has staged is the copy’s when it is whole, and a comparison that breaks off leaves the bitmap', () => {
  link.met({ how: 'replay', from: 10 });
  link.overflowed();
  link.met({ how: 'bitmap', from: 700, isFirst: false });
  link.stored(750, 750);
  expect([link.received, link.durable]).toEqual([10, 10]);
  link.lost();
  expect([link.state, link.isOutdated, link.durable]).toEqual(['bitmap', true, 10]);
  link.met({ how: 'scan', from: 800, isFirst: false });
  expect(link.state).toBe('scanning');
  link.stored(850, 840);
  link.resynced();
  expect([link.received, link.durable]).toEqual([850, 840]);
  link.lost();
  expect(link.state).toBe('journaling');
});

test('a target that never was a copy says so until it is one, link or no link', () => {
  link.met({ how: 'scan', from: 40, isFirst: true });
  expect(link.state).toBe('initialising');
  link.lost();
  expect(link.state).toBe('initialising');
  link.met({ how: 'scan', from: 50, isFirst: true });
  link.resynced();
  expect(link.state).toBe('replicating');
});

test('a refusal is no link; a pause is shown as such', () => {
  link.met({ how: 'refuse', reason: 'x' });
  expect(link.state).toBe('journaling');
  link.stop();
  expect(link.state).toBe('stopped');
  link.resume();
  expect(link.state).toBe('journaling');
});

test('each handshake has a session of its own; what is stored never falls', () => {
  expect([link.nextSession(), link.nextSession()]).toEqual([4, 5]);
  link.met({ how: 'replay', from: 10 });
  link.stored(20, 20);
  link.stored(15, 12);
  expect([link.received, link.durable]).toEqual([20, 20]);
});
