/** Makes a target's journal. */
import { emptySuper, formatJournal } from '../source/format-journal.ts';
import type { RingSize } from '../store/ring.ts';
import { JOURNAL_ROLE, JOURNAL_STATE, type JournalVolume } from '../store/superblock.ts';
import { GENERATION_BYTES } from '../wire/layout.ts';

export interface NewTargetJournal extends RingSize {
  readonly group: string;
  readonly volumes: readonly JournalVolume[];
}

/** In a file that is not there yet, or on a blank device: whole or not at all. Throws an AgentError that says what to do. */
export function formatTargetJournal(path: string, journal: NewTargetJournal): void {
  const blank = { ...journal, generation: new Uint8Array(GENERATION_BYTES) };
  const superblock = { ...emptySuper(blank), role: JOURNAL_ROLE.target, state: JOURNAL_STATE.initialising };
  formatJournal(path, blank, superblock);
}
