/** What the loader refuses, with the whole line that the operator sees: names, addresses, peers. */
import { describe, expect, test } from 'vitest';
import { changed, problemsOf, refuses } from './minimal.ts';

describe('names', () => {
  const wanted = 'must be 1 to 32 characters of A-Z a-z 0-9 . _ -, but is';
  const wantedName = 'must be 1 to 15 characters without spaces, / : or %, but is';
  refuses([
    [
      'a cluster with a space',
      changed({ 1: 'cluster: my lab' }),
      `1: cluster: ${wanted} "my lab"; write for example cluster: lab`,
    ],
    ['an empty node', changed({ 2: 'node: ""' }), `2: node: ${wanted} ""; write for example node: a`],
    [
      'a node of 33 characters',
      changed({ 2: `node: ${'n'.repeat(33)}` }),
      `2: node: ${wanted} "${'n'.repeat(33)}"; write for example node: a`,
    ],
    [
      'a peer with a slash',
      changed({ 12: '  - node: b/c' }),
      `12: peers[0].node: ${wanted} "b/c"; write for example node: b`,
    ],
    [
      'an interface of 16 characters',
      changed({ 4: 'vnic:\n  name: abcdefghijklmnop' }),
      `5: vnic.name: ${wantedName} "abcdefghijklmnop"; correct it, or leave the key out for sb0`,
    ],
    [
      'an interface with a slash',
      changed({ 4: 'vnic:\n  name: sb/0' }),
      `5: vnic.name: ${wantedName} "sb/0"; correct it, or leave the key out for sb0`,
    ],
    [
      'an interface with a space',
      changed({ 4: 'vnic:\n  name: sb 0' }),
      `5: vnic.name: ${wantedName} "sb 0"; correct it, or leave the key out for sb0`,
    ],
    [
      'an interface that is a template',
      changed({ 4: 'vnic:\n  name: sb%d' }),
      `5: vnic.name: ${wantedName} "sb%d"; correct it, or leave the key out for sb0`,
    ],
    [
      'an interface called ..',
      changed({ 4: 'vnic:\n  name: ".."' }),
      `5: vnic.name: ${wantedName} ".."; correct it, or leave the key out for sb0`,
    ],
    [
      'a primary interface with a space',
      changed({ 9: 'primary:\n  interface: eth 0' }),
      `10: primary.interface: ${wantedName} "eth 0"; write for example interface: eth0`,
    ],
    [
      'one interface for both',
      changed({ 9: 'primary:\n  interface: sb0' }),
      '4: vnic.name: sb0 is the primary interface; give the virtual one a name of its own',
    ],
  ]);

  test('of the greatest length are accepted', () => {
    expect(problemsOf(changed({ 2: `node: ${'n'.repeat(32)}`, 4: 'vnic:\n  name: abcdefghijklmno' }))).toEqual([]);
  });
});

