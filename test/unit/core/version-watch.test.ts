import { describe, expect, test } from 'vitest';
import { VersionWatch } from '../../../agent/core/version-watch.ts';

describe('[AG12] a peer of another version is told once, and who has to upgrade', () => {
  test('newer: this node has to', () => {
    const watch = new VersionWatch('b', 'tunnel', { min: 1, max: 1 });
    expect(watch.look(0, 1000)).toBeNull();
    expect(watch.look(2, 1000)).toEqual({
      kind: 'version',
      what: 'tunnel',
      theirs: 2,
      ours: '1',
      advice: 'peer b speaks tunnel version 2, this agent 1: upgrade stillbeat on this node',
    });
    expect(watch.look(2, 1010)).toBeNull();
    expect(watch.look(2, 1e9)).toBeNull();
  });

  test('older than the oldest that is understood: the peer has to', () => {
    const watch = new VersionWatch('b', 'volume', { min: 2, max: 4 });
    expect(watch.look(1, 0)?.advice).toBe(
      'peer b speaks volume version 1, this agent 2 to 4: upgrade stillbeat on node b',
    );
  });

  test('again when it was understood in between, but not by the dozen', () => {
    const watch = new VersionWatch('b', 'volume', { min: 1, max: 1 });
    expect(watch.look(2, 0)?.theirs).toBe(2);
    expect(watch.look(0, 100_000)).toBeNull();
    expect(watch.look(2, 200_000)?.theirs).toBe(2);
    expect(watch.look(0, 200_010)).toBeNull();
    expect(watch.look(2, 200_020)).toBeNull();
    expect(watch.look(2, 300_000)?.theirs).toBe(2);
  });

  test('made-up versions by the dozen fill no log', () => {
    const watch = new VersionWatch('b', 'tunnel', { min: 1, max: 1 });
    let told = 0;
    for (let ms = 0; ms < 120_000; ms += 10) if (watch.look(2 + (ms % 250), ms) !== null) told++;
    expect(told).toBe(2);
  });
});
