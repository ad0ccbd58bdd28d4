/** Writes as a monitor records them, the recording they go into, and the list of them as an independent account. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32 } from '../../agent/base/crc32.ts';
import { Prng } from '../../agent/base/prng.ts';
import { loadRecording, type Loaded } from '../../agent/history/store/load.ts';
import { Recording, type Retention } from '../../agent/history/store/recording.ts';
import { State } from '../../agent/history/store/state.ts';
import { dataBytes, DATA, encodeData } from '../../agent/history/wire/data.ts';
import { EMPTY_RECORD, encodeRecord, RECORD, RECORD_KIND } from '../../agent/history/wire/record.ts';

export const GENERATION: string = '11'.repeat(16);
export const START_NS = 1_790_000_000_000_000_000n;

export interface RecordedWrite {
  readonly kind: number;
  readonly mark: number;
  readonly timeNs: bigint;
  readonly volume: number;
  readonly offset: number;
  readonly length: number;
  /** Empty for all but a write. */
  readonly payload: Uint8Array;
}

/** Writes of any size and place, zeroes, trims, and seals between them. */
export function randomWrites(random: Prng, count: number, sizes: readonly number[], from = 1): RecordedWrite[] {
  let timeNs = START_NS + BigInt(from) * 1_000_000n;
  return Array.from({ length: count }, (_, i) => {
    timeNs += BigInt(random.below(3)) * 1_000_000n;
    const volume = random.below(sizes.length);
    const size = sizes[volume] ?? 0;
    const kind = random.pick([
      RECORD_KIND.write,
      RECORD_KIND.write,
      RECORD_KIND.write,
      RECORD_KIND.write,
      RECORD_KIND.zero,
      RECORD_KIND.trim,
      RECORD_KIND.seal,
    ]);
    const isWhole = random.chance(1, 2);
    const unit = isWhole ? 4096 : 1;
    const offset = kind === RECORD_KIND.seal ? 0 : random.below(Math.floor(size / unit)) * unit;
    const most = Math.min(size - offset, isWhole ? 4 * 4096 : 9000);
    const length = kind === RECORD_KIND.seal ? 0 : Math.max(unit, Math.floor((random.below(most) + 1) / unit) * unit);
    const payload = new Uint8Array(kind === RECORD_KIND.write ? length : 0);
    // Of this mark, wherever it is looked into.
    payload.fill(random.below(256));
    for (let at = 0; at + 4 <= payload.length; at += 512) payload.set([from + i, (from + i) >>> 8, 7, 9], at);
    return { kind, mark: from + i, timeNs, volume, offset, length, payload };
  });
}

export function controlOf({ payload, timeNs: time, ...write }: RecordedWrite): Uint8Array {
  const bytes = new Uint8Array(RECORD.bytes);
  const chain = BigInt(write.mark) * 7n;
  const payloadCrc = payload.length > 0 ? crc32(payload) : 0;
  encodeRecord({ ...EMPTY_RECORD, ...write, time, chain, payloadCrc, payloadBytes: payload.length }, bytes, 0);
  return bytes;
}

/** Null where there is none. */
export function dataOf({ kind, volume, mark, offset, length, payload }: RecordedWrite): Uint8Array | null {
  if (payload.length === 0 && kind !== RECORD_KIND.image) return null;
  const bytes = new Uint8Array(dataBytes(payload.length));
  const payloadCrc = payload.length > 0 ? crc32(payload) : 0;
  encodeData({ kind, volume, mark, offset, length, payloadBytes: payload.length, payloadCrc }, bytes, 0);
  bytes.set(payload, DATA.bytes);
  return bytes;
}

/** What the volumes hold when these are applied one after the other. */
export function replayed(base: readonly Uint8Array[], writes: readonly RecordedWrite[], upTo: number): Uint8Array[] {
  const volumes = base.map((bytes) => bytes.slice());
  for (const { mark, volume, offset, length, payload } of writes) {
    if (mark > upTo || length === 0) continue;
    if (payload.length > 0) volumes[volume]?.set(payload, offset);
    else volumes[volume]?.fill(0, offset, offset + length);
  }
  return volumes;
}

export class RecordedWorld {
  readonly folder: string = mkdtempSync(join(tmpdir(), 'stillbeat-history-'));
  readonly sizes: readonly number[];
  readonly said: string[] = [];
  nowMs: number = Number(START_NS / 1_000_000n);
  /** So much of `nowMs` is no time that has passed: the clock was set. */
  setMs = 0;
  #recording: Recording | null = null;

  constructor(sizes: readonly number[]) {
    this.sizes = sizes;
  }

  /** More is durable. */
  progress: () => void = () => {};

  async open(retention: Retention = { hours: 0, bytes: 0 }, keepsBase = true): Promise<Recording> {
    await this.close();
    this.#recording = await Recording.open({
      folder: this.folder,
      monitor: 'm',
      volumes: this.sizes.map((bytes, i) => ({ name: `v${i}`, bytes })),
      generation: GENERATION,
      keepsBase,
      retention,
      nowMs: () => this.nowMs,
      steadyMs: () => this.nowMs - this.setMs,
      log: (line) => this.said.push(line),
      progress: () => this.progress(),
    });
    return this.#recording;
  }

  async close(): Promise<void> {
    await this.#recording?.close();
    this.#recording = null;
  }

  /** The volumes as they are at this mark. */
  at(mark: number, loaded: Loaded = loadRecording(this.folder)): Uint8Array[] {
    const state = new State(loaded, mark);
    try {
      return this.sizes.map((bytes, volume) => {
        const content = new Uint8Array(bytes);
        state.read(volume, 0, content);
        return content;
      });
    } finally {
      state.close();
    }
  }

  async remove(): Promise<void> {
    await this.close();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

const worlds: RecordedWorld[] = [];

/** One that `removeWorlds` removes. */
export function newWorld(sizes: readonly number[]): RecordedWorld {
  const world = new RecordedWorld(sizes);
  worlds.push(world);
  return world;
}

export async function removeWorlds(): Promise<void> {
  for (const world of worlds.splice(0)) await world.remove();
}

/** Fisher and Yates, within `reach` places. */
export function shuffled<T>(random: Prng, from: readonly T[], reach: number = Infinity): T[] {
  const to = [...from];
  for (let i = 0; i < to.length; i++) {
    const other = i + random.below(Math.min(reach, to.length - i));
    [to[i], to[other]] = [to[other] as T, to[i] as T];
  }
  return to;
}

/** Control and data of these, apart and in any order. */
export function feed(recording: Recording, random: Prng, writes: readonly RecordedWrite[], reach = Infinity): void {
  const arrivals = shuffled(
    random,
    writes.flatMap((write) => {
      const data = dataOf(write);
      return [{ control: controlOf(write) }, ...(data ? [{ data }] : [])];
    }),
    reach,
  );
  for (const arrival of arrivals) {
    const fault = 'control' in arrival ? recording.control(arrival.control) : recording.data(arrival.data);
    if (fault !== null) throw new Error(fault);
  }
}

/** Fills the base of a new recording with these volumes, at mark 0. */
export function fillBase(recording: Recording, volumes: readonly Uint8Array[]): void {
  recording.fill(0);
  volumes.forEach((payload, volume) => {
    const image = { kind: RECORD_KIND.image, mark: 1, timeNs: 0n, volume, offset: 0, length: payload.length, payload };
    const bytes = dataOf(image);
    if (bytes) recording.data(bytes);
  });
  recording.whole(0);
}
