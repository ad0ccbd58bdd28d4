/**
 * What is said of a packet, kept for the next ones of its flow: a volume may hold millions that differ in nothing that is shown. Only
 * for packets of which nothing is shown but what is compared here.
 */
import { ADDRESS_WORDS } from '../../vnic/ip-address.ts';
import type { PacketInfo } from '../../vnic/ip-packet.ts';

const PLACES = 256;

/** A packet's headers, as far as they are shown. */
export interface Flow {
  readonly info: PacketInfo;
  readonly ttl: number;
}

interface Known {
  readonly numbers: Uint32Array;
  readonly text: Uint8Array;
}

export class FlowTexts {
  readonly #places: (Known | undefined)[] = Array.from({ length: PLACES });
  /** Of the packet that was asked for last. */
  readonly #numbers = new Uint32Array(2 * ADDRESS_WORDS + 6);
  #place = 0;

  /** Null: make it, and `keep` it. */
  find(record: { readonly ageMs: number; readonly frameBytes: number }, { info, ttl }: Flow): Uint8Array | null {
    const numbers = this.#numbers;
    for (let word = 0; word < ADDRESS_WORDS; word++) {
      numbers[word] = info.source[word] ?? 0;
      numbers[ADDRESS_WORDS + word] = info.destination[word] ?? 0;
    }
    const at = 2 * ADDRESS_WORDS;
    const kind = (info.isFragment ? 4 : 0) | (info.isFirstFragment ? 2 : 0) | (info.isSuperPacket ? 1 : 0);
    numbers[at] = (info.version << 24) | (info.protocol << 16) | (ttl << 8) | kind;
    numbers[at + 1] = (info.sourcePort << 16) | info.destinationPort;
    numbers[at + 2] = info.totalBytes;
    numbers[at + 3] = info.transportBytes;
    numbers[at + 4] = record.ageMs;
    numbers[at + 5] = record.frameBytes;
    let hash = 0;
    for (let i = 0; i < numbers.length; i++) hash = Math.imul(hash ^ (numbers[i] ?? 0), 0x9e37_79b1);
    this.#place = hash >>> 24;
    const known = this.#places[this.#place];
    if (known === undefined) return null;
    for (let i = 0; i < numbers.length; i++) if (known.numbers[i] !== numbers[i]) return null;
    return known.text;
  }

  keep(text: Uint8Array): Uint8Array {
    this.#places[this.#place] = { numbers: this.#numbers.slice(), text };
    return text;
  }
}
