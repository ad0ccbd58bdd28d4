/** States at random marks against an independent replay of the list of writes: every byte of each. */
import { readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Prng } from '../base/prng.ts';
import { CLI_PATH } from '../demo/lab.ts';
import { tool } from '../demo/shell.ts';
import { loadRecording } from '../history/store/load.ts';
import { State } from '../history/store/state.ts';
import { RECORD_KIND } from '../history/wire/record.ts';
import { systemClock } from '../platform/clock.ts';
import { moreThan, type Figure } from './figure.ts';
import type { HistoryBenchOptions, Say } from './history.ts';
import { MadeRecording, Payloads, replay, type KnownWrite } from './made-recording.ts';

const VOLUME_BYTES = 4 << 20;
const WRITES_A_STATE = 20;
const WRITE_BYTES_MAX = 9000;
const GROUP = 64;

export async function stateFigures(folder: string, options: HistoryBenchOptions, say: Say): Promise<Figure[]> {
  const { states, restores } = options;
  const random = new Prng(3);
  const content = new Uint8Array(VOLUME_BYTES);
  random.fill(content);
  const recording = join(folder, 'recording');
  const writes = writesOf(random, states * WRITES_A_STATE);
  const startMs = Math.floor(systemClock.wallMs()) - 3_600_000;
  const made = await MadeRecording.make({ folder: recording, volumeBytes: VOLUME_BYTES, startMs }, content);
  try {
    // Control and data come each in an order of its own.
    for (let from = 0; from < writes.length; from += GROUP) await made.put(writes.slice(from, from + GROUP), random);
  } finally {
    await made.close();
  }
  say(`${states} states of ${writes.length} writes beside a replay of them, ${restores} of them by history restore`);
  const marks = Array.from({ length: states }, () => random.between(0, writes.length)).sort((a, b) => a - b);
  const volume = join(folder, 'restored');
  writeFileSync(volume, '');
  truncateSync(volume, VOLUME_BYTES);
  const loaded = loadRecording(recording);
  const equal = { states: 0, restores: 0 };
  let done = 0;
  for (const [i, mark] of marks.entries()) {
    for (const write of writes.slice(done, mark)) replay(write, content);
    done = mark;
    const state = new State(loaded, mark);
    const got = new Uint8Array(VOLUME_BYTES);
    try {
      state.read(0, 0, got);
    } finally {
      state.close();
    }
    if (Buffer.compare(got, content) === 0) equal.states++;
    if (i % Math.floor(states / restores) !== 0) continue;
    await tool([
      process.execPath,
      CLI_PATH,
      'history',
      'restore',
      '--at',
      `#${mark}`,
      volume,
      '--store',
      recording,
      '--yes',
    ]);
    if (Buffer.compare(readFileSync(volume), content) === 0) equal.restores++;
  }
  return [
    moreThan('states equal to a replay of the writes', `of ${states}`, equal.states, states, states),
    moreThan('of these written back by history restore', `of ${restores}`, equal.restores, restores, restores),
  ];
}

/** Of any size and place, zeroes, trims, and seals between them. */
function writesOf(random: Prng, count: number): KnownWrite[] {
  const payloads = new Payloads(random, 64 * 1024);
  const { write, zero, trim, seal } = RECORD_KIND;
  return Array.from({ length: count }, (_, i): KnownWrite => {
    const [mark, kind] = [i + 1, random.pick([write, write, write, write, zero, trim, seal])];
    if (kind === seal) return { mark, kind, offset: 0, length: 0, payload: new Uint8Array(0) };
    const unit = random.chance(1, 2) ? 4096 : 1;
    const length = random.between(1, Math.floor(WRITE_BYTES_MAX / unit)) * unit;
    const offset = random.below(Math.floor((VOLUME_BYTES - length) / unit) + 1) * unit;
    return { mark, kind, offset, length, payload: payloads.of(mark, kind === write ? length : 0) };
  });
}
