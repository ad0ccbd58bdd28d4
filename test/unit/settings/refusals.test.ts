/** What the loader refuses, with the whole line that the operator sees: keys, values, text. */
import { describe, expect, test } from 'vitest';
import { AgentError } from '../../../agent/base/errors.ts';
import { parseSettings, SettingsErrors } from '../../../agent/settings/load.ts';
import { changed, problemsOf, refuses } from './minimal.ts';

const MODE_NONE = 'or mode: none to use the storage only';

describe('keys', () => {
  refuses([
    ['misspelt', changed({ 5: '  adress: 10.77.0.1/24' }), '5: vnic.adress: unknown key; did you mean address?'],
    ['misspelt by case', changed({ 3: 'keyfile: /k' }), '3: keyfile: unknown key; did you mean keyFile?'],
    ['misspelt by underscore', changed({ 3: 'key_file: /k' }), '3: key_file: unknown key; did you mean keyFile?'],
    [
      'misspelt in a list',
      changed({ 14: '    primry: 192.168.50.2:7788' }),
      '14: peers[0].primry: unknown key; did you mean primary?',
    ],
    ['in the wrong group', changed({}, 'mtu: 1500'), '15: mtu: unknown key; its place is vnic.mtu'],
    [
      'in the wrong group, needed in the right one',
      changed({ 10: '  mode: tunnel' }, 'probe: { misses: 4 }'),
      `9: primary.listen: missing, and mode tunnel needs it; write for example listen: 192.168.50.1:7788, ${MODE_NONE}`,
      '15: probe: unknown key; its place is primary.probe',
    ],
    [
      'unknown altogether',
      changed({}, 'control:', '  colour: red'),
      '16: control.colour: unknown key; remove it; known here: socket',
    ],
    [
      'with a line break in it',
      changed({}, 'control:', '  "col\\nour": red'),
      '16: control."col\\nour": unknown key; remove it; known here: socket',
    ],
    [
      'named like a number',
      changed({}, 'control:', '  7: red'),
      '16: control.7: unknown key; remove it; known here: socket',
    ],
    ['twice', changed({}, 'node: b'), '15: node: the key is there twice; keep one of them'],
  ]);
});

describe('missing', () => {
  refuses([
    ['cluster', changed({ 1: null }), '1: cluster: missing; write for example cluster: lab'],
    ['node', changed({ 2: null }), '1: node: missing; write for example node: a'],
    [
      'key',
      changed({ 3: null }),
      '1: keyFile: missing; write for example keyFile: /etc/stillbeat/cluster.key (or unauthenticated: true to run open to anybody)',
    ],
    [
      'key, and not said to run open',
      changed({ 3: 'unauthenticated: false' }),
      '1: keyFile: missing; write for example keyFile: /etc/stillbeat/cluster.key (or unauthenticated: true to run open to anybody)',
    ],
    ['vnic', changed({ 4: null, 5: null }), '1: vnic: missing; write its keys below it: name, address, mtu'],
    [
      'vnic.address',
      changed({ 5: '  mtu: 1500' }),
      '4: vnic.address: missing; write for example address: 10.77.0.1/24',
    ],
    [
      'storage',
      changed({ 6: null, 7: null, 8: null }),
      '1: storage: missing; write its keys below it: send, pollMs, beaconMs, maxAgeMs, writeDeadlineMs, flush, limits, copy, copyWithinMs, local, mirror, command',
    ],
    [
      'storage.send',
      changed({ 7: '  beaconMs: 1000', 8: null }),
      '6: storage.send: missing; write its keys below it: volume',
    ],
    [
      'the send volume',
      changed({ 7: '  send: {}', 8: null }),
      '7: storage.send.volume: missing; write for example volume: /dev/mapper/heartbeat',
    ],
    [
      'peers',
      changed({ 11: null, 12: null, 13: null, 14: null }),
      '1: peers: missing; write for example peers: [{"node":"b","address":"10.77.0.2","primary":"192.168.50.2:7788"}]',
    ],
    ['a peer’s name', changed({ 12: '  -' }), '13: peers[0].node: missing; write for example node: b'],
    ['a peer’s address', changed({ 13: null }), '12: peers[0].address: missing; write for example address: 10.77.0.2'],
    [
      'listen',
      changed({ 9: null, 10: null }),
      `1: primary.listen: missing, and mode tunnel needs it; write for example listen: 192.168.50.1:7788, ${MODE_NONE}`,
    ],
    [
      'a peer’s primary',
      changed({ 14: null }),
      "12: peers[0].primary: missing, and mode tunnel needs it; write for example primary: 192.168.50.2:7788 (the peer's primary.listen)",
    ],
    [
      'the receive volume',
      changed({}, '    receive: {}'),
      '15: peers[0].receive.volume: missing; write for example volume: /dev/mapper/heartbeat',
    ],
    [
      'a rule’s type',
      changed({}, 'types:', '  - port: 1'),
      '16: types[0].type: missing; write for example type: heartbeat',
    ],
  ]);
});

