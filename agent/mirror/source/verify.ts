/**
 * A scrub of a target that is in sync (CR3): digests of all regions against the copy's present cut, at a rate, and slower while
 * clients write. A region is compared when everything that was written to it is at its place on both sides; one that is written
 * to meanwhile is looked at again, and never reported. What differs is named: to mend it is a resync's affair.
 */
import { AgentError } from '../../base/errors.ts';
import type { RegionRun } from '../core/meeting.ts';
import { RegionSet } from '../core/region-set.ts';
import { sleep, type Machine } from '../machine.ts';
import { DIGEST_BYTES } from '../scan/digest.ts';
import {
  COMPARE_LEVEL,
  COMPARE_RUN,
  decodeRun,
  encodeRun,
  isWithin,
  levelBytes,
  type CompareRun,
} from '../wire/compare.ts';
import { FRAME_KIND, type FrameKind } from '../wire/frame.ts';
import { BLOCK_BYTES, REGION_BYTES } from '../wire/layout.ts';
import type { TargetLink } from '../core/target-link.ts';
import type { ComparedHost } from './resync.ts';
import type { SessionHost } from './session-host.ts';

export interface VerifyParts {
  readonly machine: Machine;
  readonly compared: ComparedHost;
  readonly names: readonly string[];
  readonly limits: VerifyLimits;
  /** The cut that the target shows. */
  readonly applied: () => number;
  /** The last mark that was given, and where the ring ends. */
  readonly newest: () => number;
  readonly head: () => number;
  readonly stored: (position: number) => Promise<void>;
  readonly cut: () => Promise<{ readonly mark: number }>;
  /** All of it has been compared. */
  readonly done: (report: VerifyReport) => void;
  send(kind: FrameKind, id: number, count: number, ...pieces: readonly Uint8Array[]): void;
}

export interface VerifyLimits {
  /** 0: no bound. */
  readonly bytesPerSecond: number;
  /** Clients that have written nothing for so long are idle. */
  readonly idleMs: number;
}

/** Bytes of a volume, by its name. */
export interface Difference {
  readonly volume: string;
  readonly offset: number;
  readonly length: number;
}

export interface VerifyReport {
  readonly state: 'running' | 'done' | 'broken';
  /** In regions. */
  readonly done: number;
  readonly total: number;
  readonly secondsLeft: number | null;
  /** The first some; `differingBytes` counts all. */
  readonly differences: readonly Difference[];
  readonly differingBytes: number;
  /** Regions that were written to each time. */
  readonly unsettled: number;
  /** Why it broke off. */
  readonly reason: string | null;
}

const REGIONS_A_STEP = 16;
/** While clients write: one region, and then a rest of so many times what it took at the rate. */
const BUSY_REST = 4;
const ROUNDS_MAX = 10;
const ROUND_MS = 300;
const POLL_MS = 10;
const DIFFERENCES_MAX = 1000;

interface LastWrite {
  readonly mark: number;
  readonly end: number;
}

export class Verify {
  readonly #parts: VerifyParts;
  readonly #written = new Map<string, LastWrite>();
  readonly #beganMs: number;
  readonly #total: number;
  #todo: RegionSet;
  #later: RegionSet;
  /** Written to while it was looked at. */
  #touched: RegionSet;
  /** Regions that the target has not answered for. */
  #ahead = 0;
  readonly #asked: CompareRun[] = [];
  #found: CompareRun[] = [];
  readonly #differences: Difference[] = [];
  #differingBytes = 0;
  #done = 0;
  #unsettled = 0;
  #writtenMs = -Infinity;
  #state: VerifyReport['state'] = 'running';
  #reason: string | null = null;

  constructor(parts: VerifyParts) {
    this.#parts = parts;
    const { volumes } = parts.compared;
    this.#beganMs = parts.machine.clock.monotonicMs();
    this.#todo = RegionSet.all(volumes);
    this.#later = new RegionSet(volumes);
    this.#touched = new RegionSet(volumes);
    this.#total = this.#todo.count;
    void this.#run().catch((error: Error) => this.end(error.message));
  }

