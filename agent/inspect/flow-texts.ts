/**
 * What is said of a packet, kept for the next ones of its flow: a volume may hold millions that differ in nothing that is shown. Only
 * for packets of which nothing is shown but what is compared here.
 */
import { ADDRESS_WORDS } from '../../vnic/ip-address.ts';
import type { PacketInfo } from '../../vnic/ip-packet.ts';
import type { RecordHeader } from '../wire/record.ts';

const PLACES = 256;

/** A packet's headers, as far as they are shown; the next packet's lie in the same place. */
export interface Flow {
  readonly info: Readonly<PacketInfo>;
  readonly ttl: number;
}

interface Known {
  readonly ageMs: number;
  readonly frameBytes: number;
  readonly info: Readonly<PacketInfo>;
  readonly ttl: number;
  readonly text: Uint8Array;
}

export class FlowTexts {
  readonly #places: (Known | undefined)[] = Array.from({ length: PLACES });

  /** Null: make it, and `keep` it. */
  find({ ageMs, frameBytes }: RecordHeader, { info, ttl }: Flow): Uint8Array | null {
    const known = this.#places[placeOf(info, ageMs)];
    if (known === undefined || known.ageMs !== ageMs || known.frameBytes !== frameBytes || known.ttl !== ttl)
      return null;
    return isAlike(known.info, info) ? known.text : null;
  }

  keep({ ageMs, frameBytes }: RecordHeader, { info, ttl }: Flow, text: Uint8Array): Uint8Array {
    const own = { ...info, source: info.source.slice(), destination: info.destination.slice() };
    this.#places[placeOf(info, ageMs)] = { ageMs, frameBytes, info: own, ttl, text };
    return text;
  }
}

function placeOf(
  { source, destination, sourcePort, destinationPort, totalBytes }: Known['info'],
  ageMs: number,
): number {
  const addresses = (source[ADDRESS_WORDS - 1] ?? 0) ^ Math.imul(destination[ADDRESS_WORDS - 1] ?? 0, 3);
  const ports = (sourcePort << 16) | destinationPort;
  return Math.imul(addresses ^ Math.imul(ports, 5) ^ (totalBytes << 8) ^ ageMs, 0x9e37_79b1) >>> 24;
}

function isAlike(a: Known['info'], b: Known['info']): boolean {
  return (
    a.version === b.version &&
    a.protocol === b.protocol &&
    a.sourcePort === b.sourcePort &&
    a.destinationPort === b.destinationPort &&
    a.totalBytes === b.totalBytes &&
    a.transportBytes === b.transportBytes &&
    a.isFragment === b.isFragment &&
    a.isFirstFragment === b.isFirstFragment &&
    a.isSuperPacket === b.isSuperPacket &&
    isSameAddress(a.source, b.source) &&
    isSameAddress(a.destination, b.destination)
  );
}

const isSameAddress = (a: Uint32Array, b: Uint32Array): boolean =>
  a[3] === b[3] && a[2] === b[2] && a[1] === b[1] && a[0] === b[0];