describe('wrong types and ranges', () => {
  refuses([
    [
      'a list for a group',
      changed({ 4: 'vnic: []', 5: null }),
      '4: vnic: must be a group of keys, but is an empty list; write its keys below it: name, address, mtu',
    ],
    [
      'nothing for a group',
      changed({ 5: null }),
      '4: vnic: must be a group of keys, but is empty; write its keys below it: name, address, mtu',
    ],
    [
      'a group for a text',
      changed({ 8: '    volume: { a: 1 }' }),
      '8: storage.send.volume: must be text, but is a group of keys; write for example volume: /dev/mapper/heartbeat',
    ],
    [
      'a number for a name',
      changed({ 2: 'node: 17' }),
      '2: node: must be 1 to 32 characters of A-Z a-z 0-9 . _ -, but is 17; if it is meant so, put it in quotes: "17"',
    ],
    [
      'a text for a number',
      changed({}, 'queues: { retainBytes: 8M }'),
      '15: queues.retainBytes: must be a whole number from 65536 to 1073741824, but is "8M"; correct it, or leave the key out for 8388608',
    ],
    [
      'a fraction for a whole number',
      changed({ 9: 'primary:\n  probe: { misses: 2.5 }' }),
      '10: primary.probe.misses: must be a whole number from 1 to 1000, but is 2.5; correct it, or leave the key out for 3',
    ],
    [
      'infinity',
      changed({ 6: 'storage:\n  pollMs: { idle: .inf }' }),
      '7: storage.pollMs.idle: must be a number from 0.1 to 10000, but is Infinity; correct it, or leave the key out for 50',
    ],
    [
      'yes for true',
      changed({ 3: 'unauthenticated: yes' }),
      '3: unauthenticated: must be true or false, but is "yes"; correct it, or leave the key out for false',
    ],
    [
      'a word for a mode',
      changed({ 10: '  mode: tunel' }),
      '10: primary.mode: must be tunnel, route or none, but is "tunel"; correct it, or leave the key out for tunnel',
    ],
    [
      'no peers',
      changed({ 11: 'peers: []', 12: null, 13: null, 14: null }),
      '11: peers: must be a list of 1 to 63 peers, but is an empty list; write for example peers: [{"node":"b","address":"10.77.0.2","primary":"192.168.50.2:7788"}]',
    ],
    [
      'a peer that is a name',
      changed({ 12: '  - b', 13: null, 14: null }),
      '12: peers[0]: must be a group of keys, but is "b"; write its keys below it: node, address, primary, receive, mirror',
    ],
    [
      'an address that is a number',
      changed({ 13: '    address: [10.77.0.2, 5]' }),
      '13: peers[0].address[1]: must be text, but is 5; if it is meant so, put it in quotes: "5"',
    ],
    [
      'an empty list of addresses',
      changed({ 5: '  address: []' }),
      '5: vnic.address: must be an address with its prefix such as 10.77.0.1/24, or a list of them, but is an empty list; write for example address: 10.77.0.1/24',
    ],
    [
      'an MTU below the least',
      changed({ 4: 'vnic:\n  mtu: 575' }),
      '5: vnic.mtu: must be a whole number from 576 to 65000, but is 575; correct it, or leave the key out for 1500',
    ],
    [
      'an MTU above the most',
      changed({ 4: 'vnic:\n  mtu: 65001' }),
      '5: vnic.mtu: must be a whole number from 576 to 65000, but is 65001; correct it, or leave the key out for 1500',
    ],
    [
      'a messages socket that is the control socket',
      changed({}, 'messages: { socket: /run/stillbeat/a.sock }'),
      '15: messages.socket: is the control socket; give it a path of its own',
    ],
    [
      'a control socket beside which the messages socket is too long',
      changed({}, `control: { socket: /${'x'.repeat(100)}.sock }`),
      `1: messages.socket: left out, and /${'x'.repeat(100)}.messages.sock is too long for a socket; write a path of at most 107 characters`,
    ],
    [
      'a socket path too long for the kernel',
      changed({}, `control: { socket: /${'x'.repeat(107)} }`),
      `15: control.socket: must be a path of at most 107 characters, but is "/${'x'.repeat(58)}…; write for example socket: /run/stillbeat/a.sock`,
    ],
    [
      'a type that is none',
      changed({}, 'types: [{ type: control }]'),
      '15: types[0].type: must be heartbeat, data or bulk, but is "control"; write for example type: heartbeat',
    ],
    [
      'a protocol that is none',
      changed({}, 'types: [{ type: bulk, protocol: tpc }]'),
      '15: types[0].protocol: must be tcp, udp, sctp or icmp, or a whole number from 0 to 255, but is "tpc"; write for example protocol: udp',
    ],
    [
      'a port that is none',
      changed({}, 'types: [{ type: bulk, port: 70000 }]'),
      '15: types[0].port: must be a whole number from 1 to 65535, or a range such as "5404-5412", but is 70000; write for example port: 5405',
    ],
    [
      'a range of ports that leaves them',
      changed({}, 'types: [{ type: bulk, port: 1-70000 }]'),
      '15: types[0].port: 1-70000 is not within 1 to 65535; correct the range',
    ],
    [
      'a range of ports backwards',
      changed({}, 'types: [{ type: bulk, port: 9-3 }]'),
      '15: types[0].port: 9-3 ends before it begins; write "3-9"',
    ],
    [
      'ports of icmp',
      changed({}, 'types: [{ type: bulk, protocol: icmp, port: 3 }]'),
      '15: types[0].port: icmp has no ports; remove port or change protocol',
    ],
    [
      'minBytes below one',
      changed({}, 'types: [{ type: bulk, minBytes: 0 }]'),
      '15: types[0].minBytes: must be a whole number from 1 to 65535, but is 0; write for example minBytes: 16384',
    ],
  ]);
});

