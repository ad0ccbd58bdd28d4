/**
 * Whether a key file fits what is written on the volumes. A key that is not the cluster's is told as such: with it every
 * block would only look damaged.
 *
 * A peer may have gone on to a key that comes later here, or not yet have left one that is gone here: then it is not heard
 * until the files are the same again, and the agent says so. But the file must know some key in use. What this node itself
 * has left does not refuse it: it may have been down while the others dropped the key of then.
 */
import { AgentError } from './base/errors.ts';
import { toHex } from './base/bytes.ts';
import type { BlockDevice } from './platform/block-device.ts';
import { alignedMemory } from './platform/memory.ts';
import { headKeyId } from './volume/head.ts';
import { BLOCK_BYTES, HEAD_TABLE_OFFSET } from './volume/layout.ts';
import type { Superblock } from './volume/superblock.ts';
import { keyId } from './wire/keys.ts';

/** The keys of the key file; null: unauthenticated. */
export type Keys = readonly Uint8Array[] | null;

const NO_KEY = '0'.repeat(16);

export interface UsedKey {
  readonly node: string;
  /** Id of the key that the node's head block is sealed with, as hexadecimal digits. */
  readonly key: string;
  /** Our key file has it. */
  readonly isOurs: boolean;
}

/** By which keys the nodes have sealed their last words on the volume; without those that never wrote. */
export function usedKeys(device: BlockDevice, superblock: Superblock, keys: Keys): UsedKey[] {
  const table = new Uint8Array(alignedMemory(superblock.slotCount * BLOCK_BYTES));
  const heads = table.subarray(0, superblock.slotCount * BLOCK_BYTES);
  if (device.read(HEAD_TABLE_OFFSET, heads) !== heads.length) return [];
  const ours = new Set(keys === null ? [NO_KEY] : keys.map((key) => toHex(keyId(key))));
  return superblock.nodes.flatMap((node, slot) => {
    const id = headKeyId(heads.subarray(slot * BLOCK_BYTES, (slot + 1) * BLOCK_BYTES));
    if (node === '' || id === null) return []; // what a node that is gone has left is nobody's word
    const key = toHex(id);
    return [{ node, key, isOurs: ours.has(key) }];
  });
}

interface Stranger extends UsedKey {
  readonly path: string;
}

/** Collects over all volumes of a node by which keys their head blocks are sealed, and then judges. */
export class KeysInUse {
  readonly #keys: Keys;
  readonly #own: string;
  readonly #strangers: Stranger[] = [];
  #isKnown = false;

  /** `own`: this node's name. */
  constructor(keys: Keys, own: string) {
    this.#keys = keys;
    this.#own = own;
  }

  /** Throws when somebody runs without a key and this node with one, or the other way round. */
  look(device: BlockDevice, superblock: Superblock): void {
    for (const used of usedKeys(device, superblock, this.#keys)) {
      const stranger = { ...used, path: device.path };
      if (used.isOurs) this.#isKnown = true;
      else if (used.key === NO_KEY || this.#keys === null) throw keyDiffers(stranger);
      else this.#strangers.push(stranger);
    }
  }

  /** Throws when other nodes have written, and none of it with a key of ours. */
  judge(): void {
    const [first] = this.#strangers;
    if (first && !this.#isKnown && this.#strangers.some(({ node }) => node !== this.#own)) throw keyDiffers(first);
  }
}

function keyDiffers({ node, key, path }: Stranger): AgentError {
  const what = key === NO_KEY ? 'runs without a key' : `uses another key (${key})`;
  const mend = 'install the same key file on all nodes';
  return new AgentError('key', `the cluster key differs: node ${node} ${what} on volume ${path}; ${mend}`);
}