describe('addresses', () => {
  const is = '5: vnic.address:';
  refuses([
    [
      'no prefix',
      changed({ 5: '  address: 10.77.0.1' }),
      `${is} "10.77.0.1" has no prefix length; write for example 10.77.0.1/24`,
    ],
    [
      'no prefix, IPv6',
      changed({ 5: '  address: fd77::1', 13: '    address: fd77::2' }),
      `${is} "fd77::1" has no prefix length; write for example fd77::1/64`,
    ],
    [
      'prefix too long',
      changed({ 5: '  address: 10.77.0.1/33' }),
      `${is} "10.77.0.1/33" has no prefix length from 1 to 32; write for example 10.77.0.1/24`,
    ],
    [
      'prefix too long, IPv6',
      changed({ 5: '  address: fd77::1/129' }),
      `${is} "fd77::1/129" has no prefix length from 1 to 128; write for example fd77::1/64`,
    ],
    [
      'prefix 0',
      changed({ 5: '  address: 10.77.0.1/0' }),
      `${is} "10.77.0.1/0" has no prefix length from 1 to 32; write for example 10.77.0.1/24`,
    ],
    [
      'prefix not a number',
      changed({ 5: '  address: 10.77.0.1/x' }),
      `${is} "10.77.0.1/x" has no prefix length from 1 to 32; write for example 10.77.0.1/24`,
    ],
    [
      'not an address',
      changed({ 5: '  address: 10.77.0.256/24' }),
      `${is} "10.77.0.256" is not an IP address; write an address such as 10.77.0.2 or fd77::2`,
    ],
    [
      'loopback',
      changed({ 5: '  address: 127.0.0.1/8' }),
      `${is} 127.0.0.1 cannot be a host's address; write a private address such as 10.77.0.2 or fd77::2`,
    ],
    [
      'multicast',
      changed({ 5: '  address: ff02::1/64' }),
      `${is} ff02::1 cannot be a host's address; write a private address such as 10.77.0.2 or fd77::2`,
    ],
    [
      'IPv4 in IPv6',
      changed({ 5: '  address: "::ffff:10.77.0.1/120"' }),
      `${is} ::ffff:10.77.0.1 cannot be a host's address; write a private address such as 10.77.0.2 or fd77::2`,
    ],
    [
      'the subnet’s own',
      changed({ 5: '  address: 10.77.0.0/24' }),
      `${is} 10.77.0.0/24 is the subnet's own or its broadcast address; choose an address between the two`,
    ],
    [
      'broadcast',
      changed({ 5: '  address: 10.77.0.255/24' }),
      `${is} 10.77.0.255/24 is the subnet's own or its broadcast address; choose an address between the two`,
    ],
    [
      'twice',
      changed({ 5: '  address:\n    - 10.77.0.1/24\n    - 10.77.0.1/16' }),
      '7: vnic.address[1]: 10.77.0.1 is there twice; remove one of them',
    ],
    [
      'a small MTU with IPv6',
      changed({ 4: 'vnic:\n  mtu: 1279', 5: '  address: fd77::1/64', 13: '    address: fd77::2' }),
      '5: vnic.mtu: 1279 is too small for IPv6; write 1280 or more',
    ],
  ]);

  test('1280 is enough for IPv6, and 576 without it', () => {
    const text = changed({ 4: 'vnic:\n  mtu: 1280', 5: '  address: fd77::1/64', 13: '    address: fd77::2' });
    expect(problemsOf(text)).toEqual([]);
    expect(problemsOf(changed({ 4: 'vnic:\n  mtu: 576' }))).toEqual([]);
  });

  test('both addresses of a /31 are hosts', () => {
    expect(problemsOf(changed({ 5: '  address: 10.77.0.2/31', 13: '    address: 10.77.0.3' }))).toEqual([]);
  });
});

