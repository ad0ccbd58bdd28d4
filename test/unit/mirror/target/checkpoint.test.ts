/** Cuts brought by lists, at a target on disks that crash. */
import { expect, test, vi } from 'vitest';
import { FRAME_KIND } from '../../../../agent/mirror/wire/frame.ts';
import { ENTRY } from '../../../../agent/mirror/wire/entry.ts';
import { fileOffset } from '../../../../agent/mirror/store/ring.ts';
import { SIZE } from '../store/journal-world.ts';
import { TargetWorld } from './target-world.ts';

vi.setConfig({ testTimeout: 120_000 });

const seeds = Array.from({ length: 40 }, (_, i) => i + 1);

/** A target that shows a first cut in its session, with some whole and some partial writes. */
function begun(seed: number): TargetWorld {
  const world = new TargetWorld(seed);
  world.hasCheckpoints = true;
  world.start();
  world.connect();
  more(world);
  world.roll();
  world.settle();
  expect(world.cut).toBe(world.committed);
  return world;
}

/** Some more writes, sealed, sent and committed. */
function more(world: TargetWorld, count = 6): void {
  world.write(count);
  world.unsent.push(world.model.appendBlocks(), world.model.seal());
  for (let i = 0; i < 30 && world.unsent.length > 0; i++) {
    world.send(3);
    world.settle();
  }
  for (let i = 0; i < 10 && world.committed < world.model.mark; i++) world.settle();
  expect(world.committed).toBe(world.model.mark);
}

test('[MI7] [MI8] [RF6] list after list, entries in any order and twice: the volumes are the model at each cut', () => {
  let references = 0;
  for (const seed of seeds) {
    const world = begun(seed);
    for (let round = 0; round < 5; round++) {
      more(world);
      references += world.places.size;
      const before = world.cut;
      world.checkpoint();
      world.settle();
      expect(world.cut, `seed ${seed}`).toBeGreaterThan(before);
      expect(world.cut).toBe(world.committed);
      world.expectContent(world.cut, `seed ${seed}, round ${round}`);
    }
    expect(world.wanted).toEqual([]);
  }
  expect(references).toBeGreaterThan(1000);
});

test('[MI9] [I1] [I2] crash at any step of a list: a start ends whole, at what was committed', () => {
  let mixed = 0;
  for (const seed of seeds) {
    const world = begun(100 + seed);
    for (let round = 0; round < 6; round++) {
      more(world);
      const before = world.cut;
      world.checkpoint();
      for (let step = world.random.below(12); step > 0; step--) {
        if (world.random.below(2) === 0) world.stepJournal();
        else world.stepApply();
      }
      world.crash();
      const { cut, committed, sequence } = world.superblock();
      if (sequence % 2 === 1) mixed++;
      else world.expectContent(cut, `seed ${seed}, round ${round}`);
      expect(cut).toBeGreaterThanOrEqual(before);
      world.start();
      world.settle();
      expect(world.copy.receiver.cut.mark).toBe(committed);
      world.expectContent(committed, `seed ${seed}, round ${round}, after the start`);
      world.cut = committed;
      world.connect();
      more(world);
      world.roll();
      world.settle();
    }
  }
  expect(mixed).toBeGreaterThan(20);
});

test('[I11] a reference whose content does not hold is wanted, no volume is touched, and its data brings the cut', () => {
  let asked = 0;
  for (const seed of seeds) {
    const world = begun(200 + seed);
    const entry = world.model.appendBlocks();
    world.unsent.push(entry, world.model.seal());
    world.send(10);
    world.settle();
    const { position } = world.copy.receiver.arrivalAt(entry.mark) ?? { position: 0 };
    world.disk.rot(fileOffset(position, SIZE) + ENTRY.bytes + 4096 * (entry.length / 4096 - 1) + 17);
    const shown = world.volumes.map(({ content }) => content.slice());
    const base = world.cut;
    world.checkpoint();
    world.settle();
    expect(world.cut).toBe(base);
    expect(world.copy.gate.isShut).toBe(false);
    world.volumes.forEach(({ content }, i) => expect(Buffer.compare(content, shown[i] ?? content)).toBe(0));
    expect(world.wanted).toEqual([{ volume: entry.volume, block: (entry.offset + entry.length) / 4096 - 1 }]);
    asked += world.wanted.length;
    // The next cut, of which the list has the same base.
    world.unsent.push(world.model.append(), world.model.seal());
    world.send(10);
    world.settle();
    world.checkpoint((list) => ({ ...list, asData: world.wanted }));
    world.settle();
    expect(world.cut).toBe(world.committed);
    world.expectContent(world.cut, `seed ${seed}`);
  }
  expect(asked).toBe(seeds.length);
});

test('[I11] a reference to an entry that is shown before the list’s turn comes is wanted: the ring does not hold it any more', () => {
  for (const seed of seeds) {
    const world = begun(300 + seed);
    const entry = world.model.appendBlocks();
    const first = world.model.seal();
    world.unsent.push(entry, first);
    world.send(10);
    world.unsent.push(world.model.seal());
    world.send(10);
    world.settle();
    const [peer] = world.peers;
    if (!peer) throw new Error('its source is there');
    // It begins at the cut before, and waits for this one.
    world.frame(peer, FRAME_KIND.roll, world.session, first.mark);
    world.checkpoint();
    world.settle();
    expect(world.cut).toBe(first.mark);
    expect(world.wanted.length).toBeGreaterThan(0);
    world.expectContent(first.mark, `seed ${seed}, asked`);
    world.checkpoint((list) => ({ ...list, asData: world.wanted }));
    world.settle();
    expect(world.cut).toBe(world.committed);
    world.expectContent(world.cut, `seed ${seed}`);
  }
});

test('[MI5] a place of an earlier session, or of no transfer at all, is wanted', () => {
  const world = begun(300);
  const entry = world.model.appendBlocks();
  world.unsent.push(entry, world.model.seal());
  world.send(10);
  world.settle();
  const old = new Map(world.places);
  world.connect();
  world.unsent.push(world.model.seal());
  world.send(10);
  world.settle();
  world.checkpoint((list) => ({ ...list, places: old }));
  world.settle();
  expect(world.wanted.length).toBeGreaterThan(0);
  expect(world.cut).toBeLessThan(world.committed);
});

test.each<[string, (world: TargetWorld) => void]>([
  ['of what is not committed', (world) => world.checkpoint((list) => ({ ...list, cut: list.cut + 1 }))],
  ['from a cut that nothing brings', (world) => world.checkpoint((list) => ({ ...list, base: list.cut - 1 }))],
  ['that cannot be read', (world) => say(world, new Uint8Array(5))],
])('a list %s ends the session', (_, act) => {
  const world = begun(400);
  more(world);
  world.model.append();
  const [peer] = world.peers;
  act(world);
  expect(peer?.stopped).not.toBeNull();
  world.settle();
  world.expectContent(world.cut, 'nothing was touched');
});

function say(world: TargetWorld, body: Uint8Array): void {
  const [peer] = world.peers;
  if (peer) world.frame(peer, FRAME_KIND.checkpoint, world.session, world.committed, body, 1);
}
