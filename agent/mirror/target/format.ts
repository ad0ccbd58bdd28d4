/** What a target's journal says before any source has come. */
import { emptySuper } from '../source/format-journal.ts';
import type { RingSize } from '../store/ring.ts';
import { JOURNAL_ROLE, JOURNAL_STATE, type JournalSuper, type JournalVolume } from '../store/superblock.ts';
import { GENERATION_BYTES } from '../wire/layout.ts';

export interface NewTargetJournal extends RingSize {
  readonly group: string;
  readonly volumes: readonly JournalVolume[];
}

export const emptyTargetSuper = (journal: NewTargetJournal): JournalSuper => ({
  ...emptySuper({ ...journal, generation: new Uint8Array(GENERATION_BYTES) }),
  role: JOURNAL_ROLE.target,
  state: JOURNAL_STATE.initialising,
});
