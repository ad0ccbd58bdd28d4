import { describe, expect, test } from 'vitest';
import { frameText } from '../../../agent/inspect/frame-text.ts';
import { ipWordsText } from '../../../agent/inspect/ip-text.ts';
import { parseIp } from '../../../vnic/ip-address.ts';
import {
  asSuperPacket,
  buildIcmp6,
  buildIcmpEcho4,
  buildTcp4,
  buildTcp6,
  buildUdp4,
  buildUdp6,
  fragments4,
  ipv4Frame,
} from '../../support/packets.ts';
import { Mutator } from '../../support/mutator.ts';

describe('a frame in a line', () => {
  test.each<[string, Uint8Array, string]>([
    [
      'corosync by its port',
      buildUdp4({ sourcePort: 5405, targetPort: 5405, payload: new Uint8Array(32) }),
      'UDP 10.77.0.1:5405 > 10.77.0.2:5405 32 bytes (corosync)',
    ],
    [
      'corosync over IPv6',
      buildUdp6({ sourcePort: 40_000, targetPort: 5404, payload: new Uint8Array(3) }),
      'UDP [fd77::1]:40000 > [fd77::2]:5404 3 bytes (corosync)',
    ],
    [
      'a TCP handshake',
      buildTcp4({ sourcePort: 1000, targetPort: 22, flags: 0x02 }),
      'TCP 10.77.0.1:1000 > 10.77.0.2:22 [SYN] 0 bytes sequence 1 acknowledges 0 window 65535 (ssh)',
    ],
    [
      'TCP data',
      buildTcp6({ sourcePort: 1, targetPort: 2, flags: 0x18, payload: new Uint8Array(7) }),
      'TCP [fd77::1]:1 > [fd77::2]:2 [PSH ACK] 7 bytes sequence 1 acknowledges 0 window 65535',
    ],
    [
      'a ping',
      buildIcmpEcho4({ type: 8, identifier: 7, sequence: 9 }),
      'ICMP 10.77.0.1 > 10.77.0.2 echo request id 7 sequence 9',
    ],
    [
      'a ping over IPv6',
      buildIcmp6({ type: 129, identifier: 7, sequence: 9 }),
      'ICMPv6 fd77::1 > fd77::2 echo reply id 7 sequence 9',
    ],
    ['neighbours', buildIcmp6({ type: 135 }), 'ICMPv6 fd77::1 > fd77::2 neighbour solicitation'],
    ['VRRP', ipv4Frame({ protocol: 112 }, new Uint8Array(20)), 'VRRP 10.77.0.1 > 10.77.0.2 20 bytes'],
    [
      'an unknown protocol',
      ipv4Frame({ protocol: 200 }, new Uint8Array(9)),
      'IP protocol 200 10.77.0.1 > 10.77.0.2 9 bytes',
    ],
    ['no packet at all', new Uint8Array(40), 'neither an IP packet nor a message of a program'],
  ])('%s', (_, frame, text) => {
    expect(frameText(frame)).toBe(text);
  });

  test('fragments and super-packets say that they are', () => {
    const [first, second] = fragments4(buildUdp4({ payload: new Uint8Array(3000) }), 1000, 5).map((frame) =>
      frameText(frame),
    );
    expect(first).toContain('first fragment');
    expect(second).toContain('later fragment');
    expect(frameText(asSuperPacket(buildTcp4({ payload: new Uint8Array(9000) }), 1, 1460))).toMatch(
      / 9000 bytes .* super-packet$/,
    );
  });

  test('whatever is in a frame, the line has no character that a terminal obeys', () => {
    const mutator = new Mutator(20);
    for (let i = 0; i < 20_000; i++) {
      const frame = (i % 2 === 0 ? buildTcp4({ payload: new Uint8Array(20).fill(27) }) : buildUdp6()).slice();
      mutator.damage(frame, 60);
      if (!/^[\x20-\x7e]*$/.test(frameText(frame))) throw new Error(`input ${i}: ${JSON.stringify(frameText(frame))}`);
    }
  });
});

test.each([
  ['10.77.0.1', '10.77.0.1'],
  ['0.0.0.0', '0.0.0.0'],
  ['255.255.255.255', '255.255.255.255'],
  ['::', '::'],
  ['::1', '::1'],
  ['fd77::', 'fd77::'],
  ['fd77:0:0:1:0:0:0:2', 'fd77:0:0:1::2'],
  ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
  ['FF02::FB', 'ff02::fb'],
])('the address %s is written %s', (text, written) => {
  const words = new Uint32Array(4);
  expect(parseIp(text, words)).toBe(true);
  expect(ipWordsText(words)).toBe(written);
});
