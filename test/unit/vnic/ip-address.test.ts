import { SocketAddress } from 'node:net';
import { describe, expect, test } from 'vitest';
import { broadcastAddress, ipText, parseIp } from '../../../vnic/ip-address.ts';
import { Prng } from '../../../agent/base/prng.ts';

const words = (text: string): number[] | null => {
  const into = new Uint32Array(6).fill(7);
  return parseIp(text, into, 1) ? [...into] : null;
};

describe('parseIp', () => {
  test.each([
    ['10.77.0.1', [0, 0, 0xffff, 0x0a4d0001]],
    ['255.255.255.255', [0, 0, 0xffff, 0xffffffff]],
    ['::', [0, 0, 0, 0]],
    ['::1', [0, 0, 0, 1]],
    ['fd77::', [0xfd770000, 0, 0, 0]],
    ['FD77::2:1', [0xfd770000, 0, 0, 0x00020001]],
    ['1:2:3:4:5:6:7:8', [0x00010002, 0x00030004, 0x00050006, 0x00070008]],
    ['1:2:3:4:5:6:7::', [0x00010002, 0x00030004, 0x00050006, 0x00070000]],
    ['::ffff:10.77.0.1', [0, 0, 0xffff, 0x0a4d0001]],
  ])('reads %s, at its offset and nowhere else', (text, expected) => {
    expect(words(text)).toEqual([7, ...expected, 7]);
  });

  test.each([
    '',
    'node-a',
    '10.77.0',
    '10.77.0.256',
    '10.77.0.1.2',
    '10.77.0.1/24',
    ' 10.77.0.1',
    '0x0a.1.1.1',
    ':',
    ':::',
    '1::2::3',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '1:2:3:4:5:6:7:8::',
    'fd77::12345',
    'fd77::g',
    'fe80::1%eth0',
    '10.77.0.1::',
    '::10.77.0.256',
    ':1:2:3:4:5:6:7',
  ])('refuses %j', (text) => {
    expect(words(text)).toBeNull();
  });

  test('agrees with the system on addresses with zeros anywhere', () => {
    const random = new Prng(7);
    for (let run = 0; run < 2000; run++) {
      const groups = Array.from({ length: 8 }, () => (random.below(2) === 0 ? 0 : random.below(0x10000)));
      const long = groups.map((group) => group.toString(16)).join(':');
      const short = new SocketAddress({ address: long, family: 'ipv6' }).address;
      expect(ipText(short), short).toBe(ipText(long));
    }
  });
});

test('ipText gives one text for every spelling, and throws on what is no address', () => {
  expect(ipText('FD77:0::0:1')).toBe(ipText('fd77::1'));
  expect(ipText('10.77.0.1')).not.toBe(ipText('10.77.0.2'));
  expect(() => ipText('sb0')).toThrow('"sb0" is not an IP address');
});

describe('broadcastAddress', () => {
  test.each([
    ['10.77.0.1', 24, '10.77.0.255'],
    ['10.77.0.1', 30, '10.77.0.3'],
    ['192.168.200.9', 22, '192.168.203.255'],
    ['10.77.0.1', 0, '255.255.255.255'],
    ['10.77.0.1', 31, null],
    ['10.77.0.1', 32, null],
    ['fd77::1', 64, null],
  ])('%s/%i: %s', (address, prefix, expected) => {
    expect(broadcastAddress(address, prefix)).toBe(expected);
  });
});
