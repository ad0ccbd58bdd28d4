/** A few networks, and whether a packet's destination lies in one of them. Nothing is allocated for a packet. */
import { ADDRESS_WORDS, parseIp } from '../../vnic/ip-address.ts';
import type { PacketInfo } from '../../vnic/ip-packet.ts';

export interface Network {
  readonly address: string;
  readonly prefix: number;
  readonly family: 4 | 6;
}

/** One network: the family is compared too, for ::/0 must not take the IPv4 addresses that are mapped into it. */
interface Compiled {
  readonly family: 4 | 6;
  readonly words: Uint32Array;
  readonly masks: Uint32Array;
}

export class Networks {
  readonly #networks: readonly Compiled[];

  constructor(networks: readonly Network[]) {
    this.#networks = networks.map(compile);
  }

  has(info: PacketInfo): boolean {
    const networks = this.#networks;
    for (let index = 0; index < networks.length; index++) {
      const network = networks[index];
      if (network !== undefined && network.family === info.version && contains(network, info.destination)) return true;
    }
    return false;
  }
}

function compile({ address, prefix, family }: Network): Compiled {
  const words = new Uint32Array(ADDRESS_WORDS);
  if (!parseIp(address, words)) throw new RangeError(`"${address}" is not an IP address`);
  const bits = family === 4 ? 96 + prefix : prefix;
  const masks = Uint32Array.from(words, (_, word) => maskOf(bits - 32 * word));
  return { family, words: words.map((word, i) => word & (masks[i] ?? 0)), masks };
}

const maskOf = (bits: number): number => (bits <= 0 ? 0 : bits >= 32 ? 0xffffffff : ~(0xffffffff >>> bits) >>> 0);

function contains({ words, masks }: Compiled, address: Uint32Array): boolean {
  for (let word = 0; word < ADDRESS_WORDS; word++) {
    if (((address[word] ?? 0) & (masks[word] ?? 0)) >>> 0 !== words[word]) return false;
  }
  return true;
}
