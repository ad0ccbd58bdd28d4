/**
 * The volumes at one mark, to be read from (OS4): the base, and over it what was recorded. Calls block: who serves a state does
 * nothing else, and what is in the page cache comes ten times as fast without the pool of threads.
 */
import { closeSync, fstatSync, openSync, readSync, statSync } from 'node:fs';
import { roundUp } from '../../base/bytes.ts';
import { crc32 } from '../../base/crc32.ts';
import { AgentError } from '../../base/errors.ts';
import { VERSION_BYTES } from '../wire/layout.ts';
import { DATA } from '../wire/data.ts';
import { RECORD_KIND, type ControlRecord } from '../wire/record.ts';
import { Versions, type Piece } from '../core/versions.ts';
import { BaseSums } from './base-sums.ts';
import { basePath, dataPath, headPath, openIfThere, readHead, shortfall, sumsPath } from './files.ts';
import type { Loaded } from './load.ts';

/** Payloads of which a part is read often. */
const WHOLE_BYTES_MAX = 256 * 1024;

export class State {
  readonly mark: number;
  readonly #loaded: Loaded;
  readonly #versions: Versions;
  readonly #bases: number[] = [];
  /** Empty: there are none. */
  readonly #sums: { readonly fd: number; readonly of: BaseSums }[] = [];
  readonly #isFold: boolean;
  /** Of the base, by volume: where blocks begin that do not hold. */
  readonly #damaged = new Map<number, Set<number>>();
  readonly #segments = new Map<number, number>();
  /** Payloads that hold: verified once. */
  readonly #verified: Uint8Array;
  /** The one that was read whole last: who reads on from there wants the rest of it next. */
  #whole: { readonly record: number; readonly payload: Uint8Array } = { record: -1, payload: new Uint8Array(0) };
  #scratch = new Uint8Array(WHOLE_BYTES_MAX);
  #head = '';
  /** All entries up to this mark are in the base files. */
  #over: number;

