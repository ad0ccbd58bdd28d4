/**
 * Many seeds, one after the other. `SIM_SEED=n` replays one and prints what happens; `SIM_SEEDS=count` runs so many, and
 * `SIM_FIRST=n` begins elsewhere. With `SIM_FRAMES=1` the frames are printed too.
 */
import { expect, test } from 'vitest';
import { runSeed } from './run-seed.ts';

const SEEDS_DEFAULT = 30;
const TRACE_LINES = 40;
/** Each was red once: for a fault of the program, the last two for gaps in what judges it. */
const ONCE_RED = [200062, 100424, 303288, 304283, 305629, 507464, 620480, 810911, 508104, 941014];
const environment = (name: string): number | null => {
  const text = process.env[name];
  return text === undefined || text === '' ? null : Number(text);
};

const one = environment('SIM_SEED');
const count = environment('SIM_SEEDS') ?? SEEDS_DEFAULT;
const first = environment('SIM_FIRST') ?? 1;

async function report(seed: number): Promise<string> {
  const { violations, trace } = await runSeed(seed);
  if (violations.length === 0) return '';
  const lines = violations.slice(0, 3).map(({ atMs, rule, text }) => `  ${atMs.toFixed(1)} ${rule}: ${text}`);
  const replay = `seed ${seed} (replay: SIM_SEED=${seed} npm run sim:mirror)`;
  return [replay, ...lines, ...trace.slice(-TRACE_LINES).map((line) => `    ${line}`)].join('\n');
}

// One or the other, not both with one of them skipped: nothing is to look as if it had not run.
if (one !== null) {
  test(`mirror: seed ${one}`, { timeout: 600_000 }, async () => {
    const { violations, trace, counts, digest, simulatedMs } = await runSeed(one, (sim) => {
      sim.showsFrames = environment('SIM_FRAMES') === 1;
    });
    process.stdout.write(`${trace.join('\n')}\n${JSON.stringify(counts)} ${simulatedMs.toFixed(0)} ms ${digest}\n`);
    expect(violations).toEqual([]);
  });
} else {
  test('I23: the same seed twice is the same run', async () => {
    for (const seed of [first, first + 1, first + 2]) {
      const [once, again] = [await runSeed(seed), await runSeed(seed)];
      expect([again.digest, again.counts]).toEqual([once.digest, once.counts]);
    }
  });

  test.each(ONCE_RED)('mirror: seed %i, which was red once', { timeout: 60_000 }, async (seed) => {
    expect(await report(seed)).toBe('');
  });

  test(`mirror: ${count} seeds from ${first} on`, { timeout: 60_000 + count * 5000 }, async () => {
    const failures: string[] = [];
    for (let seed = first; seed < first + count; seed++) {
      const failure = await report(seed);
      if (failure !== '') failures.push(failure);
      if (failures.length >= 5) break;
    }
    expect(failures.join('\n')).toBe('');
  });
}
