/**
 * A source at the log device: says there which targets are outdated, and reads who claims its role. One write at a time, and each
 * says all that is so by then; what fails is tried again until it is there, for nobody may be answered before.
 */
import { AgentError } from '../../base/errors.ts';
import { generationText } from '../link/greeting.ts';
import type { LogDevice, Timers } from '../machine.ts';
import { GENERATION_BYTES, LOG_BYTES } from '../wire/layout.ts';
import { LOG_KIND, type LogRecord } from './record.ts';
import { readRecords, writeRecord } from './slots.ts';

export interface SourceLogOptions {
  readonly timers: Timers;
  /** For messages. */
  readonly path: string;
  readonly device: LogDevice;
  readonly group: string;
  readonly generation: Uint8Array;
  readonly targets: readonly string[];
  /** The journal was made just now: so a file may be made too. Later a missing one is a mount that is missing. */
  readonly isNew: boolean;
  readonly log: (line: string) => void;
  /** A target claims the role, and its claim stands: nobody may be answered alone. */
  readonly claimed: (generation: string, mark: number) => void;
}

const AGAIN_MS = 500;
/** For a start to read what stands there. */
const START_MS = 3000;
const NONE = new Uint8Array(GENERATION_BYTES);

export class SourceLog {
  readonly #options: SourceLogOptions;
  /** Since which mark; those that are not in it are not outdated. */
  readonly #outdated: Map<string, number>;
  #wanted = 0;
  #written = 0;
  #isWriting = false;
  #isClosed = false;
  #waiting: { readonly version: number; readonly done: () => void }[] = [];

  readonly #wasRead: boolean;

  private constructor(options: SourceLogOptions, outdated: Map<string, number>, wasRead: boolean) {
    this.#options = options;
    this.#outdated = outdated;
    this.#wasRead = wasRead;
  }

  /**
   * Reads what stands there. A device that cannot be read does not hold up a start: then every target is written down as
   * outdated, since nobody knows when, until it is in sync; so it is where nothing stands there of this generation, for what did
   * may have been erased. Throws an AgentError for a device of another group, and for one that holds something else.
   */
  static async open(options: SourceLogOptions): Promise<SourceLog> {
    const { path, group, log } = options;
    const found = await Promise.race([read(options), idle(options.timers, START_MS)]).catch((error: Error) => {
      if (error instanceof AgentError) throw new AgentError('volume', `log device ${path} ${error.message}`);
      log(`log device ${path}: ${error.message}`);
      return null;
    });
    if (found?.record && found.record.group !== group) {
      throw new AgentError('volume', `log device ${path} is of group "${found.record.group}": name another one`);
    }
    const outdated = new Map<string, number>();
    const isOurs = found?.record && generationText(found.record.generation) === generationText(options.generation);
    for (const { name, outdatedSince } of (isOurs && found?.record?.targets) || []) {
      if (outdatedSince !== null && options.targets.includes(name)) outdated.set(name, outdatedSince);
    }
    // Of a journal that was made just now nobody can have been answered.
    const isKnown = found !== null && (isOurs === true || options.isNew);
    if (!isKnown) for (const name of options.targets) outdated.set(name, 0);
    const opened = new SourceLog(options, outdated, isKnown);
    void opened.#put();
    return opened;
  }

  isOutdated(target: string): boolean | null {
    return this.#wasRead ? this.#outdated.has(target) : null;
  }

  /** Resolves when it is durable that `target` lacks what may be answered behind `cut`, and nobody claims the role. */
  async setOutdated(target: string, cut: number): Promise<void> {
    this.#outdated.set(target, Math.min(cut, this.#outdated.get(target) ?? Infinity));
    await this.#put();
  }

  /** Resolves when it is durable that it lacks nothing. */
  async setInSync(target: string): Promise<void> {
    if (this.#outdated.delete(target)) await this.#put();
  }

  close(): void {
    this.#isClosed = true;
  }

  async #put(): Promise<void> {
    const version = ++this.#wanted;
    const done = new Promise<void>((resolve) => this.#waiting.push({ version, done: resolve }));
    if (!this.#isWriting) void this.#write();
    return done;
  }

  async #write(): Promise<void> {
    this.#isWriting = true;
    let told = '';
    while (this.#written < this.#wanted && !this.#isClosed) {
      const version = this.#wanted;
      const problem = await this.#once().catch((error: Error) => error.message);
      if (problem === null) {
        this.#written = version;
        for (const one of this.#waiting.filter((waiting) => waiting.version <= version)) one.done();
        this.#waiting = this.#waiting.filter((waiting) => waiting.version > version);
        continue;
      }
      if (problem !== told) this.#options.log(`log device ${this.#options.path}: ${problem}; it is tried again`);
      told = problem;
      await idle(this.#options.timers, AGAIN_MS);
    }
    this.#isWriting = false;
  }

  /** Null when it is written and no claim stands; else what is in the way. */
  async #once(): Promise<string | null> {
    const { device, group, generation, targets, claimed } = this.#options;
    await writeRecord(device, 0, {
      kind: LOG_KIND.source,
      group,
      generation,
      parent: NONE,
      ancestors: [],
      branchMark: 0,
      isStanding: true,
      targets: targets.map((name) => ({ name, outdatedSince: this.#outdated.get(name) ?? null })),
    });
    const claims = await readRecords(
      device,
      targets.map((_, index) => 1 + index),
    );
    const standing = claims.find((claim) => claim?.isStanding && isOf(claim, generation));
    if (!standing) return null;
    claimed(generationText(standing.generation), standing.branchMark);
    return `generation ${generationText(standing.generation).slice(0, 8)} claims the role behind mark ${standing.branchMark}`;
  }
}

/**
 * Also a claim that came by way of others: its place may be that of the one which overtook this generation, for each source
 * gives the places out anew.
 */
const isOf = ({ kind, parent, ancestors }: LogRecord, generation: Uint8Array): boolean =>
  kind === LOG_KIND.claim && [parent, ...ancestors].some((one) => generationText(one) === generationText(generation));

async function read({ device, isNew }: SourceLogOptions): Promise<{ readonly record: LogRecord | null }> {
  if (isNew) await device.make(LOG_BYTES);
  const [record = null] = await readRecords(device, [0]);
  return { record };
}

const idle = async ({ idly }: Timers, ms: number): Promise<null> =>
  new Promise((resolve) => idly(ms, () => resolve(null)));
