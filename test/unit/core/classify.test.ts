import { describe, expect, test } from 'vitest';
import { BULK, CONTROL, DATA, HEARTBEAT } from '../../../agent/base/packet-type.ts';
import { ALL_PEERS, Classifier, NO_PEER } from '../../../agent/core/classify.ts';
import type { TypeRule } from '../../../agent/settings/settings.ts';
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

const PEERS = [{ addresses: ['10.77.0.2', 'fd77::2'] }, { addresses: ['10.77.0.3', 'FD77:0::3'] }];
const TCP_GSO = 1;
const UDP_GSO = 5;
const FRAGMENT = 44;
const UDP = 17;
const SCTP = 132;

const classifier = (...rules: TypeRule[]): Classifier => new Classifier(rules, PEERS, ['10.77.0.255']);
const typeOf = (frame: Uint8Array, ...rules: TypeRule[]): number => classifier(...rules).classify(frame).type;
const peerOf = (frame: Uint8Array): number => classifier().classify(frame).peer;

describe('peer', () => {
  test.each([
    ['first peer', buildUdp4({ target: '10.77.0.2' }), 0],
    ['second peer', buildUdp4({ target: '10.77.0.3' }), 1],
    ['first peer over IPv6', buildUdp6({ target: 'fd77::2' }), 0],
    ['second peer over IPv6, spelled otherwise in the settings', buildUdp6({ target: 'fd77::3' }), 1],
    ['somebody else', buildUdp4({ target: '10.77.0.4' }), NO_PEER],
    ['somebody else over IPv6', buildUdp6({ target: 'fd77::4' }), NO_PEER],
    ['a group', buildUdp4({ target: '239.192.0.1' }), ALL_PEERS],
    ['an IPv6 group', buildUdp6({ target: 'ff05::1' }), ALL_PEERS],
    ['the limited broadcast', buildUdp4({ target: '255.255.255.255' }), ALL_PEERS],
    ["the subnet's broadcast", buildUdp4({ target: '10.77.0.255' }), ALL_PEERS],
    ["another subnet's broadcast", buildUdp4({ target: '10.78.0.255' }), NO_PEER],
    ['no IP packet', new Uint8Array(64), NO_PEER],
    ['nothing', new Uint8Array(0), NO_PEER],
  ])('%s', (_name, frame, expected) => {
    expect(peerOf(frame)).toBe(expected);
  });

  test('talk between link neighbours goes to nobody, echoes and errors of ICMPv6 go to the peer', () => {
    const peers = (types: readonly number[]): number[] => types.map((type) => peerOf(buildIcmp6({ type })));
    expect(peers([130, 131, 132, 133, 134, 135, 136, 137, 143])).toEqual(Array(9).fill(NO_PEER));
    expect(peers([1, 2, 3, 4, 128, 129, 138, 142, 144])).toEqual(Array(9).fill(0));
  });

  test('reports of group memberships go to nobody', () => {
    expect(peerOf(ipv4Frame({ target: '224.0.0.22', protocol: 2 }, new Uint8Array(16)))).toBe(NO_PEER);
    const report = concat(extension6(58), Uint8Array.of(143, 0, 0, 0, 0, 0, 0, 0));
    expect(peerOf(ipv6Frame({ target: 'ff02::16', nextHeader: 0 }, report))).toBe(NO_PEER);
  });

  test('without peers and broadcast addresses everything single goes to nobody', () => {
    const alone = new Classifier([], []);
    expect(alone.classify(buildUdp4()).peer).toBe(NO_PEER);
    expect(alone.classify(buildUdp4({ target: '10.77.0.255' })).peer).toBe(NO_PEER);
    expect(alone.classify(buildUdp4({ target: '224.0.0.1' })).peer).toBe(ALL_PEERS);
  });

  test('[AG10] with a gateway what is outside goes to it, and nothing that is not', () => {
    const four = { address: '198.51.100.0', prefix: 25, family: 4 } as const;
    const six = { address: '::', prefix: 0, family: 6 } as const;
    const inside = [{ address: 'fd77::1', prefix: 64, family: 6 } as const];
    const made = new Classifier([], PEERS, ['10.77.0.255'], null, { outside: [four, six], inside });
    const to = (frame: Uint8Array): number => made.classify(frame).peer;
    expect(to(buildUdp4({ target: '198.51.100.127' }))).toBe(NO_PEER);
    made.gateway = 1;
    expect(to(buildUdp4({ target: '198.51.100.127' }))).toBe(1);
    expect(to(buildUdp4({ target: '198.51.100.128' }))).toBe(NO_PEER);
    // ::/0 is all of IPv6, and nothing of the IPv4 that is mapped into it.
    expect(to(buildUdp4({ target: '203.0.113.1' }))).toBe(NO_PEER);
    expect(to(buildUdp6({ target: '2001:db8::1' }))).toBe(1);
    // Of the virtual network, but no peer's.
    expect(to(buildUdp6({ target: 'fd77::99' }))).toBe(NO_PEER);
    expect(to(buildUdp6({ target: 'fd77::2' }))).toBe(0);
    expect(to(buildUdp6({ target: 'ff05::1' }))).toBe(ALL_PEERS);
    expect(to(buildIcmp6({ type: 135 }))).toBe(NO_PEER);
    expect(made.gatewayFrames).toBe(2);
  });

  test('an address that is none is refused, by name', () => {
    expect(() => new Classifier([], [{ addresses: ['node-b'] }])).toThrow('"node-b" is not an IP address');
  });
});

