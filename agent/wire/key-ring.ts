/**
 * Several cluster keys at once: what is sealed says by which key, in clear and covered by the proof, so that a key can be
 * exchanged while agents run. The first key seals, all of them open.
 *
 * Always true: a nonce serves once under a key. Each cluster key has sealing keys of its own, so the counters go on
 * through an exchange. Whoever has sealed something can open it until it seals the next, though its key was dropped since:
 * a batch that could not be written yet is our own word.
 */
import { sameBytes } from '../base/bytes.ts';
import type { Seal } from './seal.ts';

/** The keys now; `version` changes when they do. */
export interface ClusterKeys {
  readonly version: number;
  read(): readonly Uint8Array[];
}

export const fixedKeys = (...keys: readonly Uint8Array[]): ClusterKeys => ({ version: 0, read: () => keys });

interface Entry {
  readonly id: Uint8Array;
  readonly key: Uint8Array;
  /** Made when it is first needed: deriving a key costs. */
  seal: Seal | null;
}

export class KeyRingSeal implements Seal {
  readonly #keys: ClusterKeys;
  readonly #idAt: number;
  readonly #idBytes: number;
  readonly #idOf: (key: Uint8Array) => Uint8Array;
  readonly #sealOf: (key: Uint8Array) => Seal;
  #entries: readonly Entry[] = [];
  #version = -1;
  /** What sealed last. */
  #sealedBy: Entry | null = null;

  /** The header has the first `idBytes` bytes of the key's id at `idAt`. */
  constructor(
    keys: ClusterKeys,
    idAt: number,
    idBytes: number,
    idOf: (key: Uint8Array) => Uint8Array,
    sealOf: (key: Uint8Array) => Seal,
  ) {
    this.#keys = keys;
    this.#idAt = idAt;
    this.#idBytes = idBytes;
    this.#idOf = idOf;
    this.#sealOf = sealOf;
  }

  #refresh(): void {
    const { version } = this.#keys;
    if (version === this.#version) return;
    const former = this.#entries;
    this.#entries = this.#keys.read().map((key) => {
      const id = this.#idOf(key).slice(0, this.#idBytes);
      const known = former.find(
        (entry) => entry.key.length === key.length && sameBytes(entry.key, 0, key, 0, key.length),
      );
      return known ?? { id, key, seal: null };
    });
    this.#version = version;
  }

  #sealBy(entry: Entry): Seal {
    entry.seal ??= this.#sealOf(entry.key);
    return entry.seal;
  }

  /** Writes the key's id into `header`, which is what is covered. */
  seal(counter: number, header: Uint8Array, body: Uint8Array, tag: Uint8Array): void {
    this.#refresh();
    const first = this.#entries[0];
    if (!first) throw new Error('there is no key to seal with');
    header.set(first.id, this.#idAt);
    this.#sealedBy = first;
    this.#sealBy(first).seal(counter, header, body, tag);
  }

  get #openers(): readonly Entry[] {
    const entries = this.#entries;
    const own = this.#sealedBy;
    return own === null || entries.includes(own) ? entries : [...entries, own];
  }

  open(counter: number, header: Uint8Array, body: Uint8Array, tag: Uint8Array): boolean {
    this.#refresh();
    for (const entry of this.#openers) {
      if (!sameBytes(header, this.#idAt, entry.id, 0, this.#idBytes)) continue;
      return this.#sealBy(entry).open(counter, header, body, tag);
    }
    return false;
  }
}
