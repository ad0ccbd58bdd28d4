/**
 * The one who writes a recording: takes control and data as they come, in any order ([HI2], OS2), makes them durable in groups
 * ([HI3]), says how far both are whole, and keeps within the retention ([HI4]).
 */
import { closeSync } from 'node:fs';
import { decodeData, dataBytes, payloadOf } from '../wire/data.ts';
import {
  decodeRecord,
  EMPTY_RECORD,
  isEntry,
  isSane,
  RECORD,
  RECORD_KIND,
  type ControlRecord,
} from '../wire/record.ts';
import {
  controlPath,
  headDamage,
  isRecording,
  makeFolder,
  mendHead,
  readHead,
  segmentsIn,
  writeHead,
  type Base,
  type RecordingHead,
} from './files.ts';
import type { ClockNote } from '../core/clock.ts';
import { writeImages, type Image } from './base-images.ts';
import { Ages } from './age.ts';
import { withClock, withClocks } from './clock-list.ts';
import { finishFold, foldOldest, removeOldest } from './fold.ts';
import { Joiner, placeRecord, type Place } from './joiner.ts';
import { Gathering } from './gathering.ts';
import { bodyBytes, isBranch, partsOf, type Arrived, type Body, type Group, type Word } from './group.ts';
import { lastRunFrom, loadRecording, type Loaded } from './load.ts';
import { checkOwner, cutFile, emptyBase, formatRecording, holdFolder, type Owner } from './make.ts';
import { OpenSegment } from './open-segment.ts';
import { Present } from './present.ts';
import { IS_FULL, Reserve, segmentBytesFor } from './reserve.ts';

export interface Retention {
  /** Older is folded into the base; 0: not by time. */
  readonly hours: number;
  /** Of segments, beside the base; 0: no bound. */
  readonly bytes: number;
}

export interface RecordingOptions extends Owner {
  readonly retention: Retention;
  readonly nowMs: () => number;
  /** Of a clock that is never set. */
  readonly steadyMs: () => number;
  /** For the operator's log. */
  readonly log: (line: string) => void;
  /** More is durable. */
  readonly progress: () => void;
}

const wholeWord = (mark: number, timeUs: number): Word => ({
  ...EMPTY_RECORD,
  kind: RECORD_KIND.whole,
  mark,
  time: BigInt(Math.floor(timeUs)) * 1000n,
});

const AGAIN_MS = 1000;
const LOOK_MS = 1000;

export class Recording {
  readonly #options: RecordingOptions;
  readonly #lock: number;
  readonly #sizes: readonly number[];
  readonly #segmentBytes: number;
  readonly #reserve: Reserve;
  readonly #present: Present;
  readonly #segment: OpenSegment;
  readonly #ages: Ages;
  #head: RecordingHead;
  readonly #joiner = new Joiner();
  readonly #gathering = new Gathering();
  /** Not written yet. */
  #bodies: Body[] = [];
  #records: ControlRecord[] = [];
  #words: Word[] = [];
  #images: Image[] = [];
  #pendingBytes = 0;
  #storedBytes = 0;
  #wholeFrom = 0;
  /** While the volumes are being taken: where it ended before. */
  #standing: Joiner['prefix'] | null = null;
  #isWriting = false;
  /** To be looked after, though nothing has come. */
  #isDue = false;
  #lookedMs = 0;
  #isClosing = false;
  #isClosed = false;
  /** The base stands. */
  #hasStates: boolean;
  /** Of the last write; null while it is well. */
  #fault: string | null = null;
  /** Why there is more than is to be kept: told once, though each write that is well clears the fault. */
  #keepFault: string | null = null;
  #idle: Promise<void> = Promise.resolve();

