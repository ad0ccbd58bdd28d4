/** What the loader refuses of `gateway`, with the whole line that the operator sees. */
import { describe, expect, test } from 'vitest';
import { parseSettings } from '../../../agent/settings/load.ts';
import { networkOf } from '../../../agent/settings/address.ts';
import { changed, problemsOf, refuses } from './minimal.ts';

const OFFER = 'gateway: { offer: true, uplink: eth0';

describe('[AG10] gateway', () => {
  refuses([
    [
      'an offer without an uplink',
      changed({}, 'gateway: { offer: true }'),
      '15: gateway.uplink: missing, and offer needs it; write for example uplink: eth0',
    ],
    [
      'use, and no interface whose loss would tell',
      changed({}, 'gateway: { use: [b] }'),
      '15: gateway.uplink: missing, and use needs it where primary.interface is not set; write for example uplink: eth0 ' +
        '(the interface whose loss makes this node use a gateway)',
    ],
    [
      'the virtual interface as uplink',
      changed({}, 'gateway: { offer: true, uplink: sb0 }'),
      '15: gateway.uplink: sb0 is the virtual interface; name the interface that leads outside, such as eth0',
    ],
    [
      'itself, a stranger, one peer twice',
      changed({}, 'gateway:', '  uplink: eth0', '  use:', '    - a', '    - x', '    - b', '    - b'),
      '18: gateway.use[0]: a is this node itself; list only other nodes',
      '19: gateway.use[1]: there is no peer x; use one of: b',
      '21: gateway.use[3]: b is there twice; remove one of them',
    ],
    [
      'prefixes that are none',
      changed({}, `${OFFER}, prefixes: [10.9.8.7, 10.9.8.7/8, 10.0.0.0/33, default, "2001:db8::1/32", "::/0"] }`),
      '15: gateway.prefixes[0]: "10.9.8.7" has no prefix length from 0 to 32; write for example 10.9.8.7/24',
      '15: gateway.prefixes[1]: 10.9.8.7/8 has bits behind its prefix length; write 10.0.0.0/8',
      '15: gateway.prefixes[2]: "10.0.0.0/33" has no prefix length from 0 to 32; write for example 10.0.0.0/24',
      '15: gateway.prefixes[3]: "default" is not a network; write for example 0.0.0.0/0 or "::/0"',
      '15: gateway.prefixes[4]: 2001:db8::1/32 has bits behind its prefix length; write 2001:db8::/32',
      '15: gateway.prefixes[5]: ::/0 is IPv6, and vnic.address has no IPv6 address to send from; add one to vnic.address ' +
        'or remove this one',
    ],
    [
      'prefixes inside the virtual network, or twice',
      changed({}, `${OFFER}, prefixes: [10.77.0.128/25, 10.77.0.0/24, 10.0.0.0/8, 10.0.0.0/8] }`),
      '15: gateway.prefixes[0]: 10.77.0.128/25 lies inside the virtual network (10.77.0.1/24); name only what is outside: ' +
        'peers are reached without a gateway',
      '15: gateway.prefixes[1]: 10.77.0.0/24 lies inside the virtual network (10.77.0.1/24); name only what is outside: ' +
        'peers are reached without a gateway',
      '15: gateway.prefixes[3]: 10.0.0.0/8 is there twice; remove one of them',
    ],
    [
      'no prefix at all',
      changed({}, `${OFFER}, prefixes: [] }`),
      '15: gateway.prefixes: must be a list of 1 to 8 networks such as 0.0.0.0/0 or "::/0", but is an empty list; correct it, or ' +
        'leave the key out for ["0.0.0.0/0"]',
    ],
    [
      'ping of names and of peers',
      changed({}, `${OFFER}, ping: [example.org, 10.77.0.2] }`),
      '15: gateway.ping[0]: "example.org" is not an IP address; write an address such as 10.77.0.2 or fd77::2',
      '15: gateway.ping[1]: 10.77.0.2 lies inside the virtual network, which is reached without the own network; name an ' +
        'address outside',
    ],
  ]);

  test('the shortest right ones', () => {
    expect(problemsOf(changed({}, 'gateway: { offer: true, uplink: eth0 }'))).toEqual([]);
    expect(problemsOf(changed({ 9: 'primary:\n  interface: eth0' }, 'gateway: { use: [b] }'))).toEqual([]);
    expect(parseSettings(changed({ 9: 'primary:\n  interface: eth0' }, 'gateway: { use: [b] }'), 'f').gateway).toEqual({
      offer: false,
      uplink: 'eth0',
      use: ['b'],
      prefixes: [{ address: '0.0.0.0', prefix: 0, family: 4 }],
      ping: [],
    });
  });

  test.each([
    ['10.77.0.1', 24, 4, '10.77.0.0'],
    ['255.255.255.255', 1, 4, '128.0.0.0'],
    ['1.2.3.4', 32, 4, '1.2.3.4'],
    ['1.2.3.4', 0, 4, '0.0.0.0'],
    ['fd77::1', 64, 6, 'fd77::'],
    ['2001:db8:1:2:3:4:5:6', 33, 6, '2001:db8::'],
    ['::1', 128, 6, '::1'],
    ['ffff::', 1, 6, '8000::'],
  ] as const)('%s/%i of IPv%i is in the network %s', (address, prefix, family, network) => {
    expect(networkOf(address, prefix, family)).toBe(network);
  });
});
