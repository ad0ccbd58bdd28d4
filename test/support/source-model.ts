/** A source's order of writes as a test writes it: entries as they lie in its ring, and what volumes hold after each mark. */
import { crc32 } from '../../agent/base/crc32.ts';
import type { Point } from '../../agent/mirror/core/meeting.ts';
import {
  decodeEntry,
  encodeEntry,
  ENTRY,
  ENTRY_KIND,
  entryBytes,
  type EntryKind,
} from '../../agent/mirror/wire/entry.ts';
import type { Prng } from '../../agent/base/prng.ts';

export interface ModelEntry {
  readonly kind: EntryKind;
  readonly mark: number;
  readonly cycle: number;
  readonly volume: number;
  readonly offset: number;
  readonly length: number;
  readonly chain: bigint;
  /** Its stamp, ns. */
  readonly time: bigint;
  /** Header, payload, zeros. */
  readonly bytes: Uint8Array;
}

export class SourceModel {
  readonly generation: Uint8Array;
  readonly volumeBytes: readonly number[];
  readonly random: Prng;
  readonly #payloadMax: number;
  readonly entries: ModelEntry[] = [];
  /** The open cycle. */
  cycle = 1;
  #position = 0;
  /** By which it stamps, ms; null: by marks. */
  clockMs: (() => number) | null = null;

  constructor(random: Prng, volumeBytes: readonly number[], payloadMax = 5000, generation = 9) {
    this.random = random;
    this.volumeBytes = volumeBytes;
    this.#payloadMax = payloadMax;
    this.generation = new Uint8Array(16).fill(generation);
  }

  get mark(): number {
    return this.entries.length;
  }

  point(mark: number): Point {
    return { mark, chain: this.entries[mark - 1]?.chain ?? 0n };
  }

  /** A write mostly, sometimes zeros, somewhere; few places, so that much is overwritten. */
  append(): ModelEntry {
    const { random } = this;
    const kind = random.pick([ENTRY_KIND.write, ENTRY_KIND.write, ENTRY_KIND.write, ENTRY_KIND.zero, ENTRY_KIND.trim]);
    const volume = random.below(this.volumeBytes.length);
    const length = random.pick([512, 4096, 1 + random.below(this.#payloadMax)]);
    const offset = random.below((this.volumeBytes[volume] ?? 0) - length);
    const payload = new Uint8Array(kind === ENTRY_KIND.write ? length : 0);
    random.fill(payload);
    return this.#put(kind, volume, offset, length, payload);
  }

  /** A write of one or two whole blocks. */
  appendBlocks(): ModelEntry {
    const { random } = this;
    const volume = random.below(this.volumeBytes.length);
    const blocks = Math.floor((this.volumeBytes[volume] ?? 0) / 4096);
    const count = 1 + random.below(2);
    const payload = new Uint8Array(count * 4096);
    random.fill(payload);
    return this.#put(ENTRY_KIND.write, volume, random.below(blocks - count + 1) * 4096, payload.length, payload);
  }

  seal(): ModelEntry {
    const sealed = this.#put(ENTRY_KIND.seal, 0, 0, 0, new Uint8Array(0));
    this.cycle++;
    return sealed;
  }

  /** Another generation that goes on behind a mark of this one: the same entries up to there, under its name. */
  branch(until: number, generation: number): SourceModel {
    const next = new SourceModel(this.random, this.volumeBytes, this.#payloadMax, generation);
    let chain = 0n;
    for (const entry of this.entries.slice(0, until)) {
      const bytes = entry.bytes.slice();
      const decoded = decodeEntry(bytes, 0);
      if (!decoded.ok) throw new Error('an entry of our own');
      chain = encodeEntry({ ...decoded.entry, generation: next.generation }, chain, bytes, 0);
      next.entries.push({ ...entry, bytes });
    }
    next.loseBehind(until);
    return next;
  }

  /** A range as it is behind the last entry, as an entry of a comparison. */
  image(volume: number, offset: number, length: number): Uint8Array {
    const payload = this.contentAt(this.mark)[volume]?.subarray(offset, offset + length) ?? new Uint8Array(length);
    const bytes = new Uint8Array(entryBytes(length));
    const place = { position: 0, generation: this.generation, chain: 0n, durableBack: 0 };
    const facts = { payloadBytes: length, payloadCrc: crc32(payload), time: 0n, cycle: this.cycle, flags: 0 };
    encodeEntry({ kind: ENTRY_KIND.image, volume, mark: this.mark, offset, length, ...facts, ...place }, 0n, bytes, 0);
    bytes.set(payload, ENTRY.bytes);
    return bytes;
  }

  /** What a crash of the source took, answered to nobody: other writes will have these marks. */
  loseBehind(mark: number): void {
    this.entries.length = mark;
    const last = this.entries.at(-1);
    this.cycle = last ? last.cycle + (last.kind === ENTRY_KIND.seal ? 1 : 0) : 1;
  }

  /** A(mark): what the volumes hold behind the entry of this mark. */
  contentAt(mark: number): Uint8Array[] {
    const content = this.volumeBytes.map((bytes) => new Uint8Array(bytes));
    for (const { kind, volume, offset, length, bytes } of this.entries.slice(0, mark)) {
      if (kind === ENTRY_KIND.write) content[volume]?.set(bytes.subarray(ENTRY.bytes, ENTRY.bytes + length), offset);
      else if (kind !== ENTRY_KIND.seal) content[volume]?.fill(0, offset, offset + length);
    }
    return content;
  }

  #put(kind: EntryKind, volume: number, offset: number, length: number, payload: Uint8Array): ModelEntry {
    const { cycle, generation } = this;
    const mark = this.mark + 1;
    const bytes = new Uint8Array(entryBytes(payload.length));
    const position = this.#position;
    this.#position += bytes.length;
    const place = { position, generation, chain: 0n, durableBack: 0 };
    const time = this.#nextTime(mark);
    const payloadFacts = { payloadBytes: payload.length, payloadCrc: crc32(payload) };
    const header = {
      kind,
      flags: 0,
      volume,
      mark,
      time,
      cycle,
      offset,
      length,
      ...payloadFacts,
      ...place,
    };
    const chain = encodeEntry(header, this.point(mark - 1).chain, bytes, 0);
    bytes.set(payload, ENTRY.bytes);
    const entry = { kind, mark, cycle, volume, offset, length, chain, time, bytes };
    this.entries.push(entry);
    return entry;
  }

  #nextTime(mark: number): bigint {
    if (!this.clockMs) return BigInt(mark);
    const now = BigInt(this.clockMs()) * 1_000_000n;
    const last = this.entries.at(-1)?.time ?? 0n;
    return now > last ? now : last + 1n;
  }
}

/** The body of an `entries` frame. */
export const transferOf = (entries: readonly ModelEntry[]): Uint8Array =>
  Buffer.concat(entries.map(({ bytes }) => bytes));

/** Another order, each as likely. */
export function shuffled<T>(items: readonly T[], random: Prng): T[] {
  const out = [...items];
  for (let i = out.length - 1; i > 0; i--) {
    const j = random.below(i + 1);
    [out[i], out[j]] = [out[j] as T, out[i] as T];
  }
  return out;
}
