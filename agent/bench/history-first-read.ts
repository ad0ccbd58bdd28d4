/** How soon a state in the middle of many writes answers: from the start of `history serve` to its first answered read. */
import { join } from 'node:path';
import { AgentError } from '../base/errors.ts';
import { Prng } from '../base/prng.ts';
import { RECORD_KIND } from '../history/wire/record.ts';
import { systemClock } from '../platform/clock.ts';
import { below, type Figure } from './figure.ts';
import type { HistoryBenchOptions, Say } from './history.ts';
import { MadeRecording, Payloads, type KnownWrite } from './made-recording.ts';
import { median } from './mirror-rounds.ts';
import { serveState } from './served-state.ts';

const BLOCK_BYTES = 4096;
/** Of writes, durable together. */
const GROUP = 2048;

export async function firstReadFigures(folder: string, options: HistoryBenchOptions, say: Say): Promise<Figure[]> {
  const { writes, historyBytes, rounds } = options;
  say(`${writes} writes over ${(historyBytes / 2 ** 30).toFixed(1)} GiB are recorded`);
  const random = new Prng(1);
  const payloads = new Payloads(random, 16 * BLOCK_BYTES);
  const middle = Math.floor(writes / 2);
  // The past of which all marks are, to the millisecond.
  const startMs = Math.floor(systemClock.wallMs()) - writes - 60_000;
  const made = await MadeRecording.make({ folder: join(folder, 'recording'), volumeBytes: historyBytes, startMs });
  const newest = new Map<number, number>();
  try {
    for (let from = 1; from <= writes; from += GROUP) {
      const group = Array.from({ length: Math.min(GROUP, writes + 1 - from) }, (_, i): KnownWrite => {
        const [mark, block] = [from + i, random.below(historyBytes / BLOCK_BYTES)];
        if (mark <= middle) newest.set(block, mark);
        const payload = payloads.of(mark, BLOCK_BYTES);
        return { mark, kind: RECORD_KIND.write, offset: block * BLOCK_BYTES, length: BLOCK_BYTES, payload };
      });
      await made.put(group);
    }
  } finally {
    await made.close();
  }
  say(`the state at mark ${middle} is served ${rounds} times`);
  const blocks = [...newest.keys()];
  const times: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const block = random.pick(blocks);
    const time = new Date(startMs + middle).toISOString();
    const range = { offset: block * BLOCK_BYTES, length: BLOCK_BYTES };
    const state = await serveState(join(folder, 'recording'), time, join(folder, `first-${round}`), range);
    await state.child.kill();
    if (!state.first.equals(payloads.of(newest.get(block) ?? 0, BLOCK_BYTES))) {
      throw new AgentError('failed', `the state at mark ${middle} is not what was written: block ${block} differs`);
    }
    times.push(state.firstMs / 1000);
  }
  return [below(`serving a state amid ${writes} writes: first read`, 's', median(times), 2)];
}
