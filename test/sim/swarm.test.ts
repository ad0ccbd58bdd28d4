/**
 * Many seeds, one after the other. `SIM_SEED=n` replays one and prints what happens; `SIM_SEEDS=count` runs so many, and
 * `SIM_FIRST=n` begins elsewhere.
 */
import { expect, test } from 'vitest';
import { runSeed } from './run-seed.ts';
import { SEEDS } from './seeds.ts';

const SEEDS_DEFAULT = 30;
const environment = (name: string): number | null => {
  const text = process.env[name];
  return text === undefined || text === '' ? null : Number(text);
};

const one = environment('SIM_SEED');
const count = environment('SIM_SEEDS') ?? SEEDS_DEFAULT;
const first = environment('SIM_FIRST') ?? 1;

function report(seed: number): string {
  const { violations } = runSeed(seed);
  if (violations.length === 0) return '';
  const lines = violations.slice(0, 5).map(({ atMs, rule, text }) => `  ${atMs.toFixed(1)} ${rule}: ${text}`);
  const more = violations.length > 5 ? [`  and ${violations.length - 5} more`] : [];
  return [`seed ${seed} (replay: SIM_SEED=${seed} npm run sim -- swarm)`, ...lines, ...more].join('\n');
}

// One or the other, not both with one of them skipped: nothing is to look as if it had not run.
if (one !== null) {
  test(`swarm: seed ${one}`, () => {
    const result = runSeed(one, (line) => process.stdout.write(`${line}\n`));
    expect(result.violations).toEqual([]);
  });
} else {
  test('swarm: the same seed twice is the same run, with two nodes and with more', () => {
    for (const seed of [first, first + 1]) expect(runSeed(seed).digest).toBe(runSeed(seed).digest);
  });

  test.each(SEEDS)('swarm: seed %i, which failed once: %s', (seed) => {
    expect(report(seed)).toBe('');
  });

  test(`swarm: ${count} seeds from ${first} on`, { timeout: 60_000 + count * 5000 }, () => {
    const failures: string[] = [];
    for (let seed = first; seed < first + count; seed++) {
      const failure = report(seed);
      if (failure !== '') failures.push(failure);
      if (failures.length >= 10) break;
    }
    expect(failures.join('\n')).toBe('');
  });
}
