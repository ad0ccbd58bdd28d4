/**
 * The source's side of a comparison (CR1 to CR3, MI11): sends digests of the regions that are to be compared, of the parts of
 * them that the target asks for, and images of the blocks that differ there. The target decides; this only answers, and goes no
 * further ahead than the target follows.
 */
import { AgentError } from '../../base/errors.ts';
import { crc32 } from '../../base/crc32.ts';
import { RegionSet } from '../core/region-set.ts';
import { DIGEST_BYTES, type Checksum } from '../scan/digest.ts';
import type { DigestWish } from '../scan/volume-digests.ts';
import type { Image } from '../threads/volume-loop.ts';
import {
  COMPARE_LEVEL,
  COMPARE_RUN,
  decodeRun,
  encodeRun,
  isWithin,
  levelBytes,
  type CompareRun,
} from '../wire/compare.ts';
import { encodeEntry, ENTRY, ENTRY_KIND, entryBytes } from '../wire/entry.ts';
import { FRAME_KIND, type FrameKind } from '../wire/frame.ts';
import { BLOCK_BYTES } from '../wire/layout.ts';

export interface ComparedParts {
  readonly checksum: Checksum;
  /** Bytes of each volume, by index. */
  readonly volumes: readonly { readonly bytes: number }[];
  readonly generation: Uint8Array;
  digests(volume: number, wish: DigestWish): Promise<Uint8Array>;
  /** Reads a range of a volume as it is just now, and behind which mark that is. */
  image(volume: number, offset: number, length: number, done: (image: Image) => void): void;
  send(kind: FrameKind, count: number, ...pieces: readonly Uint8Array[]): void;
  /** Whether the link takes more. */
  readonly isFull: boolean;
  /** The target has all that differed. */
  done(): void;
  failed(error: Error): void;
}

/** Of a frame by which a comparison begins, and what is read for it: sixteen regions, or a few blocks each of many. */
const REGIONS_A_FRAME = 64;
const BLOCKS_A_FRAME = 4096;
/** Regions that have been sent and not yet been answered for. */
const REGIONS_AHEAD = 256;
/** Frames that are made and have not left: half a MiB each, at most. */
const FRAMES_AHEAD = 4;
/** In one frame, unless a run is longer. */
const DIGESTS_MAX = 4096;
/** Blocks in one frame, so in one image: a run of them is read and sent as one. */
const IMAGE_BLOCKS_MAX = 64;

const NOTHING_LEFT = [{ volume: 0, level: COMPARE_LEVEL.regions, first: 0, count: 0 }] as const;

export class Compared {
  readonly #parts: ComparedParts;
  /** What is still to be sent in this pass, and in the next: a region is never under way twice. */
  #todo: RegionSet;
  #later: RegionSet;
  #ahead = 0;
  #isSending = false;
  #isPaused = false;
  /** The target was told that there is no more, and has not answered that. */
  #isLastSent = false;
  /** All is compared and here. */
  #isIdle = false;
  #isEnded = false;
  /** What the target asked for, in its order. */
  readonly #asked: CompareRun[] = [];
  #compared = 0;
  #total: number;

  /** `todo`: the regions that may differ; they are taken out of it. */
  constructor(parts: ComparedParts, todo: RegionSet) {
    this.#parts = parts;
    this.#todo = todo;
    this.#later = new RegionSet(parts.volumes, true);
    this.#total = todo.count;
  }