  private constructor(options: RecordingOptions, lock: number, loaded: Loaded) {
    this.#options = options;
    this.#lock = lock;
    this.#head = loaded.head;
    this.#sizes = loaded.head.volumes.map(({ bytes }) => bytes);
    const { folder, log } = options;
    this.#segmentBytes = segmentBytesFor(folder, options.retention.bytes);
    this.#reserve = new Reserve({ folder, log, volumesBytes: this.#sizes.reduce((sum, bytes) => sum + bytes, 0) });
    this.#present = new Present(folder);
    this.#hasStates = loaded.extent.spans.length > 0;
    this.#segment = new OpenSegment(folder, this.#present, {
      segment: loaded.segments.at(-1)?.segment ?? 0,
      sequence: Math.max(0, ...loaded.segments.map(({ lastSequence }) => lastSequence)),
    });
    this.#ages = new Ages({ ...options, hours: options.retention.hours, clocks: () => this.clocks });
    this.#takeOver(loaded);
  }

  /** Makes the folder where there is none. Throws an AgentError that says what to do. */
  static async open(options: RecordingOptions): Promise<Recording> {
    const { folder, keepsBase } = options;
    makeFolder(folder);
    const lock = holdFolder(folder);
    try {
      if (!isRecording(folder)) formatRecording(options);
      const head = readHead(folder);
      checkOwner(head, options);
      const damage = headDamage(folder);
      for (const line of [...damage, mendHead(folder) ?? []].flat()) options.log(line);
      if (head.base.state === 'folding') await finishFold(folder);
      const loaded = withClocks(loadRecording(folder), options.nowMs() * 1000);
      const recording = new Recording(options, lock, loaded);
      const largest = Math.max(0, ...loaded.segments.map((one) => one.controlBytes + one.dataBytes));
      if (keepsBase) recording.#reserve.make(Math.max(recording.#segmentBytes, largest));
      return recording;
    } catch (error) {
      closeSync(lock);
      throw error;
    }
  }

  get folder(): string {
    return this.#options.folder;
  }

  get base(): Base {
    return this.#head.base;
  }

  get generation(): string {
    return this.#head.generation;
  }

  /** All up to here is whole and durable, from the last whole mark on. */
  get prefix(): Joiner['prefix'] {
    return this.#joiner.prefix;
  }

  /** Marks of which control, or data, waits for the other. */
  get waiting(): Joiner['waiting'] {
    return this.#joiner.waiting;
  }

  /** Bytes that have been taken and are not written. */
  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  get storedBytes(): number {
    return this.#storedBytes;
  }

  get fault(): string | null {
    return this.#fault;
  }

  /** The whole mark that the newest states stand on. */
  get wholeFrom(): number {
    return this.#wholeFrom;
  }

  /** It has a base, and what that stands on. */
  get isWhole(): boolean {
    const { state } = this.#head.base;
    if (state !== 'whole' && state !== 'folding') return false;
    // What a start did not find, a log device may have given back.
    this.#hasStates ||= loadRecording(this.folder).extent.spans.length > 0;
    return this.#hasStates;
  }

  /** What is recorded from now on stands behind this mark: what came before it and is missing is a gap, until there is a whole mark. */
  startAt(mark: number, chain: bigint): void {
    this.#standing ??= this.prefix;
    this.#joiner.startAt(mark, chain);
  }

  /** How far there are states: what is recorded behind a gap, and has no whole mark yet, is none. */
  get standing(): Joiner['prefix'] {
    return this.#standing ?? this.prefix;
  }

  /** [HI9] Before a gap: nothing behind this mark, the last before it, was written until then. */
  endAt(mark: number, timeUs: number): void {
    this.#words.push({ ...wholeWord(mark, timeUs), isEnd: true });
    this.#start();
  }

  /** It goes on from there. */
  resume(): void {
    const { mark, chain } = this.standing;
    if (this.#standing) this.#joiner.startAt(mark, chain);
    this.#standing = null;
  }

  /** The base is filled by the images that come now. */
  fill(mark: number): void {
    const timeUs = this.#options.nowMs() * 1000;
    this.#setHead({ ...this.#head, base: { mark, timeUs, over: mark, state: 'filling', sums: true } });
    // What an attempt before put there may be zeros by now, and those are not written.
    emptyBase(this.folder, this.#head.volumes);
  }

  /**
   * [HI5] Marks beyond it are another's. The word that voids them is durable before the head names the generation: a crash between the
   * two is mended by saying it again.
   */
  branch(generation: string, { mark: until, chain }: { readonly mark: number; readonly chain: bigint }): void {
    this.#dropPending(until);
    this.#words.push({ ...EMPTY_RECORD, kind: RECORD_KIND.branch, mark: until, branchedTo: generation });
    const { base } = this.#head;
    // Folded into it, and void: there is no state that it is.
    const isVoid = base.state !== 'none' && Math.max(base.mark, base.over) > until;
    if (isVoid) this.#setHead({ ...this.#head, base: { ...base, state: 'filling' } });
    this.#joiner.cut(until, chain);
    if (this.#standing && this.#standing.mark > until) this.#standing = { mark: until, chain };
    this.#start();
  }

  /** Of what is void now nothing is written behind the word that voids it. */
  #dropPending(until: number): void {
    this.#records = this.#records.filter(({ mark }) => mark <= until);
    this.#words = this.#words.filter(({ mark }) => mark <= until);
    this.#bodies = this.#bodies.map(({ body, arrived }) => ({
      body,
      arrived: arrived.filter(({ header }) => header.mark <= until),
    }));
  }

  /** What comes is behind that point, and stamped by a clock that is so far ahead. */
  clock({ mark, chain }: Joiner['prefix'], aheadNs: bigint): void {
    this.#words.push({ ...EMPTY_RECORD, kind: RECORD_KIND.clock, mark, chain, time: aheadNs });
    this.#start();
  }

  get clocks(): readonly ClockNote[] {
    return this.#head.clocks ?? [];
  }

  /** [HI6] Kept beside the base: no record of many says it, so none can be lost. While nothing is being written. */
  noteClock(note: ClockNote): void {
    this.#setHead({ ...this.#head, clocks: withClock(this.#head, note) });
  }

  /** Control: `RECORD`s. Answers what is wrong with them, or null. */
  control(bytes: Uint8Array): string | null {
    if (bytes.length % RECORD.bytes !== 0) return 'control that is no whole number of records';
    for (let offset = 0; offset < bytes.length; offset += RECORD.bytes) {
      const record = decodeRecord(bytes, offset);
      if (!isEntry(record.kind) || !isSane(record, this.#sizes)) return 'control with impossible values';
      if (!this.#joiner.lacksControl(record.mark)) continue;
      this.#records.push(record);
    }
    this.#pendingBytes += bytes.length;
    this.#start();
    return null;
  }

  /** Data records, one behind the other; the bytes are kept. Answers what is wrong with them, or null. */
  data(body: Uint8Array): string | null {
    const arrived: Arrived[] = [];
    for (let offset = 0; offset < body.length;) {
      const header = decodeData(body, offset);
      const payload = header && payloadOf(body, offset, header);
      if (!header || !payload || header.mark === Infinity) return 'data that is damaged';
      if (header.kind === RECORD_KIND.image) {
        if (!isSane({ ...EMPTY_RECORD, ...header }, this.#sizes)) return 'an image with impossible values';
        if (this.#head.base.state === 'filling') this.#images.push({ header, payload });
        else arrived.push({ header, offset });
      } else if (this.#joiner.lacksData(header)) arrived.push({ header, offset });
      offset += dataBytes(header.payloadBytes);
    }
    if (arrived.length > 0) this.#bodies.push({ body, arrived });
    this.#pendingBytes += body.length;
    this.#start();
    return null;
  }

  /** What was lost here and is known elsewhere: control and data of a mark together, also of one that lies in a gap. */
  restored(control: ControlRecord, data: Uint8Array | null): string | null {
    const header = data && decodeData(data, 0);
    if (data && (!header || !payloadOf(data, 0, header))) return 'data that is damaged';
    this.#records.push(control);
    if (data && header) this.#bodies.push({ body: data, arrived: [{ header, offset: 0 }] });
    this.#pendingBytes += RECORD.bytes + (data?.length ?? 0);
    this.#start();
    return null;
  }

  /** All of the volumes is known at this mark, when everything up to it is here; at `ms` nothing was written behind it. */
  whole(mark: number, ms = this.#options.nowMs()): void {
    this.#words.push(wholeWord(mark, Math.round(ms) * 1000));
    this.#start();
  }

  /** From time to time: time passes for what is kept too, and its files may be gone. */
  look(): void {
    const nowMs = this.#options.nowMs();
    if (Math.abs(nowMs - this.#lookedMs) < LOOK_MS) return;
    this.#lookedMs = nowMs;
    this.#isDue = true;
    this.#start();
  }

  /** Something is being written, or folded: its head is not to be changed meanwhile. */
  get isBusy(): boolean {
    return this.#isWriting;
  }

  /** Resolves when all that was taken is durable, or cannot be made so. Whoever goes on by that looks at `isBusy` first. */
  async settled(): Promise<void> {
    await this.#gathering.hurry(async () => {
      while (this.#isWriting) await this.#idle;
    });
  }

  /** Folds what is older than `before` (microseconds) now, by whole segments; answers what is gone. */
  async prune(beforeUs: number, bytes: number): Promise<{ readonly segments: number; readonly bytes: number }> {
    const gone = { segments: 0, bytes: 0 };
    // Nothing is written meanwhile: one head at a time. In the same step as the last look.
    while (this.#isWriting) await this.settled();
    this.#isWriting = true;
    const pruning = this.#pruned(beforeUs, bytes, gone);
    this.#idle = pruning.catch(() => {});
    try {
      await pruning;
    } finally {
      this.#isWriting = false;
      if (this.#hasWork) this.#start();
    }
    return gone;
  }

  async #pruned(beforeUs: number, bytes: number, gone: { segments: number; bytes: number }): Promise<void> {
    await this.#roll();
    while (this.#storedBytes > bytes || this.#ages.isOldestBefore(this.#segment.number, beforeUs)) {
      const folded = await this.#dropOldest();
      if (folded === null) return;
      gone.segments += folded.segments;
      gone.bytes += folded.bytes;
    }
  }

  async close(): Promise<void> {
    this.#isClosing = true;
    await this.settled();
    this.#isClosed = true;
    await this.#segment.close();
    closeSync(this.#lock);
  }

  /** What a start finds. */
  #takeOver({ table, extent, segments, head }: Loaded): void {
    const last = extent.spans.at(-1);
    const upTo = head.base.state === 'none' ? lastRunFrom(table) : (last?.to ?? head.base.mark);
    this.#joiner.takeOver(table, upTo);
    this.#wholeFrom = last?.from ?? 0;
    this.#storedBytes = segments.reduce((sum, one) => sum + one.controlBytes + one.dataBytes, 0);
    const newest = segments.at(-1);
    // What a crash cut off is written over by nothing: a new segment is begun, and the torn end goes.
    if (newest && newest.controlEnd < newest.controlBytes)
      cutFile(controlPath(this.folder, newest.segment), newest.controlEnd);
  }

  #setHead(head: RecordingHead): void {
    writeHead(this.folder, head);
    this.#head = head;
  }

  #start(): void {
    this.#gathering.came(this.#pendingBytes);
    if (this.#isWriting || this.#isClosed) return;
    this.#isWriting = true;
    this.#idle = this.#run();
  }

  get #hasWork(): boolean {
    return this.#isDue || this.#hasCome;
  }

  get #hasCome(): boolean {
    return this.#bodies.length + this.#records.length + this.#words.length + this.#images.length > 0;
  }

  async #run(): Promise<void> {
    try {
      while (this.#hasWork && !this.#isClosed && (await this.#writeGroup()));
    } finally {
      // In the same step as the last look: what comes between the two would wait for ever.
      this.#isWriting = false;
    }
  }

  /** All that has come so far. False when nothing is to be written any more. */
  async #writeGroup(): Promise<boolean> {
    await this.#gathering.over(this.#pendingBytes);
    const isEmpty = !this.#hasCome;
    const isDue = this.#isDue;
    this.#isDue = false;
    const group = {
      bodies: this.#bodies.splice(0),
      records: this.#records.splice(0),
      words: this.#words.splice(0),
      images: this.#images.splice(0),
    };
    const bytes = this.#pendingBytes;
    for (const part of partsOf(group, this.#segmentBytes)) {
      if (!(await this.#written(isEmpty ? null : part, isDue))) return false;
      this.#options.progress();
      await this.#keepWithin();
    }
    this.#pendingBytes -= bytes;
    this.#options.progress();
    return true;
  }

  /** Sooner or later; false when nothing is to be written any more. */
  async #written(group: Group | null, isDue: boolean): Promise<boolean> {
    for (;;) {
      try {
        await this.#checkFiles(isDue);
        if (group) await this.#write(group);
        this.#fault = null;
        return true;
      } catch (error) {
        if (!(await this.#recover(error as NodeJS.ErrnoException))) return false;
      }
    }
  }

  /** A write failed: makes room where that is what is missing. False when nothing is to be written any more. */
  async #recover(error: NodeJS.ErrnoException): Promise<boolean> {
    const { log, folder } = this.#options;
    const { code } = error;
    if (this.#fault !== (code ?? error.message))
      log(`recording ${folder} cannot be written (${code ?? error.message})`);
    this.#fault = code ?? error.message;
    if (IS_FULL.has(code) && (await this.#makeRoom())) return true;
    this.#options.progress();
    await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
    return !this.#isClosing;
  }

  /** The storage is full: the oldest goes. False when that cannot be. */
  async #makeRoom(): Promise<boolean> {
    const { log, folder } = this.#options;
    this.#reserve.free();
    await this.#roll().catch(() => {});
    try {
      const gone = await this.#dropOldest();
      if (!gone) return false;
      log(
        `recording ${folder}: the storage is full: the oldest ${gone.bytes} bytes went before their time; the earliest that is kept is mark ${this.base.mark}`,
      );
      if (this.#options.keepsBase) this.#reserve.make(this.#segmentBytes);
      return true;
    } catch (error) {
      this.#sayKeepFault(`the oldest cannot be let go of: ${(error as Error).message}`);
      return false;
    }
  }

  #sayKeepFault(what: string): void {
    if (this.#keepFault !== what) this.#options.log(`recording ${this.folder}: ${what}`);
    this.#keepFault = what;
  }

  async #checkFiles(isDue: boolean): Promise<void> {
    // Open files would take everything where the storage is gone, or another's.
    if (!isRecording(this.folder)) throw Object.assign(new Error('it is gone'), { code: 'ENOENT' });
    this.#segment.check();
    if (isDue) this.#present.checkAll();
  }

  async #write(group: Group): Promise<void> {
    const { isOpen, dataBytes } = this.#segment;
    const isTooMuch = dataBytes > 0 && dataBytes + bodyBytes(group) > this.#segmentBytes;
    // All that a branch voids lies in segments before its own.
    if (!isOpen || isTooMuch || group.words.some(isBranch)) await this.#segment.next();
    if (group.images.length > 0)
      await writeImages({ folder: this.folder, sizes: this.#sizes, base: this.#head.base }, group.images);
    try {
      await this.#writeEntries(group);
    } catch (error) {
      this.#storedBytes -= await this.#segment.cutBack();
      throw error;
    }
  }

  async #writeEntries(group: Pick<Group, 'bodies' | 'records' | 'words'>): Promise<void> {
    const places = await this.#writeData(group.bodies);
    const { records, done } = this.#joiner.put(group.records, places.entries);
    for (const place of places.images) records.push(placeRecord(place, RECORD_KIND.image));
    const wholes = group.words.filter(({ kind, isEnd }) => kind === RECORD_KIND.whole && !isEnd);
    // It voids what stands before it, and what came since is of the new generation.
    records.unshift(...group.words.filter(isBranch));
    records.push(...group.words.filter((one) => !isBranch(one)));
    if (records.length === 0) return;
    this.#storedBytes += await this.#segment.appendControl(records, this.#options.nowMs());
    done();
    for (const { branchedTo, mark } of group.words) if (branchedTo !== undefined) this.#branched(branchedTo, mark);
    for (const { mark, time } of wholes) {
      this.#wholeFrom = mark;
      this.#standing = null;
      this.#becomeWhole(mark, Number(time / 1000n));
    }
  }

  /** The word is durable. */
  #branched(generation: string, until: number): void {
    const { branches } = this.#head;
    const [oldest = 0] = segmentsIn(this.folder, 'control');
    const more = branches && [
      ...branches.filter(({ segment }) => segment > oldest),
      { segment: this.#segment.number, until },
    ];
    const clocks = this.clocks.filter(({ mark }) => mark <= until);
    this.#setHead({ ...this.#head, generation, clocks, ...(more ? { branches: more } : {}) });
  }

  /** The base files are what this mark and all behind it stand on. */
  #becomeWhole(mark: number, timeUs: number): void {
    const { base } = this.#head;
    if (base.state !== 'filling') return;
    this.#setHead({ ...this.#head, base: { ...base, mark, timeUs, state: 'whole' } });
    this.#hasStates = true;
  }

  async #writeData(
    bodies: readonly Body[],
  ): Promise<{ readonly entries: readonly Place[]; readonly images: readonly Place[] }> {
    const entries: Place[] = [];
    const images: Place[] = [];
    if (bodies.length === 0) return { entries, images };
    let position = this.#segment.dataBytes;
    for (const { body, arrived } of bodies) {
      for (const { header, offset } of arrived) {
        const place = { segment: this.#segment.number, position: position + offset, header };
        (header.kind === RECORD_KIND.image ? images : entries).push(place);
      }
      position += body.length;
    }
    this.#storedBytes += await this.#segment.appendData(bodies.map(({ body }) => body));
    return { entries, images };
  }

  async #roll(): Promise<void> {
    if (this.#segment.isBegun) await this.#segment.next();
    this.#ages.look(this.#segment.number, this.#segment.controlBytes);
  }

  /** Begins a segment when the present one is full, and drops the oldest when there is too much. */
  async #keepWithin(): Promise<void> {
    const { bytes } = this.#options.retention;
    this.#ages.look(this.#segment.number, this.#segment.controlBytes);
    const isFull =
      this.#segment.dataBytes >= this.#segmentBytes || this.#segment.controlBytes >= this.#segmentBytes / 2;
    try {
      if (!isFull && !this.#ages.isLong) return;
      if (this.#options.keepsBase) this.#reserve.make(this.#segment.dataBytes + this.#segment.controlBytes);
      await this.#roll();
      const isTooMuch = (): boolean => bytes > 0 && this.#storedBytes > bytes;
      while (isTooMuch() || this.#ages.isOldestPast(this.#segment.number))
        if ((await this.#dropOldest()) === null) break;
    } catch (error) {
      const { message } = error as Error;
      this.#sayKeepFault(message);
      this.#fault = message;
    }
  }

  async #dropOldest(): Promise<{ readonly segments: number; readonly bytes: number } | null> {
    const [{ keepsBase }, current] = [this.#options, this.#segment.number];
    const gone = keepsBase ? await foldOldest(this.folder, current) : removeOldest(this.folder, current);
    if (!gone) return null;
    if (gone.base) this.#head = { ...this.#head, base: gone.base };
    this.#storedBytes -= gone.bytes;
    for (const segment of gone.removed) this.#present.drop(segment);
    return { segments: gone.removed.length, bytes: gone.bytes };
  }
}
