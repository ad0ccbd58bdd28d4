/** Status documents as figures over time. */
import { expect, test } from 'vitest';
import { minuteOf, MomentMaker } from '../../../agent/view/figures.ts';
import { peerOf, statusOf } from './status-view.ts';

test('rates and counts are of the time between two documents; the first one has none', () => {
  const maker = new MomentMaker();
  const first = maker.next(statusOf([peerOf('b', { sent: 100, lost: 5 })]), 1000);
  expect(first.peers['b']).toMatchObject({ outPerS: null, lost: 0, rttMs: 0.2 });
  const second = maker.next(statusOf([peerOf('b', { sent: 150, lost: 7 })]), 3000);
  expect(second.peers['b']).toMatchObject({ outPerS: 25, lost: 2 });
});

test('another agent’s counters are no rate, and what is not heard has no latency', () => {
  const maker = new MomentMaker();
  maker.next(statusOf([peerOf('b', { sent: 100 })]), 1000);
  const silent = { network: { reachable: false, hearsUs: false, rttMs: 3 } };
  const next = maker.next(statusOf([peerOf('b', { sent: 1, ...silent })], { pid: 2 }), 2000);
  expect(next.peers['b']).toMatchObject({ outPerS: null, rttMs: null });
});

test('a minute is mean and highest of what was known, and the sum of counts', () => {
  const maker = new MomentMaker();
  const moments = [0.2, 0.4].map((rttMs, i) =>
    maker.next(
      statusOf([peerOf('b', { lost: i * 3, network: { reachable: true, hearsUs: true, rttMs } })]),
      i * 10_000,
    ),
  );
  const minute = minuteOf(moments, -10_000);
  expect(minute).toMatchObject({ kind: 'figures', forMs: 20_000, at: '1970-01-01T00:00:10.000Z' });
  expect(minute?.peers['b']).toMatchObject({ rttMs: [0.3, 0.4], lost: 3, outPerS: [0, 0] });
  expect(minute?.node.copyLagMs).toBeNull();
  expect(minuteOf([], 0)).toBeNull();
});
