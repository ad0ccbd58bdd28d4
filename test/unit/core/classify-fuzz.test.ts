/**
 * Over a million frames, random and damaged. Checked for each: nothing is thrown; the verdict is one of the possible ones;
 * a packet that is taken lies within its frame; and no byte outside the packet plays a part. The last is shown by reading
 * the same frame once more with other bytes behind it: a look beyond the end would tell the two apart.
 */
import { expect, test } from 'vitest';
import { TYPE_COUNT } from '../../../agent/base/packet-type.ts';
import { Classifier, NO_PEER } from '../../../agent/core/classify.ts';
import { VNET_HEADER_BYTES } from '../../../vnic/device.ts';
import { PacketInfo, parsePacket, tcpPayloadBytes } from '../../../vnic/ip-packet.ts';
import {
  asSuperPacket,
  buildIcmp6,
  buildIcmpEcho4,
  buildTcp4,
  buildTcp6,
  buildUdp4,
  buildUdp6,
  concat,
  extension6,
  fragment6,
  fragments4,
  ipv4Frame,
  ipv6Frame,
} from '../../support/packets.ts';
import { Prng } from '../../../agent/base/prng.ts';

const SEED = 20_251;
const RANDOM_INPUTS = 600_000;
const DAMAGED_INPUTS = 900_000;
const BYTES_MAX = 512;
const TAIL_BYTES = 64;
const PEERS = [{ addresses: ['10.77.0.2', 'fd77::2'] }, { addresses: ['10.77.0.3', 'fd77::3'] }];

const payload = new Uint8Array(300);
const CORPUS: readonly Uint8Array[] = [
  buildUdp4({ targetPort: 5405, payload }),
  buildUdp6({ targetPort: 5405, payload }),
  buildTcp4({ payload }),
  buildTcp6({ payload }),
  buildIcmpEcho4({ payload }),
  buildIcmp6({ type: 135, payload }),
  ...fragments4(buildUdp4({ targetPort: 5405, payload }), 104, 3),
  asSuperPacket(buildTcp4({ payload }), 1, 100),
  ipv4Frame({ protocol: 17, options: new Uint8Array(40).fill(1) }, payload),
  ipv6Frame({ nextHeader: 44 }, concat(fragment6(17, 7, 0, true), payload)),
  ipv6Frame({ nextHeader: 44 }, concat(fragment6(17, 7, 304, false), payload)),
  ipv6Frame(
    { nextHeader: 0 },
    concat(extension6(60), extension6(43, 2), extension6(51, 1), new Uint8Array(12), extension6(6), payload),
  ),
];

/** Where damage hurts: lengths, versions, fragment words and the first extension headers. */
const SORE_OFFSETS = [0, 1, 10, 12, 13, 14, 15, 16, 17, 19, 30, 42, 43, 50, 51, 52, 53, 58, 59, 66, 67] as const;

const pick = <T>(random: Prng, from: readonly T[]): T => from[random.below(from.length)] as T;

