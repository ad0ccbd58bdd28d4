/** What a session waits for at the send volumes, which may hang for as long as they like. */
import { sleep, type Machine } from '../machine.ts';
import type { SourceJournal } from './journal.ts';
import type { SessionHost } from './session-host.ts';

const STORED_LOOK_MS = 20;
const FLUSHED_LOOK_MS = 5;

export const storageWaits = (
  journal: Pick<SourceJournal, 'stored' | 'flushed' | 'flushVolumes'>,
  machine: Pick<Machine, 'timers'>,
): Pick<SessionHost, 'stored' | 'flushed'> => ({
  stored: async (position) => {
    while (journal.stored < position) await sleep(machine, STORED_LOOK_MS);
  },
  flushed: async (position, isOver) => {
    journal.flushVolumes(position);
    while (journal.flushed < position && !isOver()) await sleep(machine, FLUSHED_LOOK_MS);
  },
});
