import { describe, expect, test } from 'vitest';
import { Judge, type JudgeSettings, type Transition } from '../../../agent/core/judge.ts';

const SETTINGS: JudgeSettings = {
  intervalMs: 50,
  misses: 3,
  stableForMs: 3000,
  stableForMsMax: 10_000,
  hasNetwork: true,
};
const TICK_MS = 10;

/** A judge, its clock, and what it is told at every tick. */
class Court {
  readonly judge: Judge;
  readonly transitions: Transition[] = [];
  nowMs = 1000;
  isHeard = true;
  hearsUs: boolean | undefined = true;
  storage = true;

  constructor(settings: Partial<JudgeSettings> = {}) {
    this.judge = new Judge({ ...SETTINGS, ...settings }, this.nowMs);
  }

  /** Lets `ms` pass, a probe of the peer every interval. */
  pass(ms: number): this {
    for (const endMs = this.nowMs + ms; this.nowMs < endMs;) {
      this.nowMs += TICK_MS;
      if (this.isHeard && this.nowMs % SETTINGS.intervalMs === 0) this.judge.heard(this.nowMs, this.hearsUs);
      const transition = this.judge.tick(this.nowMs, this.storage);
      if (transition) this.transitions.push(transition);
    }
    return this;
  }

  /** Milliseconds until the path is `path`. */
  until(path: string, atMostMs = 60_000): number {
    const beganMs = this.nowMs;
    while (this.judge.path !== path && this.nowMs - beganMs < atMostMs) this.pass(TICK_MS);
    return this.nowMs - beganMs;
  }

  get path(): string {
    return this.judge.path;
  }

  /** Fails the network and heals it; answers how long the return took. */
  flap(): number {
    this.isHeard = false;
    this.pass(300);
    this.isHeard = true;
    return this.until('network');
  }
}

const healthy = (settings: Partial<JudgeSettings> = {}): Court => new Court(settings).pass(500);

describe('the start', () => {
  test('a peer that is heard and hears us: the network at once, without a hold', () => {
    const court = new Court();
    expect(court.path).toBe('isolated');
    expect(court.until('network')).toBeLessThanOrEqual(60);
    expect(court.transitions).toMatchObject([{ from: 'isolated', to: 'network', reason: 'heard' }]);
  });

  test('a silent network has ten intervals before storage is the way', () => {
    const court = new Court();
    court.isHeard = false;
    expect(court.pass(490).path).toBe('isolated');
    expect(court.pass(20).path).toBe('storage');
  });

  test('without a primary network storage is the way, and nothing else ever', () => {
    const court = new Court({ hasNetwork: false }).pass(600);
    expect(court.path).toBe('storage');
    court.storage = false;
    expect(court.pass(TICK_MS).path).toBe('isolated');
  });
});

describe('network', () => {
  test('a late probe makes it suspect, the next one clears it', () => {
    const court = healthy();
    court.isHeard = false;
    court.pass(80);
    expect(court.path).toBe('suspect');
    court.isHeard = true;
    expect(court.pass(50).path).toBe('network');
    expect(court.transitions.map(({ to }) => to)).toEqual(['network', 'suspect', 'network']);
  });

  test('three and a half intervals of silence fail it, not a tick earlier', () => {
    const court = healthy();
    court.isHeard = false;
    expect(court.pass(170).path).toBe('suspect');
    expect(court.pass(10).path).toBe('storage');
    expect(court.transitions.at(-1)).toMatchObject({ reason: '3 probes lost', silentMs: 180 });
  });

  test('the peer does not hear us: failed at its next word', () => {
    const court = healthy();
    court.hearsUs = false;
    expect(court.pass(60).path).toBe('storage');
    expect(court.transitions.at(-1)).toMatchObject({ reason: 'the peer does not hear us' });
  });

  test('a lost carrier fails it at once', () => {
    const court = healthy();
    court.judge.carrier(false);
    expect(court.pass(TICK_MS).path).toBe('storage');
    expect(court.transitions.at(-1)).toMatchObject({ reason: 'carrier lost' });
  });

  test('without storage there is no way left: isolated', () => {
    const court = healthy();
    court.storage = false;
    court.isHeard = false;
    expect(court.pass(200).path).toBe('isolated');
  });

  test('storage that comes and goes means nothing while the network is well', () => {
    const court = healthy();
    court.storage = false;
    court.pass(1000).storage = true;
    court.pass(1000);
    expect(court.transitions).toHaveLength(1);
  });
});