describe('contradictions', () => {
  refuses([
    [
      'a key and running open',
      changed({}, 'unauthenticated: true'),
      '15: unauthenticated: true, and keyFile is there as well; remove one of the two',
    ],
    [
      'stableForMaxMs below stableForMs',
      changed({ 9: 'primary:\n  probe:\n    stableForMs: 3000\n    stableForMaxMs: 2000' }),
      '12: primary.probe.stableForMaxMs: 2000 is less than stableForMs (3000); write 3000 or more',
    ],
  ]);
});

describe('mode route', () => {
  const primary = 'primary:\n  mode: route\n  interface: eth0';
  const mend = (type: string) => `name the flow by protocol and port, or take ${type} out of primary.bypass`;
  refuses([
    [
      'without an interface',
      changed({ 9: 'primary:\n  mode: route' }),
      '9: primary.interface: missing, and mode route needs it; write for example interface: eth0',
    ],
    [
      'a type that cannot go past the agent',
      changed({ 9: `${primary}\n  bypass: [heartbeat]` }),
      '12: primary.bypass[0]: must be bulk or data, but is "heartbeat"; write for example bulk',
    ],
    [
      'a bypassed type told by length',
      changed({ 9: primary }, 'types: [{ type: bulk, protocol: tcp, port: 9000, minBytes: 16384 }]'),
      `17: types[0].minBytes: bulk goes past the agent, where no length is known; ${mend('bulk')}`,
    ],
  ]);
  test('a heartbeat, and a type that is not bypassed, may be told by length', () => {
    const rules =
      'types: [{ type: heartbeat, protocol: udp, minBytes: 8 }, { type: data, protocol: tcp, minBytes: 9 }]';
    expect(problemsOf(changed({ 9: primary }, rules))).toEqual([]);
  });
});

