/** Damages bytes as disks, networks and forgers do: flipped bits, values at the edges, pieces moved, zeroed, made random. */
import { Prng } from '../../agent/base/prng.ts';

const EDGES = [
  0, 1, 0x7f, 0x80, 0xff, 0xfff, 0x1000, 0xffff, 0x1_0000, 0x7fff_ffff, 0x8000_0000, 0xffff_fff0, 0xffff_ffff,
];

export class Mutator {
  readonly prng: Prng;
  readonly #noise: Uint8Array;

  constructor(seed: number) {
    this.prng = new Prng(seed);
    this.#noise = new Uint8Array(65_536);
    this.prng.fill(this.#noise);
  }

  /** Nothing but noise. */
  random(into: Uint8Array): void {
    for (let at = 0; at < into.length;) {
      const from = this.prng.below(this.#noise.length);
      const piece = this.#noise.subarray(from, from + Math.min(into.length - at, this.#noise.length - from));
      into.set(piece, at);
      at += piece.length;
    }
  }

  /** One to four changes; most of them within the first `focus` bytes, where the fields are. */
  damage(bytes: Uint8Array, focus: number = bytes.length): void {
    for (let changes = this.prng.between(1, 4); changes > 0; changes--) this.#change(bytes, focus);
  }

  #change(bytes: Uint8Array, focus: number): void {
    const { prng } = this;
    const at = prng.below(prng.chance(3, 4) ? Math.min(focus, bytes.length) : bytes.length);
    const length = Math.min(prng.between(1, 16), bytes.length - at);
    switch (prng.below(6)) {
      case 0:
      case 1:
        bytes[at] = (bytes[at] ?? 0) ^ (1 << prng.below(8));
        break;
      case 2:
        this.#edge(bytes, at);
        break;
      case 3:
        bytes.fill(prng.chance(1, 2) ? 0 : 0xff, at, at + length);
        break;
      case 4:
        bytes.copyWithin(at, prng.below(bytes.length), bytes.length - length);
        break;
      default:
        this.random(bytes.subarray(at, at + length));
    }
  }

  /** A 32-bit value at which comparisons turn, with its near neighbours. */
  #edge(bytes: Uint8Array, at: number): void {
    const value = (EDGES[this.prng.below(EDGES.length)] ?? 0) + this.prng.between(-1, 1);
    for (let i = 0; i < 4 && at + i < bytes.length; i++) bytes[at + i] = (value >>> (8 * i)) & 0xff;
  }
}
