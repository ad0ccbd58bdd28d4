/**
 * What can be opened with the key that is at hand. A key that is not the volume's is told as such, by the key id in the
 * head blocks: with it every block would only look damaged. Without a key sealed parts are shown by their structure.
 */
import { sameBytes } from '../base/bytes.ts';
import { AgentError } from '../base/errors.ts';
import { volumeSeals } from '../threads.ts';
import type { BatchHeader } from '../volume/batch.ts';
import { headKeyId } from '../volume/head.ts';
import { BATCH_FLAG } from '../volume/layout.ts';
import { fixedKeys } from '../wire/key-ring.ts';
import { keyId } from '../wire/keys.ts';
import type { Seal, SealFactory } from '../wire/seal.ts';
import type { InspectedVolume } from './inspected-volume.ts';

export class Openers {
  readonly hasKey: boolean;
  readonly #open: SealFactory;
  readonly #sealed: SealFactory | null;
  /** What opened the last batch of each slot: nearly always what opens the next one. */
  readonly #last: { incarnation: Uint8Array; flags: number; seal: Seal }[] = [];

  constructor(volume: InspectedVolume, keys: readonly Uint8Array[] | null) {
    const { clusterUuid } = volume.superblock;
    this.hasKey = keys !== null;
    this.#open = volumeSeals(null, clusterUuid);
    this.#sealed = keys === null ? null : volumeSeals(fixedKeys(...keys), clusterUuid);
  }

  /** What opens this batch; null when it is sealed and there is no key. */
  forBatch(header: BatchHeader): Seal | null {
    const { incarnation, nodeIndex, flags } = header;
    const last = this.#last[nodeIndex];
    if (last && last.flags === flags && sameBytes(last.incarnation, 0, incarnation, 0, 16)) return last.seal;
    const factory = (flags & BATCH_FLAG.sealed) === 0 ? this.#open : this.#sealed;
    const seal = factory && factory(incarnation, nodeIndex, 'batch');
    if (seal) this.#last[nodeIndex] = { incarnation, flags, seal };
    return seal;
  }

  /** What opens this head block; null when it is sealed and there is no key. */
  forHead(block: Uint8Array): SealFactory | null {
    return isSealed(block) ? this.#sealed : this.#open;
  }
}

/** True when a head block bears a key id. */
function isSealed(block: Uint8Array): boolean {
  return headKeyId(block)?.some((byte) => byte !== 0) ?? false;
}

export const isVolumeSealed = (heads: readonly Uint8Array[]): boolean => heads.some((block) => isSealed(block));

/** Throws when no node on the volume that has a key uses one of these: in a rotation one may be ahead of the file. */
export function checkKey(volume: InspectedVolume, heads: readonly Uint8Array[], keys: readonly Uint8Array[]): void {
  const ours = keys.map(keyId);
  const sealed = volume.slots.filter((slot) => heads[slot] !== undefined && isSealed(heads[slot]));
  const others = sealed.filter((slot) => {
    const theirs = headKeyId(heads[slot] ?? new Uint8Array(0));
    return !ours.some((id) => theirs !== null && sameBytes(theirs, 0, id, 0, id.length));
  });
  const [first] = others;
  if (first === undefined || others.length < sealed.length) return;
  const where = `node ${volume.nodeName(first)} on volume ${volume.device.path}`;
  throw new AgentError('key', `the key differs: ${where} uses another one; give the key file of this cluster`);
}