  /**
   * All files are opened: what is removed from then on can still be read. What a fold removed before is in the base, as the head says.
   * `isFold`: for the one who folds, and writes to blocks in the base after it has read them; such a one is told of damage in them,
   * and is not kept from it.
   */
  constructor(loaded: Loaded, mark: number, isFold = false) {
    const { folder, head, table, segments } = loaded;
    this.mark = mark;
    this.#loaded = loaded;
    this.#over = head.base.over;
    this.#verified = new Uint8Array(Math.ceil(table.bytes.length / 64 / 8));
    this.#isFold = isFold;
    try {
      if (head.base.state !== 'none')
        head.volumes.forEach(({ bytes }, i) => this.#bases.push(opened(basePath(folder, i), bytes)));
      if (head.base.sums === true) head.volumes.forEach((_, i) => this.#openSums(sumsPath(folder, i)));
      for (const { segment, dataBytes } of segments) {
        const fd = dataBytes > 0 ? openIfThere(dataPath(folder, segment)) : null;
        if (fd !== null) this.#segments.set(segment, fd);
      }
      this.#checkHead();
    } catch (error) {
      this.close();
      throw error;
    }
    const sizes = head.volumes.map(({ bytes }) => bytes);
    this.#versions = new Versions(table, sizes, this.#over, mark);
  }

  get volumes(): Loaded['head']['volumes'] {
    return this.#loaded.head.volumes;
  }

  /** Where it differs, or may, from the base: blocks of `VERSION_BYTES`, ascending. */
  touched(volume: number): number[] {
    return this.#versions.blocks(volume);
  }

  /** Fills `into`. Throws an AgentError for what is damaged, or was folded meanwhile: never other bytes. */
  read(volume: number, offset: number, into: Uint8Array): void {
    for (const piece of this.#versions.pieces(volume, offset, offset + into.length)) {
      const part = into.subarray(piece.from - offset, piece.to - offset);
      if (piece.record < 0) this.#readBase(volume, piece.from, part);
      else this.#readRecord(piece, part);
    }
    this.#checkHead();
  }

  close(): void {
    for (const fd of [...this.#bases.splice(0), ...this.#segments.values()]) closeSync(fd);
    for (const { fd } of this.#sums.splice(0)) closeSync(fd);
    this.#segments.clear();
  }

  /** Whether the block of the base that begins there was found damaged. */
  isDamaged(volume: number, offset: number): boolean {
    return this.#damaged.get(volume)?.has(offset) === true;
  }

  /** [HI4] [HI5] A base that is ahead of this state is another one. Asked behind each read, for it may be so since any moment. */
  #checkHead(): void {
    const { folder } = this.#loaded;
    const path = headPath(folder);
    const { ino, mtimeMs } = statSync(path);
    const now = `${ino} ${mtimeMs}`;
    if (now === this.#head) return;
    const head = readHead(folder);
    const why = this.#lostBy(head);
    if (why !== null) throw new AgentError('failed', why);
    const { state, over } = head.base;
    if (state === 'whole' || state === 'folding') this.#over = Math.max(this.#over, over);
    this.#head = now;
  }

  /** Why this state is none of the recording any more, or null. */
  #lostBy({ base, generation, branches }: Loaded['head']): string | null {
    const { head, segments } = this.#loaded;
    if (base.state === 'filling') return `the volumes are being recorded anew: mark ${this.mark} is kept no more`;
    if (generation !== head.generation) {
      const newest = segments.at(-1)?.segment ?? 0;
      const later = (branches ?? []).filter(({ segment }) => segment > newest);
      // Where the word is folded away it is not known what it left.
      const until = Math.min(...(later.length > 0 ? later.map((branch) => branch.until) : [base.mark]));
      if (until < this.mark)
        return `mark ${this.mark} was given up meanwhile: another generation goes on from ${until}`;
    }
    if (base.mark <= this.mark || base.state === 'none') return null;
    return `mark ${this.mark} was folded meanwhile: the earliest that is kept is ${base.mark}`;
  }

  #readBase(volume: number, offset: number, into: Uint8Array): void {
    const fd = this.#bases[volume];
    if (fd === undefined) throw new AgentError('volume', 'this recording has no base');
    const sums = this.#sums[volume]?.of;
    if (sums === undefined) return readAt(fd, offset, into);
    const from = offset - (offset % VERSION_BYTES);
    const end = offset + into.length;
    const to = Math.min(this.volumes[volume]?.bytes ?? 0, roundUp(end, VERSION_BYTES));
    const isWhole = from === offset && to === end;
    const blocks = isWhole ? into : new Uint8Array(to - from);
    readAt(fd, from, blocks);
    for (const at of sums.damagedIn(from, blocks)) this.#judge(volume, from + at);
    if (!isWhole) into.set(blocks.subarray(offset - from, end - from));
    return undefined;
  }

  #openSums(path: string): void {
    const fd = opened(path);
    this.#sums.push({ fd, of: new BaseSums(fd) });
  }

  /**
   * A block of the base and its sum do not agree. A fold writes one behind the other: only to blocks that entries of this state touch,
   * and there what the state has of the base stays as it was.
   */
  #judge(volume: number, offset: number): void {
    const { folder, head } = this.#loaded;
    if (this.#isFold) {
      // One that was cut off may have left it so.
      if (head.base.state === 'folding') return;
      this.#damaged.set(volume, (this.#damaged.get(volume) ?? new Set()).add(offset));
      return;
    }
    // Of a state that is lost that is what is to be said.
    this.#checkHead();
    if (this.#versions.isTouched(volume, offset / VERSION_BYTES)) {
      if (readHead(folder).base.state === 'folding') return;
      const block = new Uint8Array(Math.min(VERSION_BYTES, (this.volumes[volume]?.bytes ?? 0) - offset));
      readAt(this.#bases[volume] ?? -1, offset, block);
      const sums = this.#sums[volume]?.of;
      sums?.forget();
      if (sums?.damagedIn(offset, block).length === 0) return;
    }
    const where = `${basePath(folder, volume)} is damaged at byte ${offset}, in a block of ${VERSION_BYTES}`;
    throw new AgentError(
      'volume',
      `${where}: no state can be read there that has it from the base; name a time behind which it was written, or record anew into another folder`,
    );
  }

  #readRecord({ record, from }: Piece, into: Uint8Array): void {
    const { table } = this.#loaded;
    const kind = table.kind(record);
    const entry = table.record(record);
    if (kind === RECORD_KIND.zero || kind === RECORD_KIND.trim || entry.payloadBytes === 0) {
      into.fill(0);
      return;
    }
    const fd = this.#segments.get(entry.segment);
    if (fd === undefined) throw damaged(entry, 'its data is not here');
    const within = from - entry.offset;
    const at = entry.position + DATA.bytes;
    if (record === this.#whole.record) {
      into.set(this.#whole.payload.subarray(within, within + into.length));
      return;
    }
    const isVerified = ((this.#verified[record >>> 3] ?? 0) & (1 << (record & 7))) !== 0;
    if (isVerified && (within > 0 || into.length < entry.payloadBytes)) {
      if (readSync(fd, into, 0, into.length, at + within) < into.length) throw damaged(entry, 'its data is cut short');
      return;
    }
    if (within === 0 && into.length === entry.payloadBytes) {
      if (readSync(fd, into, 0, into.length, at) < into.length) throw damaged(entry, 'its data is cut short');
      if (crc32(into) !== entry.payloadCrc) throw damaged(entry, 'its data is damaged');
    } else {
      this.#whole = { record, payload: this.#wholePayload(fd, at, entry) };
      into.set(this.#whole.payload.subarray(within, within + into.length));
    }
    this.#verified[record >>> 3] = (this.#verified[record >>> 3] ?? 0) | (1 << (record & 7));
  }

  #wholePayload(fd: number, at: number, entry: ControlRecord): Uint8Array {
    // What lay there goes, whatever becomes of this one.
    this.#whole = { record: -1, payload: this.#scratch };
    if (this.#scratch.length < entry.payloadBytes) this.#scratch = new Uint8Array(entry.payloadBytes);
    const payload = this.#scratch.subarray(0, entry.payloadBytes);
    if (readSync(fd, payload, 0, payload.length, at) < payload.length) throw damaged(entry, 'its data is cut short');
    if (crc32(payload) !== entry.payloadCrc) throw damaged(entry, 'its data is damaged');
    return payload;
  }
}

const damaged = ({ mark, segment, position }: ControlRecord, what: string): AgentError =>
  new AgentError(
    'volume',
    `mark ${mark}: ${what} (segment ${segment}, byte ${position}): name a time before it; a recorder with a log device restores it when it is started again`,
  );

function readAt(fd: number, offset: number, into: Uint8Array): void {
  for (let done = 0; done < into.length;) {
    const count = readSync(fd, into, done, into.length - done, offset + done);
    if (count === 0) throw new AgentError('volume', `the base is cut short at byte ${offset + done}: ${LOST}`);
    done += count;
  }
}

const LOST = 'no state can be read that has anything from there; put the file back, or record anew into another folder';

/** Of so many bytes at least. Throws an AgentError: what was there when the recording was read may be lost. */
function opened(path: string, bytes = 0): number {
  let fd: number | null = null;
  let why: string | null;
  try {
    fd = openSync(path, 'r');
    why = shortfall(fstatSync(fd), bytes);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    why = code === 'ENOENT' ? 'is gone' : `cannot be read (${code})`;
  }
  if (why === null && fd !== null) return fd;
  if (fd !== null) closeSync(fd);
  throw new AgentError('volume', `${path} ${why}: ${LOST}`);
}

/** Bytes of one step through a volume. */
export const STEP_BYTES: number = 256 * VERSION_BYTES;