describe('built-in rules', () => {
  test.each([539, 694, 3784, 3785, 4784, 5300, 5404, 5405, 5412, 6784, 7784, 7946, 8301, 8302, 9694, 12347, 12348])(
    'UDP port %i on either end is heartbeat, over IPv4 and IPv6',
    (port) => {
      const frames = [buildUdp4, buildUdp6].flatMap((build) => [
        build({ targetPort: port }),
        build({ sourcePort: port }),
      ]);
      expect(frames.map((frame) => typeOf(frame))).toEqual([HEARTBEAT, HEARTBEAT, HEARTBEAT, HEARTBEAT]);
    },
  );

  test.each([538, 540, 693, 695, 3783, 3786, 5403, 5413, 9693, 40_000])('UDP port %i is data', (port) => {
    expect(typeOf(buildUdp4({ targetPort: port }))).toBe(DATA);
  });

  test('VRRP is heartbeat and goes to the group', () => {
    const frame = ipv4Frame({ target: '224.0.0.18', protocol: 112 }, new Uint8Array(20));
    expect(classifier().classify(frame)).toEqual({ type: HEARTBEAT, peer: ALL_PEERS });
  });

  test('TCP and SCTP are never heartbeat, echoes are data', () => {
    const sctp = ipv4Frame({ protocol: SCTP }, Uint8Array.of(0x15, 0x1d, 0x15, 0x1d, 0, 0, 0, 0));
    const frames = [
      buildTcp4({ targetPort: 5405 }),
      buildTcp6({ targetPort: 694 }),
      sctp,
      buildIcmpEcho4(),
      buildIcmp6(),
    ];
    expect(frames.map((frame) => typeOf(frame))).toEqual([DATA, DATA, DATA, DATA, DATA]);
  });

  test('heartbeats are small: at 1500 bytes still, at 1501 no more, as a super-packet never', () => {
    const heartbeat = (bytes: number): Uint8Array =>
      buildUdp4({ targetPort: 5405, payload: new Uint8Array(bytes - 28) });
    expect(typeOf(heartbeat(1500))).toBe(HEARTBEAT);
    expect(typeOf(heartbeat(1501))).toBe(DATA);
    expect(typeOf(asSuperPacket(heartbeat(1400), UDP_GSO, 700))).toBe(DATA);
  });
});

describe("the operator's rules", () => {
  test('the first match wins, also against built-in knowledge', () => {
    const rules: TypeRule[] = [
      { type: BULK, protocol: 'udp', port: [5405, 5405] },
      { type: CONTROL, protocol: 'udp', port: [5405, 5406] },
    ];
    expect(typeOf(buildUdp4({ targetPort: 5405 }), ...rules)).toBe(BULK);
    expect(typeOf(buildUdp4({ targetPort: 5406 }), ...rules)).toBe(CONTROL);
    expect(typeOf(buildUdp4({ targetPort: 5407 }), ...rules)).toBe(HEARTBEAT);
  });

  test('a port range holds its ends, on either side, for every protocol with ports when none is named', () => {
    const rule: TypeRule = { type: BULK, port: [870, 873] };
    const types = [869, 870, 873, 874].map((port) => typeOf(buildTcp4({ targetPort: port }), rule));
    expect(types).toEqual([DATA, BULK, BULK, DATA]);
    expect(typeOf(buildUdp6({ sourcePort: 871 }), rule)).toBe(BULK);
    expect(typeOf(buildIcmpEcho4(), rule)).toBe(DATA);
  });

  test('a protocol by name or number; icmp means that of either version', () => {
    const icmp: TypeRule = { type: HEARTBEAT, protocol: 'icmp' };
    expect([buildIcmpEcho4(), buildIcmp6(), buildUdp4()].map((frame) => typeOf(frame, icmp))).toEqual([
      HEARTBEAT,
      HEARTBEAT,
      DATA,
    ]);
    const gre: TypeRule = { type: BULK, protocol: 47 };
    expect(typeOf(ipv4Frame({ protocol: 47 }, new Uint8Array(8)), gre)).toBe(BULK);
    expect(typeOf(buildTcp4(), { type: BULK, protocol: 'tcp' })).toBe(BULK);
    const sctp = ipv6Frame({ nextHeader: SCTP }, new Uint8Array(12));
    expect(typeOf(sctp, { type: BULK, protocol: 'sctp' })).toBe(BULK);
  });

  test('minBytes counts the IP packet, without the virtio-net header', () => {
    const rule: TypeRule = { type: BULK, minBytes: 1000 };
    expect(typeOf(buildUdp4({ payload: new Uint8Array(971) }), rule)).toBe(DATA);
    expect(typeOf(buildUdp4({ payload: new Uint8Array(972) }), rule)).toBe(BULK);
  });

  test('hold for super-packets too', () => {
    const frame = asSuperPacket(buildTcp4({ targetPort: 873, payload: new Uint8Array(60_000) }), TCP_GSO, 1460);
    expect(typeOf(frame, { type: BULK, protocol: 'tcp', port: [873, 873] })).toBe(BULK);
  });

  test('a rule that names nothing matches everything', () => {
    expect(typeOf(buildTcp4(), { type: BULK })).toBe(BULK);
  });
});

