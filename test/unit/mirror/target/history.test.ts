/** [HI11] A target that keeps a history: every state that it offers is what a replay of the writes gives, whatever happened. */
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { expect, test } from 'vitest';
import { HistoryWorld } from './history-world.ts';

const SEEDS = Number(process.env['HISTORY_SEEDS'] ?? 40);
const FIRST = Number(process.env['HISTORY_FIRST'] ?? 1);
/** Its time passes by hand, and its files are written by other threads: these get so long. */
const HANGS_MS = 30_000;
/** Its flushes are no test of a disk. */
const FOLDER = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();

async function someSteps(world: HistoryWorld, count: number, what: string): Promise<void> {
  const { random } = world;
  for (let i = 0; i < count; i++) {
    const action = random.below(20);
    if (action < 4) world.write(1 + random.below(5));
    else if (action < 9) world.send(1 + random.below(8));
    else if (action < 13) world.stepJournal();
    else if (action < 16) world.stepApply();
    else if (action < 18) await world.rest(1 + random.below(6), random.pick([1, 5, 50, 300]));
    else if (action < 19 && world.hasCheckpoints) world.checkpoint();
    else if (random.below(6) === 0) world.endComparison();
    if (random.below(25) === 0) await world.catchUp(random.below(60));
    if (random.below(60) === 0) await faults(world, what);
    const ms = random.below(30);
    world.nowMs += ms;
    world.sourceMs += ms;
    if (random.below(5) === 0) world.tellKnown();
  }
}

async function faults(world: HistoryWorld, what: string): Promise<void> {
  const { random } = world;
  const fault = random.below(11);
  if (fault < 3) {
    if (fault === 0) world.crash();
    await world.kill();
    world.check(`${what}, killed`);
    world.settle();
    world.join('replay');
  } else if (fault === 3) world.join('replay');
  else if (fault === 4) {
    world.lose();
    world.join('replay');
  } else if (fault === 5) {
    world.succeed(world.kept + random.below(world.model.mark - world.kept + 1));
    world.join('replay');
  } else if (fault === 6) {
    // Somebody took over who had less.
    world.succeed(random.below(world.kept + 1));
    world.settle();
    world.join('replay');
  } else if (fault === 7) {
    world.settle();
    world.join('staged');
  } else if (fault === 8) {
    world.settle();
    world.join('in place');
  } else if (fault === 9) await world.restartRecorder();
  else await world.host.recorder.prune(null, Date.now() * 1000 + 1e6, Infinity);
}

/** The source is there again, and everything comes to its end. */
async function comesToRest(world: HistoryWorld): Promise<void> {
  world.settle();
  let joined = world.join('replay');
  const endMs = performance.now() + HANGS_MS;
  for (let i = 0; i < 400 || performance.now() < endMs; i++) {
    if (!joined || world.peers.some(({ stopped }) => stopped)) {
      world.settle();
      joined = world.join('replay');
    }
    // This source knows nothing of the room at its target: what it had begun to send may fill the ring for ever.
    if (i % 150 === 149 && world.copy.isCramped) joined = world.join('in place');
    if (i % 20 === 0) world.unsent.push(world.model.seal());
    world.endComparison();
    world.send(8);
    world.settle();
    if (world.hasCheckpoints) world.checkpoint();
    else world.roll();
    await world.rest(25, 10);
    const { cut } = world.copy.shown;
    const { state, kept } = world.host.history.status();
    const isAtRest = cut.mark === world.model.mark && state === 'recording' && kept === cut.mark;
    if (i > 5 && isAtRest && world.newest === cut.mark) return;
  }
  throw new Error(
    `it does not come to rest: ${JSON.stringify([world.newest, world.copy.journalErrno, world.copy.volumesErrno, world.copy.gate.isShut, world.copy.arrivals.tail, world.copy.arrivals.head, world.copy.heldBack, world.copy.isCramped, world.copy.shown.cut.mark, world.copy.shown.committed, world.model.mark, world.unsent.length, world.copy.hasCut, world.copy.isStaged, world.host.history.status(), world.host.recorder.status()['monitors'], world.lines.slice(-8), world.said.slice(-12)], (_, one) => (typeof one === 'bigint' ? String(one) : one))}`,
  );
}

/** [HI9] While nothing is written, the time that is known goes on with the source's clock; without a word of it, it stands. */
async function untilKnown(world: HistoryWorld, seed: number): Promise<void> {
  world.sourceMs += 5000;
  world.tellKnown();
  const { wordMs } = world;
  for (const endMs = performance.now() + HANGS_MS; world.knownMs < wordMs && performance.now() < endMs;)
    await world.rest(1, 500);
  expect(world.knownMs, `seed ${seed}: known until`).toBe(wordMs);
  world.sourceMs += 5000;
  await world.rest(5, 500);
  expect(world.knownMs, `seed ${seed}: nobody has said more`).toBe(wordMs);
}

test(
  `[HI11] [OS3] [OS4] [I5] kills, cut-backs, branches, comparisons: each state of each recording is right (${SEEDS} seeds)`,
  { timeout: 60_000 + SEEDS * 5000 },
  async () => {
    const seen = { states: 0, gaps: 0, folded: 0, given: 0 };
    for (let seed = FIRST; seed < FIRST + SEEDS; seed++) {
      const world = new HistoryWorld(seed, FOLDER);
      world.hasCheckpoints = seed % 3 === 0;
      if (seed % 4 === 1) world.retention = { hours: 0, bytes: 600_000 };
      await world.begin();
      world.join('replay');
      for (let round = 0; round < 4; round++) {
        await someSteps(world, 60 + world.random.below(120), `seed ${seed}, round ${round}`);
        world.check(`seed ${seed}, round ${round}`);
      }
      await comesToRest(world).catch((error: Error) => {
        throw new Error(`seed ${seed}: ${error.message}`);
      });
      world.expectContent(world.model.mark, `seed ${seed}, at rest`);
      world.check(`seed ${seed}, at rest`);
      await untilKnown(world, seed);
      expect(world.offered, `seed ${seed}: something is offered at the end`).toBeGreaterThan(0);
      seen.states += world.checked;
      seen.gaps += world.gaps > 0 ? 1 : 0;
      seen.given += world.said.some((line) => line.includes('let go of')) ? 1 : 0;
      seen.folded += world.said.some((line) => line.includes('given up by a takeover')) ? 1 : 0;
      await world.remove();
    }
    if (process.env['HISTORY_SEEDS'] !== undefined) console.log(JSON.stringify(seen));
  },
);