describe('peers', () => {
  const second = (node: string, address: string, primary = '192.168.50.3:7788') =>
    `  - { node: ${node}, address: ${address}, primary: "${primary}" }`;
  const outside = 'correct it or the prefix of vnic.address';
  refuses([
    [
      'of one address',
      changed({}, second('c', '10.77.0.2')),
      '15: peers[1].address: 10.77.0.2 is already the address of peer b; give each its own',
    ],
    [
      'of one IPv6 address, spelt differently',
      changed({ 5: '  address: fd77::1/64', 13: '    address: fd77::2' }, second('c', '"FD77:0::2"')),
      '15: peers[1].address: fd77::2 is already the address of peer b; give each its own',
    ],
    [
      'with this node’s address',
      changed({ 13: '    address: 10.77.0.1' }),
      '13: peers[0].address: 10.77.0.1 is already the address of this node; give each its own',
    ],
    [
      'with one address twice',
      changed({ 13: '    address:\n      - 10.77.0.2\n      - 10.77.0.2' }),
      '15: peers[0].address[1]: 10.77.0.2 is already the address of peer b; give each its own',
    ],
    [
      'with this node’s name',
      changed({ 12: '  - node: a' }),
      "12: peers[0].node: a is this node's own name; list only the other nodes",
    ],
    [
      'of one name',
      changed({}, second('b', '10.77.0.3')),
      '15: peers[1].node: there are two peers named b; give each its own name',
    ],
    [
      'outside the subnet',
      changed({ 13: '    address: 10.78.0.2' }),
      `13: peers[0].address: 10.78.0.2 is outside the virtual network (10.77.0.1/24); ${outside}`,
    ],
    [
      'outside every subnet',
      changed({ 5: '  address: [10.77.0.1/24, 10.79.0.1/24]', 13: '    address: 10.78.0.2' }),
      `13: peers[0].address: 10.78.0.2 is outside the virtual network (10.77.0.1/24, 10.79.0.1/24); ${outside}`,
    ],
    [
      'of a family that this node lacks',
      changed({ 13: '    address: fd77::2' }),
      '13: peers[0].address: fd77::2 is IPv6, and vnic.address has no IPv6 subnet; add one to vnic.address or remove this one',
    ],
    [
      'at the broadcast address',
      changed({ 13: '    address: 10.77.0.255' }),
      "13: peers[0].address: 10.77.0.255 is the subnet's own or its broadcast address; give the peer another address",
    ],
    [
      'with a prefix',
      changed({ 13: '    address: 10.77.0.2/24' }),
      '13: peers[0].address: "10.77.0.2/24" has a prefix length; write 10.77.0.2',
    ],
    [
      'with a name for an address',
      changed({ 13: '    address: host-b' }),
      '13: peers[0].address: "host-b" is not an IP address; write an address such as 10.77.0.2 or fd77::2',
    ],
    [
      'of one endpoint',
      changed({}, second('c', '10.77.0.3', '192.168.50.2:7788')),
      '15: peers[1].primary: 192.168.50.2:7788 is already the endpoint of peer b; give each its own',
    ],
    [
      'with this node’s endpoint',
      changed({ 14: '    primary: 192.168.50.1:7788' }),
      '14: peers[0].primary: 192.168.50.1:7788 is already the endpoint of this node; give each its own',
    ],
    [
      'with an endpoint of the other family',
      changed({ 14: '    primary: "[fd00::2]:7788"' }),
      '14: peers[0].primary: [fd00::2]:7788 is not of the same family as primary.listen (192.168.50.1:7788); write both as IPv4 or both as IPv6',
    ],
  ]);
});

describe('endpoints', () => {
  const is = '10: primary.listen:';
  const named = 'write the address: names cannot be looked up in a cut';
  refuses([
    [
      'without a port',
      changed({ 10: '  listen: 192.168.50.1' }),
      `${is} "192.168.50.1" is not an address with a port; write 192.168.50.1:7788`,
    ],
    [
      'IPv6 without brackets',
      changed({ 10: '  listen: fd00::1' }),
      `${is} "fd00::1" is not an address with a port; write "[fd00::1]:7788"`,
    ],
    [
      'nothing like one',
      changed({ 10: '  listen: ":"' }),
      `${is} ":" is not an address with a port; write address:port, or "[IPv6 address]:port" in quotes`,
    ],
    [
      'port 0',
      changed({ 10: '  listen: 192.168.50.1:0' }),
      `${is} "192.168.50.1:0" has no port from 1 to 65535; write for example 192.168.50.1:7788`,
    ],
    [
      'port too great',
      changed({ 10: '  listen: 192.168.50.1:65536' }),
      `${is} "192.168.50.1:65536" has no port from 1 to 65535; write for example 192.168.50.1:7788`,
    ],
    ['a name', changed({ 10: '  listen: host-a:7788' }), `${is} "host-a" is not an IP address; ${named}`],
    [
      'a peer’s name',
      changed({ 14: '    primary: host-b:7788' }),
      `14: peers[0].primary: "host-b" is not an IP address; ${named}`,
    ],
    [
      'a zone',
      changed({ 10: '  listen: "[fe80::1%eth0]:7788"', 14: '    primary: "[fe80::2]:7788"' }),
      `${is} "fe80::1%eth0" is not an IP address; ${named}`,
    ],
  ]);
});