describe('fragments', () => {
  const cut = (targetPort: number, identification: number, target = '10.77.0.2'): Uint8Array[] =>
    fragments4(buildUdp4({ targetPort, target, payload: new Uint8Array(3000) }), 1480, identification);
  const types = (subject: Classifier, frames: readonly Uint8Array[]): number[] =>
    frames.map((frame) => subject.classify(frame).type);

  test('later ones follow their first one, also when packets are under way side by side', () => {
    const subject = classifier();
    const [heartbeat, data, other] = [cut(5405, 1), cut(80, 2), cut(80, 1, '10.77.0.3')];
    const mixed = [0, 1, 2].flatMap((index) =>
      [heartbeat, data, other].flatMap((frames) => frames.slice(index, index + 1)),
    );
    expect(types(subject, mixed)).toEqual([1, 2, 2, 1, 2, 2, 1, 2, 2]);
    expect(subject.classify(other[2] ?? new Uint8Array()).peer).toBe(1);
  });

  test('those whose first one is unknown are data', () => {
    expect(types(classifier(), cut(5405, 1).slice(1))).toEqual([DATA, DATA]);
  });

  test('a packet that bears the number of an older one takes its place', () => {
    const subject = classifier();
    expect(types(subject, [...cut(5405, 1), ...cut(80, 1), ...cut(5405, 1)])).toEqual([1, 1, 1, 2, 2, 2, 1, 1, 1]);
  });

  test('of two protocols with one number each keeps its own type', () => {
    const subject = classifier({ type: BULK, protocol: 'tcp' });
    const tcp = fragments4(buildTcp4({ payload: new Uint8Array(3000) }), 1480, 1);
    const udp = cut(5405, 1);
    expect(types(subject, [...tcp.slice(0, 1), ...udp.slice(0, 1), ...tcp.slice(1), ...udp.slice(1)])).toEqual([
      3, 1, 3, 3, 1, 1,
    ]);
  });

  test('IPv6: known by addresses and number, whatever the fragment header names', () => {
    const header = concat(extension6(UDP), buildUdp6({ targetPort: 5405 }).subarray(50));
    const first = ipv6Frame({ nextHeader: FRAGMENT }, concat(fragment6(60, 9, 0, true), header));
    const later = ipv6Frame({ nextHeader: FRAGMENT }, concat(fragment6(60, 9, 1448, false), new Uint8Array(100)));
    const foreign = ipv6Frame({ nextHeader: FRAGMENT }, concat(fragment6(60, 10, 1448, false), new Uint8Array(100)));
    expect(types(classifier(), [later, first, later, foreign])).toEqual([DATA, HEARTBEAT, HEARTBEAT, DATA]);
  });

  const ports = (target: number): Uint8Array => concat(Uint8Array.of(1, 1, target >>> 8, target), new Uint8Array(60));
  const low = (number: number): string => `${number >>> 8}.${number & 0xff}`;
  test.each([
    ['number', 5000, (number: number) => ({ identification: number })],
    ['source', 5000, (number: number) => ({ source: `10.1.${low(number)}` })],
    ['destination', 5000, (number: number) => ({ target: `10.1.${low(number)}` })],
    ['protocol', 256, (number: number) => ({ protocol: number })],
  ])(
    'many packets under way that differ in %s: some are forgotten, none gets the wrong type',
    (_name, count, fields) => {
      const odd = Array.from({ length: 128 }, (_, index): TypeRule => ({ type: BULK, protocol: 2 * index + 1 }));
      const subject = classifier(...odd, { type: BULK, port: [873, 873] });
      const build = (number: number, fragmentOffset: number): Uint8Array =>
        ipv4Frame(
          { protocol: 6, ...fields(number), fragmentOffset, moreFragments: true },
          ports(number % 2 === 0 ? 80 : 873),
        );
      const numbers = Array.from({ length: count }, (_, number) => number);
      const first = numbers.map((number) => subject.classify(build(number, 0)).type);
      const later = numbers.map((number) => subject.classify(build(number, 64)).type);
      expect(numbers.filter((number) => later[number] !== first[number] && later[number] !== DATA)).toEqual([]);
      expect(numbers.filter((number) => later[number] === BULK).length).toBeGreaterThan(20);
    },
  );
});
