/** A target that crashes at any step, with disks that keep any part of what was not flushed, and a source that replays. */
import { expect, test, vi } from 'vitest';
import { TargetWorld } from './target-world.ts';

vi.setConfig({ testTimeout: 120_000 });

const seeds = Array.from({ length: 60 }, (_, i) => i + 1);

/** What must hold at a start, before anything is done. */
function expectPromises(world: TargetWorld, what: string): void {
  const { cut, committed, sequence } = world.superblock();
  expect(cut, what).toBeGreaterThanOrEqual(world.cut);
  expect(committed, what).toBeLessThanOrEqual(world.committed);
  // Even: the volumes show the cut, and nothing of a later one.
  if (sequence % 2 === 0) world.expectContent(cut, what);
  world.start();
  expect(world.copy.receiver.prefix.mark, what).toBeGreaterThanOrEqual(world.durable);
  if (committed > cut) expect(world.copy.gate.isShut).toBe(true);
  world.settle();
  expect(world.copy.receiver.cut.mark, what).toBe(committed);
  world.expectContent(committed, what);
  world.cut = committed;
}

function someSteps(world: TargetWorld, count: number): void {
  const { random } = world;
  for (let i = 0; i < count; i++) {
    const action = random.below(10);
    if (action < 2) world.write(1 + random.below(5));
    else if (action < 5) world.send(1 + random.below(8));
    else if (action < 8) world.stepJournal();
    else world.stepApply();
    if (random.below(40) === 0) world.connect();
    world.nowMs += random.below(30);
  }
}

test('[MI4] [MI9] [I1] [I2] crash after crash: the volumes are whole at the cut, nothing that was acknowledged is missing', () => {
  let shown = 0;
  let mixed = 0;
  for (const seed of seeds) {
    const world = new TargetWorld(seed);
    world.start();
    for (let round = 0; round < 6; round++) {
      world.connect();
      someSteps(world, 30 + world.random.below(120));
      world.crash();
      if (world.superblock().sequence % 2 === 1) mixed++;
      expectPromises(world, `seed ${seed}, round ${round}`);
    }
    shown += world.cut;
  }
  // The runs did get somewhere, and some crashes came in the middle of an apply.
  expect(shown).toBeGreaterThan(60 * 50);
  expect(mixed).toBeGreaterThan(20);
});

test('[MI3] [MI5] a source that lost its last marks writes others: what it lost never comes back, over any crash', () => {
  let dropped = 0;
  for (const seed of seeds) {
    const world = new TargetWorld(1000 + seed);
    world.start();
    for (let round = 0; round < 8; round++) {
      world.connect();
      someSteps(world, 20 + world.random.below(60));
      if (world.random.below(2) === 0) {
        world.crash();
        expectPromises(world, `seed ${seed}, round ${round}`);
      }
      // Committed is only what the source itself has durable.
      const kept = world.committed + world.random.below(world.model.mark - world.committed + 1);
      dropped += world.copy.receiver.prefix.mark > kept ? 1 : 0;
      world.durable = Math.min(world.durable, kept);
      world.model.loseBehind(kept);
    }
    world.connect();
    world.write(20);
    world.unsent.push(world.model.seal());
    for (let i = 0; i < 400 && world.cut < world.model.mark; i++) {
      world.send(4);
      world.settle();
      world.roll();
    }
    world.settle();
    expect(world.cut).toBe(world.model.mark);
    world.expectContent(world.model.mark, `seed ${seed}`);
  }
  expect(dropped).toBeGreaterThan(30);
});

test('[MI15] a receive volume that fails is told, keeps its cut, and ends whole', () => {
  let failed = 0;
  for (const seed of seeds) {
    const world = new TargetWorld(2000 + seed);
    const { random } = world;
    world.start();
    world.connect();
    const sometimes = () => (random.below(5) === 0 ? -5 : null);
    for (const volume of world.volumes) {
      volume.writeFault = sometimes;
      volume.flushFault = sometimes;
    }
    someSteps(world, 150);
    for (let i = 0; i < 20; i++) {
      someSteps(world, 5);
      if (world.copy.volumesErrno === 5) failed++;
    }
    for (const volume of world.volumes) {
      volume.writeFault = () => null;
      volume.flushFault = () => null;
    }
    world.settle();
    expect(world.copy.volumesErrno).toBe(0);
    world.crash();
    expectPromises(world, `seed ${seed}`);
  }
  expect(failed).toBeGreaterThan(30);
});

test('[MI15] a journal that fails acknowledges nothing until it is well', () => {
  for (const seed of seeds) {
    const world = new TargetWorld(3000 + seed);
    const { random, disk } = world;
    world.start();
    world.connect();
    someSteps(world, 40);
    const sometimes = () => (random.below(4) === 0 ? -5 : null);
    disk.writeFault = sometimes;
    disk.flushFault = sometimes;
    someSteps(world, 100);
    disk.writeFault = () => null;
    disk.flushFault = () => null;
    world.crash();
    expectPromises(world, `seed ${seed}`);
  }
});
