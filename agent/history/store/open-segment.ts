/** The segment that is written: its two files, and where each ends. Data is durable before the control that names its place ([HI3]). */
import { open, type FileHandle } from 'node:fs/promises';
import { encodeControlFrame, type ControlRecord } from '../wire/record.ts';
import { writeAll } from './append.ts';
import { controlPath, dataPath, flushFolder } from './files.ts';
import type { Present } from './present.ts';

export class OpenSegment {
  readonly #folder: string;
  readonly #present: Present;
  #number: number;
  #control: FileHandle | null = null;
  #data: FileHandle | null = null;
  /** Of both. */
  #inodes: readonly number[] = [];
  #controlEnd = 0;
  #dataEnd = 0;
  /** Of the data: up to here durable control may name it. */
  #namedEnd = 0;
  /** Of the last frame, over all segments. */
  #sequence: number;

  /** `newest`: what a start found, and never writes to. */
  constructor(folder: string, present: Present, newest: { readonly segment: number; readonly sequence: number }) {
    this.#folder = folder;
    this.#present = present;
    this.#number = newest.segment;
    this.#sequence = newest.sequence;
  }

  get number(): number {
    return this.#number;
  }

  get controlBytes(): number {
    return this.#controlEnd;
  }

  /** So the next payload lies here. */
  get dataBytes(): number {
    return this.#dataEnd;
  }

  get isOpen(): boolean {
    return this.#control !== null && this.#data !== null;
  }

  /** Whether a fold up to now would leave anything out: what a start found and has not written to is full as well. */
  get isBegun(): boolean {
    return this.#controlEnd > 0 || (this.#control === null && this.#number > 0);
  }

  /** Begins the next one. */
  async next(): Promise<void> {
    await this.close();
    this.#number++;
    this.#control = await open(controlPath(this.#folder, this.#number), 'w', 0o600);
    this.#data = await open(dataPath(this.#folder, this.#number), 'w', 0o600);
    this.#inodes = [(await this.#control.stat()).ino, (await this.#data.stat()).ino];
    this.#present.add(this.#number);
    this.#controlEnd = 0;
    this.#dataEnd = 0;
    this.#namedEnd = 0;
    flushFolder(this.#folder);
  }

  /** Throws when its files are gone, or others': open ones take everything all the same. */
  check(): void {
    if (this.isOpen) this.#present.checkOpen(this.#number, this.#inodes);
  }

  /** Data records, durable when it resolves. Answers their bytes. */
  async appendData(bodies: readonly Uint8Array[]): Promise<number> {
    await writeAll(this.#data, bodies, this.#dataEnd);
    await this.#data?.datasync();
    const bytes = bodies.reduce((sum, { length }) => sum + length, 0);
    this.#dataEnd += bytes;
    return bytes;
  }

  /** `RECORD`s in one frame, durable when it resolves. Answers its bytes. */
  async appendControl(records: readonly ControlRecord[], nowMs: number): Promise<number> {
    const frame = encodeControlFrame(records, {
      sequence: this.#sequence + 1,
      segment: this.#number,
      writtenAt: BigInt(Math.round(nowMs)) * 1_000_000n,
    });
    await writeAll(this.#control, [frame], this.#controlEnd);
    await this.#control?.datasync();
    this.check();
    this.#sequence++;
    this.#controlEnd += frame.length;
    this.#namedEnd = this.#dataEnd;
    return frame.length;
  }

  /** A write failed: what no control names takes no room. Answers the bytes of data that are gone. */
  async cutBack(): Promise<number> {
    const gone = this.#dataEnd - this.#namedEnd;
    this.#dataEnd = this.#namedEnd;
    await this.#data?.truncate(this.#dataEnd).catch(() => {});
    await this.#control?.truncate(this.#controlEnd).catch(() => {});
    return gone;
  }

  /** What cannot be opened then leaves no closed file to be written to: the next write begins another one. */
  async close(): Promise<void> {
    const files = [this.#control, this.#data];
    [this.#control, this.#data] = [null, null];
    for (const file of files) await file?.close();
  }
}
