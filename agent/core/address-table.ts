/**
 * From an address of four words (as in `vnic/ip-address.ts`) to a number, without allocating: a hash table with linear
 * probing, filled once and then only read.
 */
const WORDS = 4;
const EMPTY = -1;

export class AddressTable {
  readonly #mask: number;
  readonly #addresses: Uint32Array;
  readonly #values: Int32Array;

  /** `entries` in order; of two with one address the first stands. Values are at least 0. */
  constructor(entries: readonly { readonly address: Uint32Array; readonly value: number }[]) {
    // At most half full, so that a search for an unknown address soon meets an empty place.
    const size = 2 ** Math.ceil(Math.log2(2 * entries.length + 2));
    this.#mask = size - 1;
    this.#addresses = new Uint32Array(size * WORDS);
    this.#values = new Int32Array(size).fill(EMPTY);
    for (const { address, value } of entries) {
      const place = this.#find(address);
      if (this.#values[place] !== EMPTY) continue;
      this.#addresses.set(address, place * WORDS);
      this.#values[place] = value;
    }
  }

  /** The value of an address, -1 when it is unknown. */
  get(address: Uint32Array): number {
    return this.#values[this.#find(address)] ?? EMPTY;
  }

  /** Where the address stands, or the empty place where it would. */
  #find(address: Uint32Array): number {
    let place = addressHash(address, 0) & this.#mask;
    while (this.#values[place] !== EMPTY && !this.#standsAt(place, address)) place = (place + 1) & this.#mask;
    return place;
  }

  #standsAt(place: number, address: Uint32Array): boolean {
    const addresses = this.#addresses;
    const offset = place * WORDS;
    return (
      addresses[offset + 3] === address[3] &&
      addresses[offset + 2] === address[2] &&
      addresses[offset + 1] === address[1] &&
      addresses[offset] === address[0]
    );
  }
}

/** Mixes an address into `seed`; a signed 32-bit number. */
export function addressHash(address: Uint32Array, seed: number): number {
  let hash = seed;
  for (let word = 0; word < WORDS; word++) hash = mix(hash, address[word] ?? 0);
  return hash;
}

/** One step of MurmurHash3 with its finishing shift: neighbouring addresses must not stand side by side. */
export function mix(hash: number, word: number): number {
  const scrambled = Math.imul(Math.imul(word, 0xcc9e2d51) ^ (word >>> 15), 0x1b873593);
  const mixed = Math.imul(hash ^ scrambled, 0x85ebca6b);
  return mixed ^ (mixed >>> 13);
}