describe('how the send volume is copied', () => {
  const copied = (...lines: string[]): string => changed({ 6: ['storage:', ...lines].join('\n') });
  const mirrored = 'storage:\n  copy: mirror\n  mirror: { journal: { path: /j } }';
  const link = (path: string): string =>
    `mirror: { connect: "192.168.60.2:7790", listen: "192.168.60.1:7790", journal: { path: ${path} } }`;
  const runs = 'command: { run: [/etc/stillbeat/copy, /dev/vg/receive] }';
  refuses([
    [
      'mirror without a journal and a link',
      copied('  copy: mirror'),
      '6: storage.mirror: missing, and copy: mirror needs it; write for example mirror: { journal: { path: /var/lib/stillbeat/send.journal } }',
      '13: peers[0].mirror: missing, and copy: mirror needs it; write for example mirror: { connect: 192.168.60.2:7790, listen: 192.168.60.1:7790, journal: { path: /var/lib/stillbeat/from-b.journal } }',
    ],
    [
      'a link that nobody needs',
      changed({}, `    ${link('/j')}`),
      '15: peers[0].mirror: belongs to storage.copy: mirror; remove it, or write copy: mirror',
    ],
    [
      'a mirror without a receive volume, and two journals of one path',
      changed({ 6: mirrored }, `    ${link('/j')}`),
      '14: peers[0].receive: missing: what the peer writes comes to a volume of its own; write for example receive: { volume: /dev/vg/receive-b }',
      '17: peers[0].mirror.journal: /j is already that of storage.mirror; give each its own',
    ],
    [
      'a mirror without a key',
      changed({ 3: 'unauthenticated: true', 6: mirrored }, '    receive: { volume: /w }', `    ${link('/k')}`),
      '3: unauthenticated: true, and copy: mirror needs a key; write keyFile: instead',
    ],
    [
      'local without a volume',
      copied('  copy: local'),
      '6: storage.local: missing, and copy: local needs it; write for example local: { volume: /dev/vg/receive }',
    ],
    [
      'command without one',
      copied('  copy: command'),
      `6: storage.command: missing, and copy: command needs it; write for example ${runs}`,
    ],
    [
      'what belongs to another kind',
      copied('  local: { volume: /w }'),
      '7: storage.local: belongs to copy: local, and copy is shared; remove it, or write copy: local',
    ],
    [
      'a copy onto itself',
      copied('  copy: local', '  local: { volume: /v }'),
      '8: storage.local.volume: /v is the send volume itself; name the volume that the peers read',
    ],
    [
      'a copy onto what a peer writes',
      changed({ 6: 'storage:\n  copy: local\n  local: { volume: /w }' }, '    receive: { volume: /w }'),
      '8: storage.local.volume: /w is where peer b is read; a volume holds what one node writes: name another one',
    ],
    [
      'a program that would be searched for',
      copied('  copy: command', '  command: { run: dd }'),
      '8: storage.command.run: dd is no whole path; write its whole path, such as /usr/bin/dd',
    ],
    [
      'copies that come too seldom',
      copied('  copy: command', '  command: { run: /c, intervalMs: 1000 }'),
      '8: storage.command.intervalMs: 1000 leaves no time within copyWithinMs (1000); write less, or raise copyWithinMs above it',
    ],
    [
      'copies whose packets are too old',
      copied('  copy: command', '  copyWithinMs: 9000', '  command: { run: /c, intervalMs: 2000 }'),
      '9: storage.command.intervalMs: 2000 is not below maxAgeMs (2000): packets would be too old; write less, or raise maxAgeMs above it',
    ],
  ]);
  test('on command alone no interval counts', () => {
    const text = copied('  copy: command', '  command: { run: [/c, x], intervalMs: 5000, onCommand: true }');
    expect(problemsOf(text)).toEqual([]);
    const { command } = parseSettings(text, 'f').storage;
    expect(command).toEqual({ run: ['/c', 'x'], intervalMs: 5000, timeoutMs: 30_000, onCommand: true });
  });
});

