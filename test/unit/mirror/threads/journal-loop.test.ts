/** When the journal thread wakes the volume thread: nobody waits for that, and each time costs. */
import { beforeEach, expect, test } from 'vitest';
import { Prng } from '../../../../agent/base/prng.ts';
import { JOURNAL_WORD } from '../../../../agent/mirror/store/journal-memory.ts';
import { JournalWorld, SIZE } from '../store/journal-world.ts';

let world: JournalWorld;

beforeEach(() => {
  world = new JournalWorld(new Prng(1));
  world.start();
  world.memory.set(JOURNAL_WORD.flushAlways, 1);
  // Once for what there is.
  writes(1);
  world.mores = 0;
});

/** Writes, each flushed at once; answers how long the thread may sleep then. */
function writes(count: number): number {
  let sleepMs = 0;
  for (let i = 0; i < count; i++) {
    expect(world.append(128)).toBe(true);
    sleepMs = world.loop.step();
    expect(world.durable).toBe(world.appender.head);
  }
  return sleepMs;
}

test('the volume thread hears of a few writes together, a few ms later and no later', () => {
  const sleepMs = writes(3);
  expect(world.mores).toBe(0);
  expect(sleepMs).toBeGreaterThan(0);
  expect(sleepMs).toBeLessThan(20);
  world.nowMs += sleepMs;
  world.loop.step();
  expect(world.mores).toBe(1);
  // And not again without more.
  world.nowMs += 100;
  expect(world.loop.step()).toBeGreaterThan(100);
  expect(world.mores).toBe(1);
});

test('it hears of much at once, before it fills the window', () => {
  writes(Math.ceil(SIZE.windowBytes / 8 / 256));
  expect(world.mores).toBe(1);
});

test('it hears of each flush while main wants it to get on', () => {
  world.memory.set(JOURNAL_WORD.storedWatched, 1);
  writes(2);
  expect(world.mores).toBe(2);
});
