import { expect, test } from 'vitest';
import { parsePingReply, parsePingSummary } from '../../../agent/demo/ping-output.ts';

test('a reply line gives sequence, time and round trip', () => {
  const line = '[1763676593.123456] 64 bytes from 10.77.0.2: icmp_seq=12 ttl=64 time=0.198 ms';
  expect(parsePingReply(line)).toEqual({ sequence: 12, wallMs: 1763676593123.456, rttMs: 0.198, duplicate: false });
  expect(parsePingReply(line.replace('10.77.0.2', 'fd77::2').replace('0.198', '1203'))).toMatchObject({ rttMs: 1203 });
});

test('a duplicate reply is told', () => {
  const line = '[1763676593.123456] 64 bytes from 10.77.0.2: icmp_seq=12 ttl=64 time=0.198 ms (DUP!)';
  expect(parsePingReply(line)?.duplicate).toBe(true);
});

test('other lines are no replies', () => {
  for (const line of [
    'PING 10.77.0.2 (10.77.0.2) 56(84) bytes of data.',
    '[1763676593.12] From 10.77.0.1 icmp_seq=3 Destination Host Unreachable',
    '3 packets transmitted, 3 received, 0% packet loss, time 400ms',
    '',
  ]) {
    expect(parsePingReply(line)).toBeNull();
  }
});

test('the summary, with and without duplicates and errors', () => {
  const plain = '600 packets transmitted, 598 received, 0.333333% packet loss, time 12004ms';
  expect(parsePingSummary(plain)).toEqual({ sent: 600, received: 598, duplicates: 0 });
  const both = '5 packets transmitted, 4 received, +2 duplicates, +1 errors, 20% packet loss, time 800ms';
  expect(parsePingSummary(both)).toEqual({ sent: 5, received: 4, duplicates: 2 });
  expect(parsePingSummary('rtt min/avg/max/mdev = 0.198/0.198/0.198/0.000 ms')).toBeNull();
});
