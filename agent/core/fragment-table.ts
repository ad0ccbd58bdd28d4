/**
 * Remembers the type of fragmented packets, so that later fragments, which carry no ports, travel in the lane of their
 * first one. Bounded: a place is taken over by the next packet that falls on it, whose forgotten fragments count as
 * unknown. A fragmented packet leaves the kernel first fragment first and all at once, so few are ever under way.
 */
import type { TypeIndex } from '../base/packet-type.ts';
import type { PacketInfo } from '../../vnic/ip-packet.ts';
import { addressHash, mix } from './address-table.ts';

const PLACES = 256;
/** Source and destination (4 words each), identification, protocol. */
const KEY_WORDS = 10;
const UNKNOWN = -1;

export class FragmentTable {
  readonly #keys: Uint32Array = new Uint32Array(PLACES * KEY_WORDS);
  readonly #types: Int8Array = new Int8Array(PLACES).fill(UNKNOWN);

  /** Notes the type of a first fragment. */
  remember(info: PacketInfo, type: TypeIndex): void {
    const place = placeOf(info);
    const offset = place * KEY_WORDS;
    this.#keys.set(info.source, offset);
    this.#keys.set(info.destination, offset + 4);
    this.#keys[offset + 8] = info.fragmentId;
    this.#keys[offset + 9] = keyProtocol(info);
    this.#types[place] = type;
  }

  /** The type of the packet that a later fragment belongs to, or `unknown` when its first one is not remembered. */
  recall(info: PacketInfo, unknown: TypeIndex): TypeIndex {
    const place = placeOf(info);
    const type = this.#types[place] ?? UNKNOWN;
    return type !== UNKNOWN && this.#matches(place * KEY_WORDS, info) ? (type as TypeIndex) : unknown;
  }

  #matches(offset: number, info: PacketInfo): boolean {
    const keys = this.#keys;
    if (keys[offset + 8] !== info.fragmentId || keys[offset + 9] !== keyProtocol(info)) return false;
    for (let word = 0; word < 4; word++) {
      if (keys[offset + word] !== info.source[word]) return false;
      if (keys[offset + 4 + word] !== info.destination[word]) return false;
    }
    return true;
  }
}

/** IPv6 tells packets apart by addresses and identification alone; its later fragments need not name the transport. */
function keyProtocol(info: PacketInfo): number {
  return info.version === 4 ? info.protocol : 0;
}

function placeOf(info: PacketInfo): number {
  const addresses = addressHash(info.destination, addressHash(info.source, info.fragmentId | 0));
  return mix(addresses, keyProtocol(info)) & (PLACES - 1);
}