  get report(): VerifyReport {
    const seconds = (this.#parts.machine.clock.monotonicMs() - this.#beganMs) / 1000;
    const left = this.#total - this.#done;
    return {
      state: this.#state,
      done: this.#done,
      total: this.#total,
      secondsLeft: this.#done > 0 && this.#state === 'running' ? Math.round((seconds * left) / this.#done) : null,
      differences: this.#differences,
      differingBytes: this.#differingBytes,
      unsettled: this.#unsettled,
      reason: this.#reason,
    };
  }

  /** A write was admitted. Bytes. */
  note(volume: number, offset: number, length: number): void {
    if (this.#state !== 'running') return;
    this.#writtenMs = this.#parts.machine.clock.monotonicMs();
    this.#touched.mark(volume, offset, length);
    const last = { mark: this.#parts.newest(), end: this.#parts.head() };
    const end = Math.floor((offset + length - 1) / REGION_BYTES);
    for (let region = Math.floor(offset / REGION_BYTES); region <= end; region++) {
      this.#written.set(`${volume}/${region}`, last);
    }
  }

  /** What the target says of the digests: regions dealt with, of what it wants digests, blocks that differ. */
  asked(regions: number, body: Uint8Array): void {
    for (let at = 0; at < body.length; at += COMPARE_RUN.bytes) {
      const run = decodeRun(body, at);
      if (!run || run.count === 0 || !isWithin(run, this.#parts.compared.volumes)) {
        return this.end('the target asks for what there is not');
      }
      if (run.level === COMPARE_LEVEL.images) this.#found.push(run);
      else this.#asked.push(run);
    }
    this.#ahead -= regions;
  }

  /** It breaks off. */
  end(reason: string): void {
    if (this.#state !== 'running') return;
    this.#state = 'broken';
    this.#reason = reason;
  }

  async #run(): Promise<void> {
    const parts = this.#parts;
    const text = new TextEncoder().encode(parts.compared.checksum);
    parts.send(FRAME_KIND.verify, 1, 0, text);
    // What was written before is in no note: it has to be there, on both sides.
    const { mark } = await parts.cut();
    const head = parts.head();
    while (this.#isOn && parts.applied() < mark) await sleep(parts.machine, POLL_MS);
    await parts.stored(head);
    for (let round = 0; round < ROUNDS_MAX && this.#isOn && this.#todo.count > 0; round++) {
      if (round > 0) await sleep(parts.machine, ROUND_MS);
      let isMore = true;
      while (this.#isOn && isMore) isMore = await this.#step();
      [this.#todo, this.#later] = [this.#later, this.#todo];
    }
    if (!this.#isOn) return;
    this.#unsettled = this.#todo.count;
    this.#state = 'done';
    parts.send(FRAME_KIND.verify, 0, 0, text);
    parts.done(this.report);
  }

  get #isOn(): boolean {
    return this.#state === 'running';
  }

  /** Compares some regions; false when there are none left in this round. */
  async #step(): Promise<boolean> {
    const { machine, limits } = this.#parts;
    const isBusy = machine.clock.monotonicMs() - this.#writtenMs < limits.idleMs;
    const run = this.#todo.take(isBusy ? 1 : REGIONS_A_STEP);
    if (!run) return false;
    const clean = this.#clean(run);
    if (clean.count > 0) {
      await this.#compare(clean);
      const restMs = limits.bytesPerSecond === 0 ? 0 : (1000 * clean.count * REGION_BYTES) / limits.bytesPerSecond;
      await sleep(machine, isBusy ? Math.max(POLL_MS, restMs * BUSY_REST) : restMs);
    }
    return true;
  }

  /** The first ones that hold the same writes on both sides; the others come later. */
  #clean({ volume, first, count }: RegionRun): RegionRun {
    const { applied } = this.#parts;
    const isClean = (region: number): boolean => (this.#written.get(`${volume}/${region}`)?.mark ?? 0) <= applied();
    let clean = 0;
    while (clean < count && isClean(first + clean)) clean++;
    for (let at = clean; at < count; at++) {
      const set = at === clean ? this.#later : this.#todo;
      set.mark(volume, (first + at) * REGION_BYTES, 1);
    }
    return { volume, first, count: clean };
  }

  async #compare({ volume, first, count }: RegionRun): Promise<void> {
    const parts = this.#parts;
    this.#touched.clear();
    const ends = Array.from({ length: count }, (_, i) => this.#written.get(`${volume}/${first + i}`)?.end ?? 0);
    await parts.stored(Math.max(...ends));
    this.#ahead = count;
    await this.#answer({ volume, level: COMPARE_LEVEL.regions, isLast: false, first, count });
    while (this.#isOn && this.#ahead > 0) {
      const asked = this.#asked.shift();
      if (asked) await this.#answer(asked);
      else await sleep(parts.machine, 1);
    }
    if (this.#isOn) this.#judge(volume, first, count);
  }

  async #answer(run: CompareRun): Promise<void> {
    const { checksum, digests } = this.#parts.compared;
    const { volume, level, first, count } = run;
    const isDeeper = level !== COMPARE_LEVEL.regions;
    const made = await digests(volume, { checksum, unitBytes: levelBytes(level), first, count, isDeeper });
    if (made.length !== count * DIGEST_BYTES[checksum]) throw new AgentError('volume', 'a volume ends before its end');
    this.#parts.send(FRAME_KIND.regions, 0, count, encodeRun(run), made);
  }

  /** What differs in a region that nobody wrote to since it was taken out is a difference. */
  #judge(volume: number, first: number, count: number): void {
    const regionOf = (run: CompareRun): number => Math.floor((run.first * BLOCK_BYTES) / REGION_BYTES);
    const found = this.#found;
    this.#found = [];
    const again = new Set(found.map(regionOf).filter((region) => this.#touched.has(volume, region)));
    for (const region of again) this.#later.mark(volume, region * REGION_BYTES, 1);
    this.#done += count - again.size;
    for (const run of found) if (!again.has(regionOf(run))) this.#report(run);
    // What is on both sides needs no note any more.
    for (let region = first; region < first + count; region++) {
      if (!this.#touched.has(volume, region)) this.#written.delete(`${volume}/${region}`);
    }
  }

  #report({ volume, first, count }: CompareRun): void {
    const { compared, names } = this.#parts;
    const offset = first * BLOCK_BYTES;
    const length = Math.min(count * BLOCK_BYTES, (compared.volumes[volume]?.bytes ?? 0) - offset);
    this.#differingBytes += length;
    if (this.#differences.length >= DIFFERENCES_MAX) return;
    this.#differences.push({ volume: names[volume] ?? String(volume), offset, length });
  }
}

/** Of this target, on the connection that `send` is of. */
export const verifyOf = (
  host: SessionHost,
  link: Pick<TargetLink, 'applied'>,
  done: VerifyParts['done'],
  send: VerifyParts['send'],
): Verify =>
  new Verify({
    machine: host.machine,
    compared: host.compared,
    names: host.shape.volumes.map(({ name }) => name),
    limits: host.verify,
    applied: () => link.applied,
    newest: () => host.newest,
    head: () => host.ring.head,
    stored: async (position) => host.stored(position),
    cut: async () => host.cut(),
    done,
    send,
  });
