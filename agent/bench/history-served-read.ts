/** A served state read from its beginning to its end, beside nbdkit with a plain file of the same content. */
import { randomFillSync } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { AgentError } from '../base/errors.ts';
import { Prng } from '../base/prng.ts';
import { RECORD_KIND } from '../history/wire/record.ts';
import { NbdClient } from '../nbd/client.ts';
import { systemClock } from '../platform/clock.ts';
import { atLeast, type Figure } from './figure.ts';
import { fio } from './fio.ts';
import type { HistoryBenchOptions, Say } from './history.ts';
import { MadeRecording, Payloads, replay, VOLUME_NAME, type KnownWrite } from './made-recording.ts';
import { serveByNbdkit } from './mirror-peers.ts';
import { median } from './mirror-rounds.ts';
import { serveState, type ServedState } from './served-state.ts';

const BLOCK_BYTES = 4096;
const WRITE_BLOCKS_MAX = 32;
const GROUP = 256;
const COMPARE_BYTES = 1 << 20;
const READ = ['--rw=read', '--bs=128k', '--iodepth=16'];

export async function servedReadFigures(folder: string, options: HistoryBenchOptions, say: Say): Promise<Figure[]> {
  const { servedBytes, rounds } = options;
  const image = join(folder, 'plain.img');
  const recording = join(folder, 'recording');
  const { content, middle } = await record(recording, servedBytes);
  writeFileSync(image, content);
  const plain = await serveByNbdkit(image);
  const rates = { ours: [] as number[], plain: [] as number[] };
  try {
    say(`a served state of ${servedBytes >>> 20} MiB, read from its beginning to its end: ${rounds} rounds`);
    for (let round = 0; round < rounds; round++) {
      const order = round % 2 === 0 ? (['ours', 'plain'] as const) : (['plain', 'ours'] as const);
      for (const which of order) {
        if (which === 'plain') rates.plain.push(await rateOf(plain.uri, servedBytes));
        else
          rates.ours.push(await servedRate(recording, middle, join(folder, `served-${round}`), content, round === 0));
      }
    }
  } finally {
    await plain.child.kill();
  }
  const rate = median(rates.ours);
  const ratio = median(rates.ours.map((one, i) => one / (rates.plain[i] ?? one)));
  return [atLeast('sequential read of a served state, beside a file by nbdkit', 'MB/s', rate, rate / ratio, 0.5)];
}

/** A base of noise, and on it, up to the middle, writes of 4 to 128 KiB anywhere, which are half as much in sum; as many behind it. */
async function record(folder: string, bytes: number): Promise<{ content: Buffer; middle: number }> {
  const random = new Prng(2);
  const payloads = new Payloads(random, WRITE_BLOCKS_MAX * BLOCK_BYTES);
  const content = Buffer.alloc(bytes);
  for (let at = 0; at < bytes; at += COMPARE_BYTES) randomFillSync(content, at, Math.min(COMPARE_BYTES, bytes - at));
  const startMs = Math.floor(systemClock.wallMs()) - 3_600_000;
  const made = await MadeRecording.make({ folder, volumeBytes: bytes, startMs }, content);
  const half = Math.ceil(bytes / BLOCK_BYTES / 2 / ((1 + WRITE_BLOCKS_MAX) / 2));
  try {
    for (let from = 1; from <= 2 * half; from += GROUP) {
      const group = Array.from({ length: Math.min(GROUP, 2 * half + 1 - from) }, (_, i): KnownWrite => {
        const length = random.between(1, WRITE_BLOCKS_MAX) * BLOCK_BYTES;
        const offset = random.below((bytes - length) / BLOCK_BYTES + 1) * BLOCK_BYTES;
        return { mark: from + i, kind: RECORD_KIND.write, offset, length, payload: payloads.of(from + i, length) };
      });
      await made.put(group);
      for (const write of group) if (write.mark <= half) replay(write, content);
    }
  } finally {
    await made.close();
  }
  return { content, middle: half };
}

/** By a process that has just been started: what it reads it reads for the first time, as who copies a state out does. */
async function servedRate(
  recording: string,
  mark: number,
  socket: string,
  content: Buffer,
  isCompared: boolean,
): Promise<number> {
  const state = await serveState(recording, `#${mark}`, socket, { offset: 0, length: BLOCK_BYTES });
  try {
    const rate = await rateOf(state.uri, content.length);
    if (isCompared) await compare(state, content);
    return rate;
  } finally {
    await state.child.kill();
  }
}

async function rateOf(uri: string, bytes: number): Promise<number> {
  const done = await fio(uri, bytes, READ, null);
  return done.bytes / 1e3 / done.ms;
}

async function compare({ socket }: ServedState, content: Buffer): Promise<void> {
  const client = await NbdClient.open({ endpoint: { path: socket }, name: VOLUME_NAME });
  const read = Buffer.alloc(COMPARE_BYTES);
  for (let at = 0; at < content.length; at += COMPARE_BYTES) {
    const wanted = content.subarray(at, at + COMPARE_BYTES);
    const there = read.subarray(0, wanted.length);
    await client.read(at, there);
    if (wanted.equals(there)) continue;
    throw new AgentError('failed', `the served state is not what was written: it differs from byte ${at} on`);
  }
  client.close();
}
