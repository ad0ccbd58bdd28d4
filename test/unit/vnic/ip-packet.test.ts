import { describe, expect, test } from 'vitest';
import { VNET_HEADER_BYTES } from '../../../vnic/device.ts';
import { PacketInfo, parsePacket, TCP_ACK, TCP_FIN, TCP_SYN, tcpPayloadBytes } from '../../../vnic/ip-packet.ts';
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

const HOP_BY_HOP = 0;
const ROUTING = 43;
const FRAGMENT = 44;
const AUTHENTICATION = 51;
const DESTINATION = 60;
const UDP = 17;
const TCP = 6;
const TCP_GSO = 1;

const udpHeader = Uint8Array.of(0x15, 0x1d, 0x15, 0x1e, 0, 8, 0, 0);
const parsed = (frame: Uint8Array): PacketInfo => {
  const info = new PacketInfo();
  expect(parsePacket(frame, info)).toBe(true);
  return info;
};
const refused = (frame: Uint8Array): boolean => !parsePacket(frame, new PacketInfo());

describe('IPv4', () => {
  test('finds addresses, ports and lengths', () => {
    const info = parsed(buildUdp4({ sourcePort: 5405, targetPort: 5406, payload: new Uint8Array(100) }));
    expect(info).toMatchObject({ version: 4, protocol: UDP, sourcePort: 5405, destinationPort: 5406 });
    expect(info).toMatchObject({ totalBytes: 128, transportBytes: 108, headerOffset: 30, isFragment: false });
    expect([...info.source]).toEqual([0, 0, 0xffff, 0x0a4d0001]);
    expect([...info.destination]).toEqual([0, 0, 0xffff, 0x0a4d0002]);
  });

  test('looks behind IP options', () => {
    const info = parsed(ipv4Frame({ protocol: UDP, options: new Uint8Array(40).fill(1) }, udpHeader));
    expect(info).toMatchObject({ sourcePort: 5405, destinationPort: 5406, headerOffset: 70 });
  });

  test('tells the first fragment, the later ones and whole packets apart', () => {
    const whole = buildUdp4({ targetPort: 5405, payload: new Uint8Array(3000) });
    const infos = fragments4(whole, 1480, 77).map(parsed);
    expect(infos.map((info) => [info.isFragment, info.isFirstFragment, info.fragmentId])).toEqual([
      [true, true, 77],
      [true, false, 77],
      [true, false, 77],
    ]);
    expect(infos.map((info) => info.destinationPort)).toEqual([5405, 0, 0]);
    expect(parsed(whole)).toMatchObject({ isFragment: false, isFirstFragment: false });
  });

  test('knows groups and the limited broadcast, and their neighbours that are none', () => {
    const info = (target: string): PacketInfo => parsed(buildUdp4({ target }));
    expect(info('223.255.255.255').isMulticast).toBe(false);
    expect(info('224.0.0.0').isMulticast).toBe(true);
    expect(info('239.255.255.255').isMulticast).toBe(true);
    expect(info('240.0.0.0').isMulticast).toBe(false);
    expect(info('255.255.255.255')).toMatchObject({ isLimitedBroadcast: true, isMulticast: false });
    expect(info('255.255.255.254').isLimitedBroadcast).toBe(false);
  });

  test('reads nothing beyond the length that the packet states', () => {
    const header = ipv4Frame({ protocol: UDP }, new Uint8Array(0));
    expect(parsed(concat(header, udpHeader))).toMatchObject({ transportBytes: 0, sourcePort: 0, destinationPort: 0 });
  });

  test('has no ports for protocols without', () => {
    expect(parsed(buildIcmpEcho4())).toMatchObject({ protocol: 1, icmpType: 8, sourcePort: 0, destinationPort: 0 });
    expect(parsed(ipv4Frame({ protocol: 112 }, udpHeader))).toMatchObject({ sourcePort: 0, icmpType: -1 });
  });

  test('refuses a packet shorter than it says, by one byte', () => {
    const frame = buildUdp4({ payload: new Uint8Array(10) });
    expect(refused(frame)).toBe(false);
    expect(refused(frame.subarray(0, -1))).toBe(true);
  });

  test('refuses header lengths that cannot be', () => {
    const frame = buildUdp4();
    const withFirstByte = (byte: number): Uint8Array =>
      concat(frame.subarray(0, 10), Uint8Array.of(byte), frame.subarray(11));
    expect(refused(withFirstByte(0x44))).toBe(true);
    expect(refused(withFirstByte(0x45))).toBe(false);
    expect(refused(withFirstByte(0x47))).toBe(false);
    expect(refused(withFirstByte(0x48))).toBe(true);
    expect(refused(withFirstByte(0x55))).toBe(true);
  });
});

