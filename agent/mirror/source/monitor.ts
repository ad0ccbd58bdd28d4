/**
 * The monitor of a group: what clients change goes into the journal in the order in which it became whole ([MI1]), over
 * all volumes, and is answered when it is durable there (`local`). What finds no room waits in line.
 */
import { ERRNO } from '../../platform/native.ts';
import { WritePace } from '../core/write-pace.ts';
import type { RingPlace } from '../store/ring.ts';
import { ENTRY_FLAG, ENTRY_KIND } from '../wire/entry.ts';
import { BLOCK_BYTES } from '../wire/layout.ts';
import type { Cancel, FileReader, Machine } from '../machine.ts';
import { systemMachine } from '../system-machine.ts';
import { SourceGroup, type Done, type GroupOptions } from './group.ts';
import { SourceJournal, type JournalStatus, type SourceJournalOptions } from './journal.ts';
import { MonitorVolume } from './monitor-volume.ts';
import { pieceOf } from './piece.ts';
import { StagedReader, VolumeReads } from './staged-reader.ts';

export type { Done } from './group.ts';

/** What a client changes. */
export interface Change {
  readonly kind: typeof ENTRY_KIND.write | typeof ENTRY_KIND.zero | typeof ENTRY_KIND.trim;
  readonly volume: number;
  readonly offset: number;
  readonly length: number;
  /** The payload of a write, `length` bytes together. */
  readonly chunks?: readonly Uint8Array[];
  /** The client waits for stable storage. */
  readonly fua: boolean;
}

/** Without targets: answered when it is durable here. */
const LOCAL: GroupOptions = {
  acknowledge: 'local',
  cycles: { cycleMs: 1000, bytes: 64 * 1024 * 1024 },
  checkpoint: null,
  overflow: { afterMs: 3000, policy: 'degrade' },
};

/** How often those are looked at that are paced. */
const PACE_MS = 5;

interface InLine {
  readonly change: Change;
  readonly done: Done;
  /** Bytes of it that are in the journal already. */
  sent: number;
}

export interface MonitorOptions extends SourceJournalOptions {
  readonly group?: GroupOptions;
  /** A part of it died: nothing is answered any more. */
  readonly fatal: (error: Error) => void;
}

/** Of what is left of a change: all, or as much as ends with a block, so that no block is cut in two ([RF2]). */
function pieceBytes(offset: number, left: number, most: number): number {
  if (left <= most) return left;
  const whole = most - ((offset + most) % BLOCK_BYTES);
  return whole > 0 ? whole : most;
}

export class Monitor {
  readonly journal: SourceJournal;
  readonly volumes: readonly MonitorVolume[];
  readonly #line: InLine[] = [];
  readonly #pace = new WritePace();
  #stopPacing: Cancel | null = null;
  readonly #machine: Machine;
  readonly #files: readonly FileReader[];
  readonly group: SourceGroup;
  #isRefusing = false;

  private constructor(
    journal: SourceJournal,
    group: SourceGroup,
    files: readonly [FileReader, ...FileReader[]],
    paths: readonly string[],
    machine: Machine,
  ) {
    this.#machine = machine;
    this.journal = journal;
    this.group = group;
    this.#files = files;
    const [journalFile, ...volumeFiles] = files;
    const reads = new VolumeReads();
    this.volumes = journal.superblock.volumes.map(({ name, bytes }, index) => {
      const reader = new StagedReader(journal, journalFile, volumeFiles[index] ?? journalFile, index, reads);
      const description = `${paths[index] ?? ''}, mirrored`;
      return new MonitorVolume(this, reader, { index, name, description, size: bytes });
    });
  }

