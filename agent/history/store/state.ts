/**
 * The volumes at one mark, to be read from (OS4): the base, and over it what was recorded. Calls block: who serves a state does
 * nothing else, and what is in the page cache comes ten times as fast without the pool of threads.
 */
import { closeSync, openSync, readSync, statSync } from 'node:fs';
import { crc32 } from '../../base/crc32.ts';
import { AgentError } from '../../base/errors.ts';
import { VERSION_BYTES } from '../wire/layout.ts';
import { DATA } from '../wire/data.ts';
import { RECORD_KIND, type ControlRecord } from '../wire/record.ts';
import { Versions, type Piece } from '../core/versions.ts';
import { basePath, dataPath, headPath, readHead } from './files.ts';
import type { Loaded } from './load.ts';

/** Payloads of which a part is read often. */
const WHOLE_BYTES_MAX = 256 * 1024;

export class State {
  readonly mark: number;
  readonly #loaded: Loaded;
  readonly #versions: Versions;
  readonly #bases: readonly number[];
  readonly #segments = new Map<number, number>();
  /** Payloads that hold: verified once. */
  readonly #verified: Uint8Array;
  /** The one that was read whole last: who reads on from there wants the rest of it next. */
  #whole: { readonly record: number; readonly payload: Uint8Array } = { record: -1, payload: new Uint8Array(0) };
  #scratch = new Uint8Array(WHOLE_BYTES_MAX);
  #head: string;

  /** All files are opened: what is removed meanwhile can still be read. */
  constructor(loaded: Loaded, mark: number) {
    const { folder, head, table, segments } = loaded;
    this.mark = mark;
    this.#loaded = loaded;
    this.#versions = new Versions(
      table,
      head.volumes.map(({ bytes }) => bytes),
      head.base.over,
      mark,
    );
    this.#verified = new Uint8Array(Math.ceil(table.bytes.length / 64 / 8));
    this.#head = '';
    this.#bases = head.base.state === 'none' ? [] : head.volumes.map((_, i) => openSync(basePath(folder, i), 'r'));
    for (const { segment, dataBytes } of segments) {
      if (dataBytes > 0) this.#segments.set(segment, openSync(dataPath(folder, segment), 'r'));
    }
    this.#checkHead();
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
    for (const fd of [...this.#bases, ...this.#segments.values()]) closeSync(fd);
    this.#segments.clear();
  }

  /** [HI4] A base that is ahead of this state is another one. Asked behind each read, for it may be so since any moment. */
  #checkHead(): void {
    const { folder } = this.#loaded;
    const path = headPath(folder);
    const { ino, mtimeMs } = statSync(path);
    const now = `${ino} ${mtimeMs}`;
    if (now === this.#head) return;
    const { base } = readHead(folder);
    if (base.mark > this.mark && base.state !== 'none') {
      throw new AgentError(
        'failed',
        `mark ${this.mark} was folded meanwhile: the earliest that is kept is ${base.mark}`,
      );
    }
    this.#head = now;
  }

  #readBase(volume: number, offset: number, into: Uint8Array): void {
    const fd = this.#bases[volume];
    if (fd === undefined) throw new AgentError('volume', 'this recording has no base');
    for (let done = 0; done < into.length;) {
      const count = readSync(fd, into, done, into.length - done, offset + done);
      if (count === 0) {
        into.fill(0, done);
        return;
      }
      done += count;
    }
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

/** Bytes of one step through a volume. */
export const STEP_BYTES: number = 256 * VERSION_BYTES;