describe('IPv6', () => {
  test('finds addresses, ports and lengths', () => {
    const info = parsed(buildUdp6({ sourcePort: 5405, targetPort: 5406, payload: new Uint8Array(100) }));
    expect(info).toMatchObject({ version: 6, protocol: UDP, sourcePort: 5405, destinationPort: 5406 });
    expect(info).toMatchObject({ totalBytes: 148, transportBytes: 108, headerOffset: 50, isFragment: false });
    expect([...info.destination]).toEqual([0xfd770000, 0, 0, 2]);
  });

  test.each([
    ['hop-by-hop', HOP_BY_HOP, extension6(UDP)],
    ['routing', ROUTING, extension6(UDP, 2)],
    ['destination options', DESTINATION, extension6(UDP, 31)],
    // Counts in units of four bytes, less two: 4 is 24 bytes.
    ['authentication', AUTHENTICATION, concat(Uint8Array.of(UDP, 4), new Uint8Array(22))],
    ['three of them', HOP_BY_HOP, concat(extension6(DESTINATION), extension6(ROUTING, 1), extension6(UDP))],
  ])('looks behind extension headers: %s', (_name, nextHeader, extensions) => {
    const info = parsed(ipv6Frame({ nextHeader }, concat(extensions, udpHeader)));
    expect(info).toMatchObject({ protocol: UDP, sourcePort: 5405, destinationPort: 5406, transportBytes: 8 });
  });

  test('tells the first fragment, the later ones and whole packets apart', () => {
    const info = (offset: number, more: boolean): PacketInfo =>
      parsed(ipv6Frame({ nextHeader: FRAGMENT }, concat(fragment6(UDP, 0xfedcba98, offset, more), udpHeader)));
    expect(info(0, true)).toMatchObject({
      isFragment: true,
      isFirstFragment: true,
      sourcePort: 5405,
      fragmentId: 0xfedcba98,
    });
    expect(info(1448, true)).toMatchObject({ isFragment: true, isFirstFragment: false, sourcePort: 0, protocol: UDP });
    expect(info(1448, false)).toMatchObject({ isFragment: true, isFirstFragment: false, sourcePort: 0 });
    expect(info(0, false)).toMatchObject({ isFragment: false, isFirstFragment: false, sourcePort: 5405 });
  });

  test('does not take the payload of a later fragment for extension headers', () => {
    const body = concat(fragment6(DESTINATION, 1, 1448, false), new Uint8Array(8).fill(0xff));
    expect(parsed(ipv6Frame({ nextHeader: FRAGMENT }, body))).toMatchObject({ protocol: DESTINATION, sourcePort: 0 });
  });

  test('refuses extension headers that run out of the packet', () => {
    const frame = ipv6Frame({ nextHeader: HOP_BY_HOP }, concat(extension6(UDP, 1)));
    expect(refused(frame)).toBe(false);
    expect(refused(ipv6Frame({ nextHeader: HOP_BY_HOP }, extension6(UDP, 1).subarray(0, 15)))).toBe(true);
    expect(refused(ipv6Frame({ nextHeader: HOP_BY_HOP }, extension6(UDP).subarray(0, 7)))).toBe(true);
    expect(refused(ipv6Frame({ nextHeader: FRAGMENT }, new Uint8Array(0)))).toBe(true);
  });

  test('gives up on endless extension headers: the packet has no ports', () => {
    const chain = (count: number): Uint8Array =>
      concat(
        ...Array.from({ length: count }, (_, index) => extension6(index === count - 1 ? UDP : DESTINATION)),
        udpHeader,
      );
    expect(parsed(ipv6Frame({ nextHeader: DESTINATION }, chain(8)))).toMatchObject({ protocol: UDP, sourcePort: 5405 });
    expect(parsed(ipv6Frame({ nextHeader: DESTINATION }, chain(9)))).toMatchObject({
      protocol: DESTINATION,
      sourcePort: 0,
    });
  });

  test('knows groups, and ICMPv6 by its type', () => {
    expect(parsed(buildUdp6({ target: 'ff02::1' })).isMulticast).toBe(true);
    expect(parsed(buildUdp6({ target: 'feff::1' })).isMulticast).toBe(false);
    expect(parsed(buildIcmp6({ type: 135 }))).toMatchObject({ protocol: 58, icmpType: 135 });
  });

  test('refuses a packet shorter than it says, by one byte', () => {
    const frame = buildUdp6({ payload: new Uint8Array(10) });
    expect(refused(frame.subarray(0, -1))).toBe(true);
    expect(refused(ipv6Frame({ nextHeader: 59 }, new Uint8Array(0)))).toBe(false);
    expect(refused(ipv6Frame({ nextHeader: 59 }, new Uint8Array(0)).subarray(0, -1))).toBe(true);
  });
});