describe('text that is no settings', () => {
  const mend = 'correct the YAML; text with : [ ] { } or # in it needs quotes';
  refuses([
    ['an empty file', '', '1: the file is empty; start from config/two-node.yaml'],
    ['only a comment', '# nothing\n', '1: the file is empty; start from config/two-node.yaml'],
    ['a word', 'hello', '1: the file does not hold keys and values; start from config/two-node.yaml'],
    ['a list', '- a\n- b', '1: the file does not hold keys and values; start from config/two-node.yaml'],
    [
      'an unquoted IPv6 endpoint',
      changed({ 10: '  listen: [fd00::1]:7788' }),
      `10: not readable at column 20: Unexpected scalar at node end; ${mend}`,
    ],
    [
      'tabs',
      changed({ 5: '\taddress: 10.77.0.1/24' }),
      '5: not readable at column 1: Tabs are not allowed as indentation; indent with spaces',
    ],
    [
      'an open bracket',
      changed({ 5: '  address: [10.77.0.1/24' }),
      `6: not readable at column 1: Flow sequence in block collection must be sufficiently indented and end with a ]; ${mend}`,
    ],
    [
      'two documents',
      changed({}, '---', 'a: 1'),
      '15: not readable at column 1: Source contains multiple documents; keep one document and remove the line ---',
    ],
    [
      'a tag',
      changed({ 2: 'node: !secret a' }),
      '2: not readable at column 7: Unresolved tag: !secret; remove the tag (the word with !)',
    ],
    [
      'an alias of nothing',
      changed({ 2: 'node: *x' }),
      '1: not readable: Unresolved alias (the anchor must be set before the alias): x; write values out instead of using & and *',
    ],
  ]);

  test('that would unfold to fill the memory', () => {
    const levels = Array.from({ length: 9 }, (_, n) => `l${n + 1}: &l${n + 1} [${Array(9).fill(`*l${n}`).join(', ')}]`);
    const [line, ...rest] = problemsOf(['l0: &l0 [x, x]', ...levels].join('\n'));
    expect(line).toMatch(
      /^f\.yaml:1: not readable: Excessive alias count.*; write values out instead of using & and \*$/,
    );
    expect(rest).toEqual([]);
  });
});

describe('many at once', () => {
  const text = changed({ 2: 'node: a b', 5: '  address: 10.77.0.1', 10: '  listen: nowhere' }, 'colour: red');
  const lines = [2, 5, 10, 15];

  test('are all told, in the order of the file, one line each', () => {
    const problems = problemsOf(text);
    expect(problems.map((problem) => Number(problem.split(':')[1]))).toEqual(lines);
    for (const problem of problems) expect(problem).not.toContain('\n');
  });

  test('end as one usage error', () => {
    const error = (() => {
      try {
        return parseSettings(text, 'f.yaml');
      } catch (thrown) {
        return thrown;
      }
    })();
    expect(error).toBeInstanceOf(AgentError);
    expect(error).toBeInstanceOf(SettingsErrors);
    expect((error as SettingsErrors).exitStatus).toBe(2);
    expect((error as SettingsErrors).message).toBe(problemsOf(text).join('\n'));
  });

  test('without a second complaint that only follows from the first', () => {
    expect(problemsOf(changed({ 5: '  address: 10.77.0.1' }))).toHaveLength(1);
    expect(problemsOf(changed({ 3: 'keyFile: 3' }))).toHaveLength(1);
    expect(problemsOf(changed({ 10: '  lisen: 192.168.50.1:7788' }))).toHaveLength(1);
    expect(problemsOf(changed({ 9: 'primary: 3', 10: null }))).toHaveLength(1);
  });
});
