/**
 * What a follower says of the volume itself: one line when it, or a node's head block, can be followed no more, one when it
 * can again. A volume that has become another one ends the command: nothing that was followed will come back.
 */
import { sameBytes } from '../base/bytes.ts';
import { AgentError } from '../base/errors.ts';
import type { InspectedVolume } from './inspected-volume.ts';
import type { SlotHead } from './node-view.ts';

/** A block that is being written, or a copy under way, looks bad for a moment. */
const PATIENCE_MS = 1000;

const HEAD_FAULTS: Readonly<Partial<Record<SlotHead['state'], string>>> = {
  version: 'its head block is of another format version',
  foreign: 'its head block is of another cluster or node',
  damaged: 'its head block is damaged',
  unreadable: 'its head block cannot be read',
};

interface Trouble {
  readonly sinceMs: number;
  isTold: boolean;
}

export class FollowWatch {
  readonly #volume: InspectedVolume;
  readonly #tell: (line: string) => void;
  readonly #troubles = new Map<string, Trouble>();

  constructor(volume: InspectedVolume, tell: (line: string) => void) {
    this.#volume = volume;
    this.#tell = tell;
  }

  /** Looks at the volume's superblock; false: there is nothing to follow now. Throws when it is another volume. */
  isThere(nowMs: number): boolean {
    const { device, superblock } = this.#volume;
    const now = this.#volume.readSuperblock();
    if (now.ok && !sameBytes(now.superblock.clusterUuid, 0, superblock.clusterUuid, 0, 16)) {
      throw new AgentError('volume', `volume ${device.path} was made anew and is another one now: follow it again`);
    }
    if (device.isReplaced) {
      throw new AgentError('volume', `volume ${device.path} is another file or device now: follow it again`);
    }
    this.#note(`volume ${device.path}`, now.ok ? null : 'it cannot be read, or is no volume any more', nowMs);
    return now.ok;
  }

  /** `heads`: of the nodes that are followed. */
  heads(heads: readonly SlotHead[], nowMs: number): void {
    for (const { slot, state } of heads) {
      const what = `node ${this.#volume.nodeName(slot)} on volume ${this.#volume.device.path}`;
      this.#note(what, HEAD_FAULTS[state] ?? null, nowMs);
    }
  }

  #note(what: string, fault: string | null, nowMs: number): void {
    const trouble = this.#troubles.get(what);
    if (fault === null) {
      if (trouble?.isTold === true) this.#tell(`${what}: followed again since ${timeText(nowMs)}`);
      this.#troubles.delete(what);
    } else if (!trouble) this.#troubles.set(what, { sinceMs: nowMs, isTold: false });
    else if (!trouble.isTold && nowMs - trouble.sinceMs >= PATIENCE_MS) {
      trouble.isTold = true;
      this.#tell(`${what}: ${fault} since ${timeText(trouble.sinceMs)}; waiting until it can be followed again`);
    }
  }
}

const timeText = (ms: number): string => new Date(ms).toISOString();