describe('the return', () => {
  test('returning for stableFor, then network', () => {
    const court = healthy();
    court.isHeard = false;
    court.pass(1000).isHeard = true;
    expect(court.pass(60).path).toBe('returning');
    expect(court.until('network')).toBeGreaterThanOrEqual(2900);
    expect(court.transitions.at(-1)).toMatchObject({ from: 'returning', to: 'network', reason: 'stable again' });
  });

  test('a probe lost in the meantime begins the time anew', () => {
    const court = healthy();
    court.isHeard = false;
    court.pass(1000).isHeard = true;
    court.pass(2500).isHeard = false;
    court.pass(150).isHeard = true;
    expect(court.until('network')).toBeGreaterThan(2900);
  });

  test('never while the peer does not say that it hears us', () => {
    const court = healthy();
    court.isHeard = false;
    court.pass(1000).isHeard = true;
    court.hearsUs = false;
    expect(court.pass(20_000).path).toBe('storage');
    court.hearsUs = true;
    expect(court.pass(60).path).toBe('returning');
  });

  test('words that say nothing of hearing us do not bring it back either', () => {
    const court = healthy();
    court.judge.forget();
    court.hearsUs = undefined;
    expect(court.pass(20_000).path).toBe('storage');
  });

  test('a network that fails again goes back to storage', () => {
    const court = healthy();
    court.isHeard = false;
    court.pass(1000).isHeard = true;
    court.pass(500).isHeard = false;
    expect(court.pass(200).path).toBe('storage');
  });

  test('storage lost while returning: the network is taken as it is', () => {
    const court = healthy();
    court.isHeard = false;
    court.pass(1000).isHeard = true;
    court.pass(500).storage = false;
    expect(court.pass(TICK_MS).path).toBe('network');
    expect(court.transitions.at(-1)).toMatchObject({ reason: 'storage lost' });
  });

  test('isolated: the first way that comes back is taken, the network without a hold', () => {
    const court = healthy();
    court.isHeard = false;
    court.storage = false;
    court.pass(1000).isHeard = true;
    expect(court.until('network')).toBeLessThanOrEqual(60);
    court.isHeard = false;
    court.pass(1000).storage = true;
    expect(court.pass(TICK_MS).path).toBe('storage');
  });
});

describe('flapping', () => {
  test('each failure soon after a return doubles the hold, up to the limit', () => {
    const court = healthy();
    const holds = [1, 2, 3, 4].map(() => {
      court.flap();
      return court.judge.holdMs;
    });
    expect(holds).toEqual([3000, 6000, 10_000, 10_000]);
  });

  test('the hold is kept: the second return takes twice as long', () => {
    const court = healthy();
    const first = court.flap();
    expect(court.flap()).toBeGreaterThan(first + 2900);
  });

  test('a network that kept for ten holds is trusted as at the start', () => {
    const court = healthy();
    court.flap();
    court.flap();
    court.pass(61_000);
    court.isHeard = false;
    court.pass(300);
    expect(court.judge.holdMs).toBe(3000);
  });
});

describe('own standstill', () => {
  test('time in which nothing could be heard is no silence of the peer', () => {
    const court = healthy();
    court.nowMs += 5000;
    expect(court.judge.tick(court.nowMs, true)).toBeNull();
    expect(court.judge.hears(court.nowMs)).toBe(true);
    expect(court.pass(100).path).toBe('network');
  });

  test('a peer that is silent afterwards too fails as ever', () => {
    const court = healthy();
    court.nowMs += 5000;
    court.isHeard = false;
    court.judge.tick(court.nowMs, true);
    expect(court.pass(200).path).toBe('storage');
  });
});

describe('operator', () => {
  test('an override holds against everything, and auto gives the path back', () => {
    const court = healthy();
    court.judge.override = 'storage';
    expect(court.pass(TICK_MS).path).toBe('storage');
    court.isHeard = false;
    court.judge.override = 'network';
    expect(court.pass(1000).path).toBe('network');
    court.judge.override = 'auto';
    expect(court.pass(TICK_MS).path).toBe('storage');
    expect(court.transitions.map(({ reason }) => reason)).toEqual(['heard', 'operator', 'operator', '3 probes lost']);
  });
});
