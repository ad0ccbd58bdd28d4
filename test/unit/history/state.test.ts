/** A state that is read while its recording goes on: what is taken from under it ends the reading, and never changes what is read. */
import { closeSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { afterEach, expect, test } from 'vitest';
import { Prng } from '../../../agent/base/prng.ts';
import { Walk } from '../../../agent/cli/history-progress.ts';
import { restoreState } from '../../../agent/cli/restore-copy.ts';
import { basePath, readHead, sumsPath, writeHead } from '../../../agent/history/store/files.ts';
import { foldTo } from '../../../agent/history/store/fold.ts';
import { loadRecording } from '../../../agent/history/store/load.ts';
import { State } from '../../../agent/history/store/state.ts';
import { RECORD_KIND } from '../../../agent/history/wire/record.ts';
import {
  feed,
  fillBase,
  randomWrites,
  RecordedWorld,
  replayed,
  START_NS,
  type RecordedWrite,
} from '../../support/recorded-writes.ts';

const SIZES = [256 * 1024];
const worlds: RecordedWorld[] = [];
const states: State[] = [];
afterEach(async () => {
  for (const state of states.splice(0)) state.close();
  for (const world of worlds.splice(0)) await world.remove();
});

interface Recorded {
  readonly world: RecordedWorld;
  readonly recording: Awaited<ReturnType<RecordedWorld['open']>>;
  readonly base: readonly Uint8Array[];
  readonly writes: readonly RecordedWrite[];
}

async function recorded(seed: number, count: number | readonly RecordedWrite[]): Promise<Recorded> {
  const random = new Prng(seed);
  const world = new RecordedWorld(SIZES);
  worlds.push(world);
  const base = SIZES.map((bytes) => {
    const content = new Uint8Array(bytes);
    random.fill(content);
    return content;
  });
  const recording = await world.open();
  fillBase(recording, base);
  const writes = typeof count === 'number' ? randomWrites(random, count, SIZES) : count;
  feed(recording, random, writes);
  await recording.settled();
  return { world, recording, base, writes };
}

function stateAt({ world }: Recorded, mark: number): State {
  const state = new State(loadRecording(world.folder), mark);
  states.push(state);
  return state;
}

function isAsWritten({ base, writes }: Recorded, state: State): boolean {
  const content = new Uint8Array(SIZES[0] ?? 0);
  state.read(0, 0, content);
  return Buffer.compare(content, replayed(base, writes, state.mark)[0] ?? new Uint8Array(0)) === 0;
}

/** A volume in memory; behind so many reads of it `reached` is called once, and waited for. */
function onto(reads: number, reached: () => Promise<unknown>) {
  const content = new Uint8Array(SIZES[0] ?? 0).fill(7);
  let count = 0;
  let reaching: Promise<unknown> | null = null;
  return {
    content,
    stepBytesMax: 4096,
    canZero: false,
    advice: '',
    read: async (offset: number, into: Uint8Array) => {
      if (++count >= reads) await (reaching ??= reached());
      into.set(content.subarray(offset, offset + into.length));
    },
    write: async (offset: number, bytes: Uint8Array) => content.set(bytes, offset),
    zero: async () => {},
    flush: async () => {},
    close: () => {},
  };
}

test('[HI4] [HI8] a restore whose state is folded away meanwhile ends with what it left, and wrote nothing else', async () => {
  for (const isReal of [true, false]) {
    const seen = await recorded(51, 200);
    const volume = onto(20, async () => seen.recording.prune(Infinity, 0));
    const state = stateAt(seen, 100);
    const walk = new Walk('restoring', volume.content.length, true);
    const rest = { where: '/dev/there', isReal, walk, volume: 0, bytes: volume.content.length };
    const restoring = restoreState({ ...rest, state, onto: volume });
    const why = 'mark 100 was folded meanwhile: the earliest that is kept is 200';
    const far =
      /^; [\d.]+ KiB were written to \/dev\/there, which is a mix of two states until a restore goes through$/;
    await expect(restoring).rejects.toMatchObject({ name: 'AgentError', message: expect.stringContaining(why) });
    const said = await restoring.catch(({ message }: Error) => message);
    expect(String(said).slice(why.length)).toMatch(isReal ? far : /^$/);
    const wanted = replayed(seen.base, seen.writes, 100)[0] ?? new Uint8Array(0);
    for (let at = 0; at < wanted.length; at += 4096) {
      const [there, right] = [volume.content.subarray(at, at + 4096), wanted.subarray(at, at + 4096)];
      expect(there.every((byte) => byte === 7) || Buffer.compare(there, right) === 0, `block ${at}`).toBe(true);
    }
  }
});

test('[HI1] a base that is taken anew is read by nobody, whatever mark it begins at', async () => {
  const seen = await recorded(52, 60);
  const state = stateAt(seen, 60);
  expect(isAsWritten(seen, state)).toBe(true);
  seen.recording.fill(60);
  expect(() => isAsWritten(seen, state)).toThrow('the volumes are being recorded anew: mark 60 is kept no more');
});

test('[HI5] a state that another generation has made void is read no more, and one before the branch is', async () => {
  const seen = await recorded(53, 120);
  const [given, before] = [stateAt(seen, 110), stateAt(seen, 80)];
  seen.recording.branch('22'.repeat(16), { mark: 100, chain: 700n });
  await seen.recording.settled();
  expect(() => isAsWritten(seen, given)).toThrow(
    'mark 110 was given up meanwhile: another generation goes on from 100',
  );
  expect(isAsWritten(seen, before)).toBe(true);
});

const write = (mark: number, offset: number, length: number): RecordedWrite => ({
  kind: RECORD_KIND.write,
  mark,
  timeNs: START_NS + BigInt(mark) * 1_000_000n,
  volume: 0,
  offset,
  length,
  payload: new Uint8Array(length).fill(mark),
});

/** One bit of the base file. */
function flip({ world }: Recorded, offset: number): void {
  const fd = openSync(basePath(world.folder, 0), 'r+');
  const byte = new Uint8Array(1);
  readSync(fd, byte, 0, 1, offset);
  writeSync(fd, new Uint8Array([(byte[0] ?? 0) ^ 16]), 0, 1, offset);
  closeSync(fd);
}

const BLOCK = 4096;
/** All of block 1, and some bytes of block 2; later all of block 2 too. */
const WRITES = [write(1, BLOCK, BLOCK), write(2, 2 * BLOCK + 50, 100), write(3, 2 * BLOCK, BLOCK)];

test('[HI3] a bit that flips in the base is told with file and byte, wherever a state has it from there, and nowhere else', async () => {
  const seen = await recorded(54, WRITES.slice(0, 2));
  for (const block of [1, 2, 3]) flip(seen, block * BLOCK + 9);
  const state = stateAt(seen, 2);
  const wanted = replayed(seen.base, seen.writes, 2)[0] ?? new Uint8Array(0);
  const isRight = (from: number, to: number): boolean => {
    const content = new Uint8Array(to - from);
    state.read(0, from, content);
    return Buffer.compare(content, wanted.subarray(from, to)) === 0;
  };
  expect(isRight(0, 2 * BLOCK)).toBe(true);
  expect(isRight(2 * BLOCK + 50, 2 * BLOCK + 150)).toBe(true);
  expect(isRight(4 * BLOCK, wanted.length)).toBe(true);
  for (const block of [2, 3]) {
    const why = `base-0 is damaged at byte ${block * BLOCK}, in a block of 4096: `;
    expect(() => isRight(block * BLOCK, (block + 1) * BLOCK)).toThrow(why);
    expect(() => isRight(block * BLOCK + 7, block * BLOCK + 8)).toThrow(why);
  }
});

test('[HI4] damage in the base outlives a fold beside it, and goes with what is written over all of it', async () => {
  const seen = await recorded(55, WRITES);
  flip(seen, 2 * BLOCK + 9);
  const read = (mark: number): boolean => {
    const block = new Uint8Array(BLOCK);
    stateAt(seen, mark).read(0, 2 * BLOCK, block);
    return Buffer.compare(block, (replayed(seen.base, WRITES, mark)[0] ?? block).subarray(2 * BLOCK, 3 * BLOCK)) === 0;
  };
  await foldAt(seen, 2);
  expect(loadRecording(seen.world.folder).head.base).toMatchObject({ mark: 2, state: 'whole', sums: true });
  expect(() => read(2)).toThrow(`base-0 is damaged at byte ${2 * BLOCK}`);
  await foldAt(seen, 3);
  expect(read(3)).toBe(true);
  expect(isAsWritten(seen, stateAt(seen, 3))).toBe(true);
});

async function foldAt({ world }: Recorded, mark: number): Promise<void> {
  await world.close();
  const loaded = loadRecording(world.folder);
  const [span] = loaded.extent.spans;
  if (!span) throw new Error('nothing can be restored');
  await foldTo(loaded, mark, Infinity, span);
}

test('[HI4] a recording of before there were checksums is read, and folded, without them', async () => {
  const seen = await recorded(56, WRITES);
  await seen.world.close();
  const head = readHead(seen.world.folder);
  const { sums, ...base } = head.base;
  expect(sums).toBe(true);
  writeHead(seen.world.folder, { ...head, base });
  rmSync(sumsPath(seen.world.folder, 0));
  expect(isAsWritten(seen, stateAt(seen, 2))).toBe(true);
  await foldAt(seen, 2);
  expect(loadRecording(seen.world.folder).head.base.sums).toBe(undefined);
  expect(isAsWritten(seen, stateAt(seen, 3))).toBe(true);
  flip(seen, 9);
  expect(isAsWritten(seen, stateAt(seen, 3))).toBe(false);
});

test('[HI4] checksums that are gone are told', async () => {
  const seen = await recorded(57, WRITES);
  rmSync(sumsPath(seen.world.folder, 0));
  expect(() => stateAt(seen, 2)).toThrow(/base-0\.sums is gone: no state can be read that has anything from there/);
});
