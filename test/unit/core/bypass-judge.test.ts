/** When the kernel's own route may carry packets, and when a silent agent is no dead network. */
import { describe, expect, test } from 'vitest';
import type { Path } from '../../../agent/base/paths.ts';
import { BypassJudge } from '../../../agent/core/bypass-judge.ts';

const INTERVAL_MS = 50;

function judge(): { bypass: BypassJudge; look: (path: Path, nowMs: number, carrier?: boolean) => boolean | null } {
  const bypass = new BypassJudge(INTERVAL_MS);
  bypass.peerSays(true);
  const look = (path: Path, nowMs: number, carrier = true) => {
    bypass.tick(path, 'auto', carrier, nowMs);
    return bypass.active;
  };
  return { bypass, look };
}

describe('the bypass', () => {
  test('is left as it was found until the first verdict', () => {
    const { look } = judge();
    expect([look('isolated', 0), look('network', 50)]).toEqual([null, true]);
    expect([judge().look('isolated', 0), judge().look('storage', 0)]).toEqual([null, false]);
  });

  test('follows the judge: network and suspect, not storage nor returning', () => {
    const { look } = judge();
    const paths: Path[] = ['network', 'suspect', 'network', 'storage', 'storage', 'returning', 'network'];
    const seen = paths.map((path, i) => look(path, i * 10));
    // The first look after the network may wait for an echo.
    expect(seen).toEqual([true, true, true, true, false, false, true]);
  });

  test('needs both nodes', () => {
    const { bypass, look } = judge();
    bypass.peerSays(false);
    expect([look('network', 0), bypass.willing]).toEqual([false, true]);
    bypass.peerSays(true);
    expect(bypass.active).toBe(true);
  });

  test('goes with the carrier and with an override to storage', () => {
    const { bypass, look } = judge();
    look('network', 0);
    expect(look('network', 10, false)).toBe(false);
    look('network', 20);
    expect(bypass.tick('storage', 'storage', true, 30)).toBe(true);
    expect(bypass.active).toBe(false);
  });

  test('stays while the silent peer’s host answers echoes, and not a moment longer than an answer counts', () => {
    const { bypass, look } = judge();
    look('network', 0);
    look('suspect', 75);
    expect(bypass.asks('suspect', 75)).toBe(true);
    bypass.answered(76);
    expect(bypass.asks('suspect', 140)).toBe(true);
    expect(look('storage', 150)).toBe(true);
    expect(look('storage', 152)).toBe(false);
    bypass.answered(153);
    expect(look('storage', 154), 'once gone it comes back by the judge alone').toBe(false);
  });

  test('waits for an echo where the judge decides at once, and stays when it is answered', () => {
    const { bypass, look } = judge();
    look('network', 0);
    expect([look('storage', 100), bypass.asks('storage', 100)]).toEqual([true, true]);
    bypass.answered(101);
    expect([look('storage', 110), look('storage', 200)]).toEqual([true, false]);
  });

  test('stays where no way is left, and through the return of the peer’s agent', () => {
    const { bypass, look } = judge();
    look('network', 0);
    expect(look('isolated', 3000)).toBe(true);
    bypass.answered(3010);
    expect([look('storage', 3020), look('returning', 3030), look('network', 3040)]).toEqual([true, true, true]);
  });

  test('asks for echoes only while the agent is silent, more often when it has only just fallen so', () => {
    const { bypass, look } = judge();
    look('network', 0);
    expect(bypass.asks('network', 0)).toBe(false);
    const asked = (path: Path, from: number) =>
      Array.from({ length: 100 }, (_, i) => bypass.asks(path, from + i)).filter(Boolean).length;
    expect([asked('suspect', 1000), asked('storage', 2000)]).toEqual([8, 4]);
    look('storage', 3000);
    look('storage', 3010);
    expect(bypass.asks('storage', 3050)).toBe(false);
  });
});
