import { beforeEach, expect, test } from 'vitest';
import { PeerBypass } from '../../../agent/core/peer-bypass.ts';
import { HELLO_FLAG, type Hello } from '../../../agent/wire/message.ts';

const GOOD = { path: 'network', override: 'auto', hasCarrier: true } as const;
let bypass: PeerBypass;
beforeEach(() => {
  bypass = new PeerBypass();
  bypass.apply(true, 50);
});

const says = (isWilling: boolean, monotonicUs: number): void =>
  bypass.hear({ flags: isWilling ? HELLO_FLAG.bypass : 0, monotonicUs } as Hello);

test('the newest word counts: one from storage may be older than one from the network', () => {
  says(true, 2000);
  says(false, 1999);
  expect(bypass.judge?.peerWilling).toBe(true);
  says(false, 2000);
  expect(bypass.judge?.peerWilling).toBe(false);
});

test('the clock of a peer that began anew is another one', () => {
  says(true, 2000);
  bypass.forget();
  says(false, 1);
  expect(bypass.judge?.peerWilling).toBe(false);
});

test('other settings change the pace and keep what is known', () => {
  says(true, 1);
  expect(bypass.tick(GOOD, 0)).toBe(true);
  const { judge } = bypass;
  bypass.apply(true, 20);
  expect(bypass.judge).toBe(judge);
  expect([judge?.intervalMs, judge?.active]).toEqual([20, true]);
});

test('without a route past the agents there is nothing to judge', () => {
  bypass.apply(false, 50);
  expect([bypass.judge, bypass.tick(GOOD, 0)]).toEqual([null, false]);
});
