/** A source's journal as main sees it, on threads that get on when the test says so: what is let go of, and what is not. */
import { EventEmitter } from 'node:events';
import { beforeEach, expect, test } from 'vitest';
import { SourceJournal } from '../../../../agent/mirror/source/journal.ts';
import type { Machine } from '../../../../agent/mirror/machine.ts';
import { JOURNAL_WORD, JournalMemory, type SharedJournal } from '../../../../agent/mirror/store/journal-memory.ts';
import { encodeSuper, SuperWriter } from '../../../../agent/mirror/store/superblock.ts';
import { ENTRY_KIND } from '../../../../agent/mirror/wire/entry.ts';
import { JOURNAL_RING_OFFSET } from '../../../../agent/mirror/wire/layout.ts';
import { CrashDisk } from '../../../support/crash-disk.ts';
import { freshSuper, SIZE } from '../store/journal-world.ts';

let memory: JournalMemory;
let thread: EventEmitter;
let journal: SourceJournal;
/** Of the entries that were appended. */
let places: number[];

/** A thread has got on. */
const tells = (): void => void thread.emit('message', 0);

/** What is to be in the superblock is. */
const writesSuper = (): void => {
  memory.set(JOURNAL_WORD.superDone, memory.get(JOURNAL_WORD.superWanted));
  tells();
};

beforeEach(async () => {
  const disk = new CrashDisk(JOURNAL_RING_OFFSET + SIZE.ringBytes);
  new SuperWriter(1).write(disk, encodeSuper(freshSuper()));
  thread = new EventEmitter();
  const begin = ({ shared }: { readonly shared: SharedJournal }): EventEmitter => {
    memory = new JournalMemory(shared);
    memory.set(JOURNAL_WORD.journalReady, 1);
    return thread;
  };
  const machine = {
    clock: { monotonicMs: () => 0, wallMs: () => 0 },
    timers: { every: () => () => {} },
    files: { lock: () => ({ close: () => {} }), open: () => Object.assign(disk, { close: () => {} }) },
    threads: { journal: begin, volume: begin },
  };
  const events = { room: () => {}, progress: () => {}, fatal: () => {} };
  const options = { path: 'journal', volumes: ['volume'] };
  journal = await SourceJournal.open(options, events, machine as unknown as Machine);
  writesSuper();
  places = [];
  const chunks = [new Uint8Array(4096)];
  for (let i = 0; i < 8; i++) places.push(journal.append(ENTRY_KIND.write, 0, 0, 4096, chunks)?.end ?? 0);
  // All of it is durable, and on the flushed volume.
  for (const word of ['durable', 'stored', 'flushed'] as const) memory.publish(JOURNAL_WORD[word], journal.head);
  tells();
});

test('[MI6] what was let go of is kept again for whoever comes back in time', () => {
  const [, second = 0] = places;
  journal.free(journal.head);
  expect(journal.keepFrom(second)).toBe(true);
  tells();
  writesSuper();
  expect(journal.oldest.position).toBe(second);
  expect(journal.inFile(second)).toBe(true);
});

test('[MI6] a superblock on its way that lets go of it is in time before: who comes back then is told so', () => {
  const [, second = 0] = places;
  journal.free(journal.head);
  tells();
  // It lies there yet.
  expect(journal.inFile(second)).toBe(true);
  expect(journal.keepFrom(second)).toBe(false);
  expect(journal.keepFrom(journal.head)).toBe(true);
  writesSuper();
  expect(journal.inFile(second)).toBe(false);
});
