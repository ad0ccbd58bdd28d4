/**
 * The target's side of a comparison. In place, where its volumes are no copy: what differs is written onto them at once, while
 * entries are applied beside it. An image that is older than what is applied already is asked for again; every other one may be
 * written at any time, for the entries behind it are applied over it in their order, and those that it holds change nothing when
 * they are applied once more. Staged, where they are: they stay at their cut, and what comes lies in the arrival journal.
 */
import { AgentError } from '../../base/errors.ts';
import { Comparison, type Digest } from '../core/comparison.ts';
import { DIGEST_BYTES, type Checksum } from '../scan/digest.ts';
import type { DigestWish } from '../scan/volume-digests.ts';
import {
  COMPARE_LEVEL,
  COMPARE_RUN,
  decodeRun,
  encodeRun,
  isWithin,
  levelBytes,
  type CompareRun,
} from '../wire/compare.ts';
import { BLOCK_BYTES } from '../wire/layout.ts';

export interface ComparingParts {
  readonly checksum: Checksum;
  readonly how: 'in place' | 'staged' | 'report';
  /** Bytes of each volume, by index. */
  readonly volumes: readonly { readonly bytes: number }[];
  digests(volume: number, wish: DigestWish): Promise<Uint8Array>;
  /** `regions`: dealt with since the last time. An empty body with none: all that differed is here. */
  ask(regions: number, body: Uint8Array): void;
  failed(error: Error): void;
}

interface Told {
  readonly run: CompareRun;
  readonly digests: readonly Digest[];
}

export class Comparing {
  readonly #parts: ComparingParts;
  readonly #comparison: Comparison;
  #isDone = false;
  #compared = 0;

  constructor(parts: ComparingParts) {
    this.#parts = parts;
    this.#comparison = new Comparison(parts.volumes, parts.how);
  }

  /** Digests of the source. */
  digests(body: Uint8Array): void {
    const told = this.#parse(body);
    if (!told) return this.#parts.failed(new AgentError('failed', 'digests of what there is not'));
    const begun = told
      .map(({ run }) => run)
      .filter(({ level, isBegin }) => level === COMPARE_LEVEL.regions || isBegin === true);
    for (const run of begun) {
      this.#isDone = false;
      this.#comparison.begin(run);
    }
    this.#read(begun.filter(({ count }) => count > 0));
    return this.#ask(told.flatMap(({ run, digests }) => this.#comparison.theirs(run, digests)));
  }

  /** These blocks are on their volume, or on their way there before anything else. */
  arrived(volume: number, offset: number, length: number): void {
    const first = offset / BLOCK_BYTES;
    for (let i = 0; i < Math.ceil(length / BLOCK_BYTES); i++) this.#comparison.arrived({ volume, block: first + i });
    this.#ask([]);
  }

  /** They came too late: once more. */
  again(volume: number, offset: number, length: number): void {
    const count = Math.ceil(length / BLOCK_BYTES);
    const run = { volume, level: COMPARE_LEVEL.images, isLast: false, first: offset / BLOCK_BYTES, count };
    this.#parts.ask(0, encodeRun(run));
  }

  /** Runs, each with its digests; null when not all of them can be. */
  #parse(body: Uint8Array): Told[] | null {
    const bytes = DIGEST_BYTES[this.#parts.checksum];
    const told: Told[] = [];
    for (let at = 0; at < body.length;) {
      const run = decodeRun(body, at);
      const begin = at + COMPARE_RUN.bytes;
      at = begin + (run?.count ?? 0) * bytes;
      const isThere = run && run.level !== COMPARE_LEVEL.images && isWithin(run, this.#parts.volumes);
      if (!isThere || at > body.length) return null;
      told.push({ run, digests: texts(body.subarray(begin, at), bytes) });
    }
    return told;
  }

  /** Asks the source for these; of what it is to send digests of, the own ones are made meanwhile. */
  #ask(runs: readonly CompareRun[]): void {
    this.#read(runs.filter(({ level }) => level !== COMPARE_LEVEL.images));
    const { compared, isDone } = this.#comparison;
    const regions = compared - this.#compared;
    this.#compared = compared;
    if (regions > 0 || runs.length > 0) this.#parts.ask(regions, Buffer.concat(runs.map(encodeRun)));
    if (!isDone || this.#isDone) return;
    this.#isDone = true;
    this.#parts.ask(0, new Uint8Array(0));
  }

  /** What was asked for together is told together: so is what is asked for next. */
  #read(runs: readonly CompareRun[]): void {
    if (runs.length === 0) return;
    void Promise.all(runs.map(async (run) => this.#own(run)))
      .then((own) => this.#ask(runs.flatMap((run, i) => this.#comparison.ours(run, own[i] ?? []))))
      .catch((error: Error) => this.#fail(error));
  }

  async #own({ volume, level, first, count, isBegin }: CompareRun): Promise<Digest[]> {
    const { checksum } = this.#parts;
    const isDeeper = level !== COMPARE_LEVEL.regions && isBegin !== true;
    const wish = { checksum, unitBytes: levelBytes(level), first, count, isDeeper };
    const digests = await this.#parts.digests(volume, wish);
    return texts(digests, DIGEST_BYTES[checksum]);
  }

  #fail(error: Error): void {
    if (!this.#isDone) this.#parts.failed(error);
    this.#isDone = true;
  }
}

const texts = (digests: Uint8Array, bytes: number): string[] =>
  Array.from({ length: digests.length / bytes }, (_, i) =>
    Buffer.from(digests.buffer, digests.byteOffset + i * bytes, bytes).toString('latin1'),
  );