class Fuzz {
  readonly #classifier = new Classifier(
    [
      { type: 3, protocol: 'tcp', port: [873, 40_000], minBytes: 100 },
      { type: 1, protocol: 'icmp' },
    ],
    PEERS,
    ['10.77.0.255'],
  );
  readonly #plain = new PacketInfo();
  readonly #tailed = new PacketInfo();
  readonly buffer = new Uint8Array(BYTES_MAX + TAIL_BYTES);
  accepted = 0;
  readonly types = new Set<number>();
  readonly peers = new Set<number>();

  /** Checks the first `length` bytes of the buffer; returns what is wrong, or null. */
  check(length: number, random: Prng): string | null {
    const frame = this.buffer.subarray(0, length);
    const { type, peer } = this.#classifier.classify(frame);
    this.types.add(type);
    this.peers.add(peer);
    if (!(type >= 0 && type < TYPE_COUNT) || !(peer >= NO_PEER && peer < PEERS.length))
      return `verdict ${type} ${peer}`;
    if (!parsePacket(frame, this.#plain)) return peer === NO_PEER ? null : 'a refused packet has a peer';
    this.accepted++;
    return this.#withinFrame(frame) ?? this.#blindBeyond(length, random);
  }

  #withinFrame(frame: Uint8Array): string | null {
    const { totalBytes, headerOffset, transportBytes } = this.#plain;
    const end = VNET_HEADER_BYTES + totalBytes;
    if (end > frame.length || transportBytes < 0 || headerOffset + transportBytes !== end) return 'lengths do not fit';
    const bytes = tcpPayloadBytes(frame, this.#plain);
    return bytes >= 0 && bytes <= transportBytes ? null : 'TCP payload does not fit';
  }

  #blindBeyond(length: number, random: Prng): string | null {
    const packetEnd = VNET_HEADER_BYTES + this.#plain.totalBytes;
    for (let offset = packetEnd; offset < packetEnd + TAIL_BYTES; offset++) this.buffer[offset] = random.u32() | 1;
    const tailed = this.buffer.subarray(0, Math.max(length, packetEnd) + TAIL_BYTES);
    if (!parsePacket(tailed, this.#tailed)) return 'refused with a tail';
    return sameInfo(this.#plain, this.#tailed) ? null : 'a byte beyond the packet was read';
  }
}

function sameInfo(a: PacketInfo, b: PacketInfo): boolean {
  return (
    a.protocol === b.protocol &&
    a.sourcePort === b.sourcePort &&
    a.destinationPort === b.destinationPort &&
    a.isFragment === b.isFragment &&
    a.isFirstFragment === b.isFirstFragment &&
    a.fragmentId === b.fragmentId &&
    a.totalBytes === b.totalBytes &&
    a.headerOffset === b.headerOffset &&
    a.transportBytes === b.transportBytes &&
    a.icmpType === b.icmpType &&
    a.tcpFlags === b.tcpFlags &&
    a.source.every((word, index) => word === b.source[index]) &&
    a.destination.every((word, index) => word === b.destination[index])
  );
}

function report(failure: string | null, input: number, frame: Uint8Array): void {
  if (failure !== null) expect.fail(`seed ${SEED}, input ${input}: ${failure}: ${Buffer.from(frame).toString('hex')}`);
}

test('random bytes, most of them behind a plausible first byte', () => {
  const random = new Prng(SEED);
  const fuzz = new Fuzz();
  for (let input = 0; input < RANDOM_INPUTS; input++) {
    const length = random.below(160);
    random.fill(fuzz.buffer.subarray(0, length));
    if (input % 4 !== 0) {
      fuzz.buffer[10] = pick(random, [0x45, 0x46, 0x4f, 0x60]);
      // A stated length near the real one, or hardly any would pass.
      fuzz.buffer[12] = 0;
      fuzz.buffer[14] = 0;
      fuzz.buffer[pick(random, [13, 15])] = Math.max(0, length - 10 - random.below(60));
      fuzz.buffer[16] = pick(random, [0, 6, 17, 43, 44, 51, 58, 60]);
    }
    report(fuzz.check(length, random), input, fuzz.buffer.subarray(0, length));
  }
  expect(fuzz.accepted).toBeGreaterThan(RANDOM_INPUTS / 10);
}, 60_000);

test('good frames, damaged and cut', () => {
  const random = new Prng(SEED + 1);
  const fuzz = new Fuzz();
  for (let input = 0; input < DAMAGED_INPUTS; input++) {
    const good = pick(random, CORPUS);
    fuzz.buffer.set(good);
    let { length } = good;
    for (let wound = random.below(4); wound > 0; wound--) {
      fuzz.buffer[random.below(2) === 0 ? pick(random, SORE_OFFSETS) : random.below(length)] = random.u32();
    }
    if (random.below(3) === 0) length = random.below(length + 1);
    report(fuzz.check(length, random), input, fuzz.buffer.subarray(0, length));
  }
  expect(fuzz.accepted).toBeGreaterThan(DAMAGED_INPUTS / 4);
  expect(fuzz.types).toEqual(new Set([1, 2, 3]));
  expect(fuzz.peers).toContain(0);
}, 60_000);
