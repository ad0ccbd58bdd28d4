/** What `check` says of the bypass. */
import { expect, test } from 'vitest';
import type { Selector } from '../../../agent/bypass/selectors.ts';
import { carrierFinding, filterFinding, peerFindings, toolFinding, typesFinding } from '../../../agent/check/bypass.ts';

const past = (protocol: number | null, port: readonly [number, number] | null): Selector => ({
  way: 'past',
  protocol,
  port,
});
const peer = { node: 'b', addresses: ['10.77.0.2', 'fd77::2'], primary: null, receiveVolume: '/v' };
const near = (host: string) => ({ ...peer, primary: { host, port: 7788 } });
const levels = (findings: readonly { level: string }[]) => findings.map(({ level }) => level);

test('types: that they go unencrypted, or that there are none', () => {
  expect(typesFinding(['bulk'], [past(6, null)])).toMatchObject({
    level: 'ok',
    what: expect.stringContaining('UNENCRYPTED'),
  });
  expect(typesFinding(['bulk'], []).level).toBe('warning');
});

test('peers: off the link, on it, on it by IPv4 alone', () => {
  expect(levels(peerFindings(near('10.1.1.1'), 'eth0', false))).toEqual(['warning']);
  expect(levels(peerFindings(near('fd50::2'), 'eth0', true))).toEqual(['ok']);
  expect(levels(peerFindings(near('192.168.50.2'), 'eth0', true))).toEqual(['ok', 'warning']);
});

test('the reverse-path filter: the larger value counts; strict hurts UDP chosen by port', () => {
  const udp = [past(17, [9, 9])];
  expect(filterFinding('eth0', '0', '1', udp).level).toBe('warning');
  expect(filterFinding('eth0', '2', '1', udp).level).toBe('ok');
  expect(filterFinding('eth0', '0', '0', udp).level).toBe('ok');
  expect(filterFinding('eth0', '1', '0', [past(6, [9, 9])]).level).toBe('ok');
  expect(filterFinding('eth0', '1', '0', [...udp, past(null, null)]).level).toBe('ok');
});

test('the tool and the carrier', () => {
  expect([toolFinding(null).level, toolFinding('no ip').level]).toEqual(['ok', 'error']);
  expect([carrierFinding('eth0', true).level, carrierFinding('eth0', false).level]).toEqual(['ok', 'warning']);
});