  /** Throws an AgentError that says what to do. */
  static async open(options: MonitorOptions, machine: Machine = systemMachine): Promise<Monitor> {
    const { path, volumes, fatal } = options;
    const events = { room: () => {}, progress: () => {}, fatal };
    const journal = await SourceJournal.open(options, events, machine);
    const files: FileReader[] = [];
    try {
      for (const one of [path, ...volumes]) files.push(machine.files.reader(one));
    } catch (error) {
      for (const file of files) file.close();
      await journal.close();
      throw error;
    }
    const group = new SourceGroup(journal, options.group ?? LOCAL, machine);
    const monitor = new Monitor(journal, group, files as [FileReader, ...FileReader[]], volumes, machine);
    events.room = () => monitor.#advance();
    events.progress = () => group.progress();
    return monitor;
  }

  get status(): JournalStatus {
    return this.journal.status;
  }

  /** Nothing is changed here any more. */
  get isRefusing(): boolean {
    return this.#isRefusing;
  }

  /** Takes no change from now on. Those that are under way are answered when they may be. */
  refuse(): void {
    this.#isRefusing = true;
  }

  /** After all: what was refused is not taken back. */
  serve(): void {
    this.#isRefusing = false;
  }

  /** Whether all that was taken has been answered. */
  get isQuiet(): boolean {
    return this.#line.length === 0 && this.group.waiting === 0;
  }

  /** Answers when the change is as safe as the policy wants. */
  submit(change: Change, done: Done): void {
    if (this.#isRefusing) {
      done(ERRNO.EPERM);
      return;
    }
    const item = { change, done, sent: 0 };
    if (this.#line.length > 0 || !this.#send(item)) this.#line.push(item);
  }

  /** Answers when all that was answered before is durable. */
  flush(done: Done): void {
    if (this.group.isFailed) done(ERRNO.EIO);
    else this.group.flush(done);
  }

  /** When no client is served any more: brings everything to the send volumes, if they answer. */
  async close(beforeClean?: (end: RingPlace) => void): Promise<void> {
    this.#stopPacing?.();
    this.group.close();
    await this.journal.close(beforeClean);
    for (const { done } of this.#line.splice(0)) done(ERRNO.EIO);
    for (const file of this.#files) file.close();
  }

  #advance(): void {
    const line = this.#line;
    let count = 0;
    for (let item = line[0]; item && this.#send(item); item = line[++count]);
    line.splice(0, count);
  }

  /** Puts a change, or what is left of it, into the journal; false when the rest has to wait. */
  #send(item: InLine): boolean {
    const { change, done } = item;
    if (!this.#isFree()) return false;
    const { kind, volume, offset, length, chunks } = change;
    const flags = change.fua ? ENTRY_FLAG.durable : 0;
    // What is larger than an entry may be goes in several; who crashes between them has answered nobody.
    const most = chunks ? this.journal.writeBytesMax : length;
    for (;;) {
      const some = pieceBytes(offset + item.sent, length - item.sent, most);
      const piece = chunks && pieceOf(chunks, item.sent, some);
      this.group.making(chunks ? some : 0);
      const put = this.journal.append(kind, volume, offset + item.sent, some, piece, flags);
      if (put === null) {
        if (!this.journal.hasFailed) return false;
        done(ERRNO.EIO);
        return true;
      }
      const range = { volume, offset: offset + item.sent, length: some };
      this.group.changed(kind, range, put);
      item.sent += some;
      const { left, of } = this.group.room;
      this.#pace.took(put.end - put.position, left, of, this.#nowMs);
      if (item.sent < length) this.group.admittedPart(put, range);
      else {
        this.group.admitted(put, range, change.fua, done);
        return true;
      }
    }
  }

  /** [MI10] Whether the ring takes a write now; sees to it that those who wait are looked at again. */
  #isFree(): boolean {
    const { left, of } = this.group.room;
    if (this.#pace.isFree(left, of, this.#nowMs)) return true;
    this.#stopPacing ??= this.#machine.timers.after(PACE_MS, () => {
      this.#stopPacing = null;
      this.#advance();
    });
    return false;
  }

  get #nowMs(): number {
    return this.#machine.clock.monotonicMs();
  }
}
