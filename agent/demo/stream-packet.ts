/**
 * The packets of a measured UDP stream, and their accounting at the receiver.
 *
 *      0        4        8                16               length
 *      | magic  | seq    | sent at, ns    | filling (from the sequence number)
 *
 * All processes of a lab run on one host, so the sender's monotonic clock is the receiver's: the latency is one way.
 */
import { percentile, rounded } from './figures.ts';

const MAGIC = 0x53424854; // "SBHT"
export const STREAM_HEADER_BYTES = 16;
/** Silences are kept as the longest of each window: enough to find the one around a takeover. */
const SILENCE_WINDOW_MS = 100;

export function encodeStreamPacket(packet: Buffer, sequence: number, nowNs: bigint): void {
  packet.writeUInt32LE(MAGIC, 0);
  packet.writeUInt32LE(sequence, 4);
  packet.writeBigUInt64LE(nowNs, 8);
  fill(packet, sequence);
}

function fill(packet: Buffer, sequence: number): void {
  let word = (sequence ^ 0x9e3779b9) >>> 0;
  for (let i = STREAM_HEADER_BYTES; i < packet.length; i++) {
    word ^= word << 13;
    word ^= word >>> 17;
    word ^= word << 5;
    packet[i] = word;
  }
}

export interface StreamCounts {
  /** Different packets of the stream that arrived. */
  readonly received: number;
  /** Packets that have not come although later ones have. */
  readonly missing: number;
  readonly duplicated: number;
  /** Packets that arrived after one with a higher sequence number. */
  readonly disordered: number;
  readonly corrupted: number;
  readonly longestSilenceMs: number;
  readonly lastLatencyMs: number | null;
}

export interface StreamReport extends StreamCounts {
  readonly latencyMs: { readonly p50: number | null; readonly p99: number | null; readonly max: number | null };
  /** [end of the silence, its length], ms of the monotonic clock: the longest of each 100 ms with arrivals. */
  readonly silences: readonly (readonly [atMs: number, longMs: number])[];
}

/** Counts one stream's arrivals. Time comes with each packet. */
export class StreamCounter {
  #seen = new Uint8Array(8192);
  #received = 0;
  #duplicated = 0;
  #disordered = 0;
  #corrupted = 0;
  #highest = -1;
  #lastArrivalMs: number | null = null;
  #longestSilenceMs = 0;
  readonly #latenciesMs: number[] = [];
  readonly #silences: [number, number][] = [];

  /** Takes one datagram that arrived at `nowNs`. */
  arrived(packet: Buffer, nowNs: bigint): void {
    if (packet.length < STREAM_HEADER_BYTES || packet.readUInt32LE(0) !== MAGIC || !wellFilled(packet)) {
      this.#corrupted++;
      return;
    }
    const sequence = packet.readUInt32LE(4);
    if (this.#mark(sequence)) {
      this.#duplicated++;
      return;
    }
    this.#received++;
    if (sequence < this.#highest) this.#disordered++;
    this.#highest = Math.max(this.#highest, sequence);
    this.#latenciesMs.push(Number(nowNs - packet.readBigUInt64LE(8)) / 1e6);
    this.#noteSilence(Number(nowNs) / 1e6);
  }

  get counts(): StreamCounts {
    return {
      received: this.#received,
      missing: this.#highest + 1 - this.#received,
      duplicated: this.#duplicated,
      disordered: this.#disordered,
      corrupted: this.#corrupted,
      longestSilenceMs: rounded(this.#longestSilenceMs) ?? 0,
      lastLatencyMs: rounded(this.#latenciesMs.at(-1) ?? null),
    };
  }

  get report(): StreamReport {
    const at = (share: number): number | null => rounded(percentile(this.#latenciesMs, share));
    const silences = this.#silences.map(([at, long]) => [rounded(at) ?? 0, rounded(long) ?? 0] as const);
    return { ...this.counts, latencyMs: { p50: at(0.5), p99: at(0.99), max: at(1) }, silences };
  }

  /** True when the sequence number was there before. */
  #mark(sequence: number): boolean {
    const index = sequence >>> 3;
    if (index >= this.#seen.length) {
      const larger = new Uint8Array(Math.max(index + 1, this.#seen.length * 2));
      larger.set(this.#seen);
      this.#seen = larger;
    }
    const bit = 1 << (sequence & 7);
    const before = (this.#seen[index] ?? 0) & bit;
    this.#seen[index] = (this.#seen[index] ?? 0) | bit;
    return before !== 0;
  }

  #noteSilence(nowMs: number): void {
    const longMs = this.#lastArrivalMs === null ? 0 : nowMs - this.#lastArrivalMs;
    this.#lastArrivalMs = nowMs;
    this.#longestSilenceMs = Math.max(this.#longestSilenceMs, longMs);
    const last = this.#silences.at(-1);
    if (last === undefined || Math.floor(nowMs / SILENCE_WINDOW_MS) !== Math.floor(last[0] / SILENCE_WINDOW_MS)) {
      this.#silences.push([nowMs, longMs]);
    } else if (longMs > last[1]) {
      last[0] = nowMs;
      last[1] = longMs;
    }
  }
}

function wellFilled(packet: Buffer): boolean {
  const expected = Buffer.alloc(packet.length);
  fill(expected, packet.readUInt32LE(4));
  return packet.subarray(STREAM_HEADER_BYTES).equals(expected.subarray(STREAM_HEADER_BYTES));
}