describe('TCP', () => {
  test.each([
    ['IPv4', buildTcp4],
    ['IPv6', buildTcp6],
  ])('%s: flags and payload', (_name, build) => {
    const frame = build({ flags: TCP_SYN | TCP_ACK, payload: new Uint8Array(333) });
    const info = parsed(frame);
    expect(info).toMatchObject({ protocol: TCP, tcpFlags: TCP_SYN | TCP_ACK });
    expect(tcpPayloadBytes(frame, info)).toBe(333);
    const pure = build({ flags: TCP_FIN });
    expect(tcpPayloadBytes(pure, parsed(pure))).toBe(0);
  });

  test('a super-packet is told by the virtio-net header', () => {
    const frame = asSuperPacket(buildTcp4({ payload: new Uint8Array(65_000) }), TCP_GSO, 1460);
    expect(parsed(frame)).toMatchObject({ isSuperPacket: true, totalBytes: 65_040 });
    expect(tcpPayloadBytes(frame, parsed(frame))).toBe(65_000);
    expect(parsed(buildTcp4()).isSuperPacket).toBe(false);
  });

  test('a header that does not fit has no flags and no payload', () => {
    const frame = ipv4Frame({ protocol: TCP }, new Uint8Array(19).fill(0xff));
    expect(parsed(frame)).toMatchObject({ tcpFlags: 0, sourcePort: 0xffff });
    expect(tcpPayloadBytes(frame, parsed(frame))).toBe(0);
    const liar = ipv4Frame({ protocol: TCP }, new Uint8Array(24).fill(0xff));
    expect(tcpPayloadBytes(liar, parsed(liar))).toBe(0);
  });
});

test('what is no IP packet is refused', () => {
  expect(refused(new Uint8Array(0))).toBe(true);
  expect(refused(new Uint8Array(VNET_HEADER_BYTES))).toBe(true);
  expect(refused(new Uint8Array(200))).toBe(true);
});

test('one PacketInfo holds nothing over from the packet before', () => {
  const reused = new PacketInfo();
  const frames = [
    ...fragments4(buildUdp4({ payload: new Uint8Array(3000) }), 1480, 5),
    asSuperPacket(buildTcp4({ payload: new Uint8Array(9000) }), TCP_GSO, 1460),
    ipv6Frame({ nextHeader: FRAGMENT }, concat(fragment6(UDP, 9, 0, true), udpHeader)),
    buildIcmp6({ type: 135, target: 'ff02::1' }),
    buildUdp4({ target: '255.255.255.255' }),
    ipv6Frame({ nextHeader: 59 }, new Uint8Array(0)),
    buildUdp6(),
    buildIcmpEcho4({ target: '224.0.0.1' }),
  ];
  for (const before of frames) {
    for (const frame of frames) {
      parsePacket(before, reused);
      parsePacket(frame, reused);
      expect(reused).toEqual(parsed(frame));
    }
  }
});