  /** In regions. */
  get progress(): { readonly done: number; readonly total: number } {
    return { done: this.#compared, total: this.#total };
  }

  /** Nothing is read until `again`: the volume does not have yet what it must have. */
  pause(): void {
    this.#isPaused = true;
  }

  /** Goes on, and compares these too; once more those that were compared already. */
  again(regions: RegionSet): void {
    const before = this.#later.count;
    this.#later.add(regions);
    this.#total += this.#later.count - before;
    this.#isPaused = false;
    if (this.#isIdle) this.#nextPass();
    this.pump();
  }

  /** Begins, or goes on when the link takes more again. */
  pump(): void {
    if (this.#isSending || this.#isEnded || this.#isPaused) return;
    this.#isSending = true;
    void this.#send().catch((error: unknown) => this.#fail(error));
  }

  /** The connection is gone. */
  end(): void {
    this.#isEnded = true;
  }

  /**
   * The body of an `ask`: runs to digest or to send, and how many regions are dealt with. Nothing at all: the target has
   * everything.
   */
  asked(regionsDone: number, body: Uint8Array): void {
    if (regionsDone === 0 && body.length === 0) return this.#over();
    this.#ahead -= regionsDone;
    this.#compared += regionsDone;
    for (let at = 0; at < body.length; at += COMPARE_RUN.bytes) {
      const run = decodeRun(body, at);
      const isThere = run && run.count > 0 && isWithin(run, this.#parts.volumes);
      if (!isThere || run.level === COMPARE_LEVEL.regions) {
        return this.#fail(new AgentError('failed', 'the target asks for what there is not'));
      }
      const most = run.level === COMPARE_LEVEL.images ? IMAGE_BLOCKS_MAX : run.count;
      for (let done = 0; done < run.count; done += most) {
        this.#asked.push({ ...run, first: run.first + done, count: Math.min(most, run.count - done) });
      }
    }
    this.pump();
  }

  /** Some frames are made ahead of the one that leaves, so that neither the volumes nor the link wait for the other. */
  async #send(): Promise<void> {
    const made: Promise<() => void>[] = [];
    try {
      for (;;) {
        for (let next = this.#next(made.length); next; next = this.#next(made.length)) {
          // Whoever comes first to a failure tells it.
          next.catch(() => {});
          made.push(next);
        }
        const first = made.shift();
        if (!first) break;
        const send = await first;
        if (!this.#isEnded) send();
      }
    } finally {
      // In the same step as the last look: what is asked for between the two would wait for ever.
      this.#isSending = false;
    }
  }

  /** Begins the next frame, whose sending it resolves with; null when there is none now. */
  #next(ahead: number): Promise<() => void> | null {
    if (ahead >= FRAMES_AHEAD || this.#parts.isFull || this.#isEnded || this.#isPaused) return null;
    if (this.#asked.length > 0) return this.#answer();
    const isDone = this.#isIdle || this.#isLastSent;
    return isDone || this.#ahead >= REGIONS_AHEAD ? null : this.#nextRegions();
  }

  #over(): void {
    if (this.#isEnded) return;
    if (!this.#isLastSent) return this.#fail(new AgentError('failed', 'the target ends a comparison that is not over'));
    this.#isLastSent = false;
    this.#isIdle = true;
    // Paused: some are to come.
    if (this.#isPaused) return;
    if (this.#later.count === 0) return this.#parts.done();
    this.#nextPass();
    this.pump();
  }

  #nextPass(): void {
    this.#isIdle = false;
    [this.#todo, this.#later] = [this.#later, this.#todo];
  }

  /** Digests of the next regions that may differ. */
  async #nextRegions(): Promise<() => void> {
    const { regions, parts } = this.#todo.takeParts(REGIONS_A_FRAME, BLOCKS_A_FRAME);
    const isLast = this.#todo.count === 0;
    this.#isLastSent = isLast;
    this.#ahead += regions;
    return this.#digestFrame((regions > 0 ? parts : NOTHING_LEFT).map((part) => ({ ...part, isLast, isBegin: true })));
  }

  /** As much of what was asked for as goes into one frame: a frame of its own for each costs more than a digest. */
  async #answer(): Promise<() => void> {
    const isImages = this.#asked[0]?.level === COMPARE_LEVEL.images;
    const most = isImages ? IMAGE_BLOCKS_MAX : DIGESTS_MAX;
    let some = 0;
    let sum = 0;
    for (const { level, count } of this.#asked) {
      sum += count;
      if ((level === COMPARE_LEVEL.images) !== isImages || (some > 0 && sum > most)) break;
      some++;
    }
    const runs = this.#asked.splice(0, some);
    return isImages ? this.#imageFrame(runs) : this.#digestFrame(runs);
  }

  async #digestFrame(runs: readonly CompareRun[]): Promise<() => void> {
    const digests = await Promise.all(runs.map(async (run) => this.#digests(run)));
    const count = runs.reduce((sum, run) => sum + run.count, 0);
    const pieces = runs.flatMap((run, i) => [encodeRun(run), digests[i] ?? NONE]);
    return () => this.#parts.send(FRAME_KIND.regions, count, ...pieces);
  }

  async #digests({ volume, level, first, count, isBegin }: CompareRun): Promise<Uint8Array> {
    if (count === 0) return NONE;
    const { checksum } = this.#parts;
    const unitBytes = levelBytes(level);
    const isDeeper = isBegin !== true;
    const digests = await this.#parts.digests(volume, { checksum, unitBytes, first, count, isDeeper });
    if (digests.length === count * DIGEST_BYTES[checksum]) return digests;
    throw new AgentError('volume', `a volume ends within ${unitBytes} bytes at ${(first + count - 1) * unitBytes}`);
  }

  async #imageFrame(runs: readonly CompareRun[]): Promise<() => void> {
    const entries = await Promise.all(runs.map(async (run) => this.#image(run)));
    return () => this.#parts.send(FRAME_KIND.entries, entries.length, ...entries);
  }

  async #image({ volume, first, count }: CompareRun): Promise<Uint8Array> {
    const offset = first * BLOCK_BYTES;
    const length = Math.min(count * BLOCK_BYTES, (this.#parts.volumes[volume]?.bytes ?? 0) - offset);
    const image = await new Promise<Image>((resolve) => this.#parts.image(volume, offset, length, resolve));
    if (image.errno !== 0) throw new AgentError('volume', `a volume cannot be read (errno ${image.errno}): check it`);
    return this.#entry(volume, offset, image);
  }

  #entry(volume: number, offset: number, { mark, bytes }: Image): Uint8Array {
    const entry = new Uint8Array(entryBytes(bytes.length));
    entry.set(bytes, ENTRY.bytes);
    encodeEntry(
      {
        kind: ENTRY_KIND.image,
        flags: 0,
        volume,
        mark,
        time: 0n,
        cycle: 0,
        offset,
        length: bytes.length,
        payloadBytes: bytes.length,
        payloadCrc: crc32(bytes),
        position: 0,
        generation: this.#parts.generation,
        chain: 0n,
        durableBack: 0,
      },
      0n,
      entry,
      0,
    );
    return entry;
  }

  #fail(error: unknown): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#parts.failed(error instanceof Error ? error : new Error(String(error)));
  }
}

const NONE = new Uint8Array(0);
