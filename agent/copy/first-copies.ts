/** A receive volume that another node's copy brings is nothing before the first copy: only then can an agent read it. */
import { setTimeout as delay } from 'node:timers/promises';
import { AgentError } from '../base/errors.ts';
import type { Settings } from '../settings/settings.ts';
import { isFormatted } from '../volumes.ts';
import type { CopyEvent } from './copying.ts';

const LOOK_MS = 100;
/** Peers that start with this node are here sooner: nothing is told of them. */
const TELL_MS = 2000;

export interface Waiting {
  readonly tell: (event: CopyEvent) => void;
  readonly isWanted: () => boolean;
  /** Whether what a peer writes has come here as a whole, as far as this end can tell. */
  readonly hasCopyOf: (peer: string) => boolean;
}

/** Resolves when all of them are there. Throws when a volume cannot be read, or when nobody wants the agent any more. */
export async function firstCopies(settings: Settings, { tell, isWanted, hasCopyOf }: Waiting): Promise<void> {
  const { copy, sendVolume } = settings.storage;
  if (copy === 'shared') return;
  for (const { node, receiveVolume } of settings.peers) {
    if (receiveVolume === sendVolume) continue;
    const isThere = () => isFormatted(receiveVolume) && hasCopyOf(node);
    for (let waitedMs = 0; !isThere(); waitedMs += LOOK_MS) {
      if (!isWanted()) throw new AgentError('failed', `ended while it waited for the first copy on ${receiveVolume}`);
      if (waitedMs === TELL_MS) tell({ kind: 'copy-waits', volume: receiveVolume, peer: node });
      await delay(LOOK_MS);
    }
  }
}
