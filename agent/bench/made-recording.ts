/** A recording that the store's own code makes of writes that are known, for `bench history`. */
import { crc32 } from '../base/crc32.ts';
import { AgentError } from '../base/errors.ts';
import type { Prng } from '../base/prng.ts';
import { Recording } from '../history/store/recording.ts';
import { DATA, dataBytes, encodeData, type DataHeader } from '../history/wire/data.ts';
import { EMPTY_RECORD, encodeRecord, RECORD, RECORD_KIND } from '../history/wire/record.ts';

export const VOLUME_NAME = 'data';
const MONITOR = 'bench';
const GENERATION = '11'.repeat(16);
const IMAGE_BYTES = 1 << 20;
const NOTHING = new Uint8Array(0);

export interface KnownWrite {
  readonly mark: number;
  readonly kind: number;
  readonly offset: number;
  readonly length: number;
  /** Empty for all but a write. */
  readonly payload: Uint8Array;
}

export interface MadeOptions {
  readonly folder: string;
  readonly volumeBytes: number;
  /** When the base is from. Mark N is N ms later. */
  readonly startMs: number;
}

export class MadeRecording {
  readonly #recording: Recording;
  readonly #startMs: number;

  private constructor(recording: Recording, startMs: number) {
    this.#recording = recording;
    this.#startMs = startMs;
  }

  /** `base`: its first bytes; zeros behind them. The caller closes it. */
  static async make({ folder, volumeBytes, startMs }: MadeOptions, base = NOTHING): Promise<MadeRecording> {
    const recording = await Recording.open({
      folder,
      monitor: MONITOR,
      volumes: [{ name: VOLUME_NAME, bytes: volumeBytes }],
      generation: GENERATION,
      keepsBase: true,
      retention: { hours: 0, bytes: 0 },
      nowMs: () => startMs,
      steadyMs: () => startMs,
      log: () => {},
      progress: () => {},
    });
    const made = new MadeRecording(recording, startMs);
    recording.fill(0);
    for (let offset = 0; offset < base.length; offset += IMAGE_BYTES) {
      const payload = base.subarray(offset, offset + IMAGE_BYTES);
      const image = { kind: RECORD_KIND.image, mark: 1, offset, length: payload.length, payload };
      made.#refuseFault(recording.data(dataOf([image])));
      await made.#settle();
    }
    recording.whole(0);
    await made.#settle();
    return made;
  }

  /** Resolves when these are durable. With `random`, control and data come each in an order of its own. */
  async put(writes: readonly KnownWrite[], random: Prng | null = null): Promise<void> {
    const inOrder = (): readonly KnownWrite[] => (random ? shuffled(random, writes) : writes);
    this.#refuseFault(this.#recording.control(this.#controlOf(inOrder())));
    const withData = inOrder().filter(({ payload }) => payload.length > 0);
    if (withData.length > 0) this.#refuseFault(this.#recording.data(dataOf(withData)));
    await this.#settle();
  }

  async close(): Promise<void> {
    await this.#recording.close();
  }

  #controlOf(writes: readonly KnownWrite[]): Uint8Array {
    const bytes = new Uint8Array(writes.length * RECORD.bytes);
    writes.forEach(({ payload, ...write }, i) => {
      const time = BigInt(this.#startMs + write.mark) * 1_000_000n;
      const about = { payloadCrc: crcOf(payload), payloadBytes: payload.length, chain: BigInt(write.mark) };
      encodeRecord({ ...EMPTY_RECORD, ...write, ...about, time }, bytes, i * RECORD.bytes);
    });
    return bytes;
  }

  async #settle(): Promise<void> {
    await this.#recording.settled();
    this.#refuseFault(this.#recording.fault);
  }

  #refuseFault(fault: string | null): void {
    if (fault !== null) throw new AgentError('failed', `the recording of the benchmark cannot be made: ${fault}`);
  }
}

/** Of the writes, one behind the other. */
function dataOf(writes: readonly KnownWrite[]): Uint8Array {
  const body = new Uint8Array(writes.reduce((sum, { payload }) => sum + dataBytes(payload.length), 0));
  let at = 0;
  for (const { kind, mark, offset, length, payload } of writes) {
    const payloadCrc = crcOf(payload);
    const header: DataHeader = { kind, volume: 0, mark, offset, length, payloadBytes: payload.length, payloadCrc };
    encodeData(header, body, at);
    body.set(payload, at + DATA.bytes);
    at += dataBytes(payload.length);
  }
  return body;
}

const crcOf = (payload: Uint8Array): number => (payload.length > 0 ? crc32(payload) : 0);

/** Fisher and Yates. */
function shuffled<T>(random: Prng, from: readonly T[]): T[] {
  const to = [...from];
  for (let i = 0; i < to.length; i++) {
    const other = i + random.below(to.length - i);
    [to[i], to[other]] = [to[other] as T, to[i] as T];
  }
  return to;
}

/** The independent account: what a volume holds behind this write. */
export function replay({ offset, length, payload }: KnownWrite, onto: Uint8Array): void {
  if (payload.length > 0) onto.set(payload, offset);
  else onto.fill(0, offset, offset + length);
}

/** Contents that differ from mark to mark, cheaply: cut out of one piece of noise, each with its mark. */
export class Payloads {
  readonly #noise: Uint8Array;
  readonly #most: number;

  constructor(random: Prng, bytesMost: number) {
    this.#noise = new Uint8Array(2 * bytesMost);
    random.fill(this.#noise);
    this.#most = bytesMost;
  }

  of(mark: number, bytes: number): Uint8Array {
    const from = (mark * 61) % this.#most;
    const payload = this.#noise.slice(from, from + bytes);
    if (bytes >= 8) new DataView(payload.buffer).setFloat64(0, mark);
    return payload;
  }
}
