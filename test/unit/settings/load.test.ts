import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { BULK, HEARTBEAT } from '../../../agent/base/packet-type.ts';
import { loadSettings, parseSettings } from '../../../agent/settings/load.ts';
import { changed } from './minimal.ts';

const parse = (text: string) => parseSettings(text, 'f.yaml');
const EXAMPLE = new URL('../../../config/two-node.yaml', import.meta.url).pathname;

describe('defaults', () => {
  test('a minimal file gets every one of them', () => {
    expect(parse(changed({}))).toEqual({
      file: 'f.yaml',
      cluster: 'lab',
      node: 'a',
      keyFile: '/k',
      messages: { socket: '/run/stillbeat/a.messages.sock', deadlineMs: 1000 },
      unauthenticated: false,
      vnic: { name: 'sb0', addresses: [{ address: '10.77.0.1', prefix: 24, family: 4 }], mtu: 1500 },
      storage: {
        sendVolume: '/v',
        pollMs: { idle: 50, active: 0.02 },
        beaconMs: 1000,
        maxAgeMs: 2000,
        writeDeadlineMs: 1000,
        flush: { thresholdBytes: 65_536, deadlineMs: 0.2 },
        limits: { bytesPerSecond: 0, operationsPerSecond: 0 },
        copy: 'shared',
        copyWithinMs: 1000,
        localVolume: null,
        command: null,
        mirror: null,
      },
      primary: {
        mode: 'tunnel',
        interface: null,
        bypass: ['bulk'],
        listen: { host: '192.168.50.1', port: 7788 },
        probe: { intervalMs: 50, misses: 3, stableForMs: 3000, stableForMsMax: 60_000 },
      },
      queues: { retainBytes: 8_388_608 },
      peers: [
        {
          node: 'b',
          addresses: ['10.77.0.2'],
          primary: { host: '192.168.50.2', port: 7788 },
          receiveVolume: '/v',
        },
      ],
      types: [],
      gateway: {
        offer: false,
        uplink: null,
        use: [],
        prefixes: [{ address: '0.0.0.0', prefix: 0, family: 4 }],
        ping: [],
      },
      controlSocket: '/run/stillbeat/a.sock',
      corosyncConf: '/etc/corosync/corosync.conf',
      metricsListen: null,
      page: {
        listen: { host: '127.0.0.1', port: 9478 },
        isDefault: true,
        tokenFile: null,
        hosts: [],
        mirrors: [],
      },
      events: { file: '/var/lib/stillbeat/a.events', bytes: 16_777_216 },
      hooks: { onPath: null, timeoutMs: 5000 },
    });
  });

  test('one key of a group leaves the others at their defaults', () => {
    const settings = parse(changed({ 9: 'primary:\n  probe: { misses: 5 }' }));
    expect(settings.primary.probe).toEqual({ intervalMs: 50, misses: 5, stableForMs: 3000, stableForMsMax: 60_000 });
  });

  test('two files do not share what was filled in', () => {
    expect(parse(changed({})).storage.flush).not.toBe(parse(changed({})).storage.flush);
  });
});

test('config/two-volumes.yaml loads: what it does not name is as it is by default', () => {
  const { storage, peers } = loadSettings(EXAMPLE.replace('two-node', 'two-volumes'));
  expect(storage).toEqual({
    ...parse(changed({})).storage,
    sendVolume: '/dev/vg/send-a',
    copy: 'local',
    localVolume: '/dev/vg/receive-a',
  });
  expect(peers.map(({ receiveVolume }) => receiveVolume)).toEqual(['/dev/vg/receive-b']);
});

test('config/two-sites.yaml loads: each peer with its storage link', () => {
  const { storage } = loadSettings(EXAMPLE.replace('two-node', 'two-sites'));
  expect([storage.copy, storage.mirror]).toEqual([
    'mirror',
    {
      journal: { path: '/var/lib/stillbeat/send-a.journal', size: '64M' },
      recorders: [],
      peers: [
        {
          node: 'b',
          connect: '192.168.60.2:7790',
          listen: { host: '192.168.60.1', port: 7790 },
          journal: { path: '/var/lib/stillbeat/from-b.journal', size: '64M' },
          volume: '/dev/vg/receive-b',
        },
      ],
    },
  ]);
});

describe('config/two-node.yaml', () => {
  test('loads, and states the defaults as they are', () => {
    const example = loadSettings(EXAMPLE);
    const minimal = parse(changed({}));
    expect(example).toMatchObject({
      vnic: minimal.vnic,
      storage: { ...minimal.storage, sendVolume: '/dev/mapper/heartbeat' },
      primary: { ...minimal.primary, interface: 'eth0' },
      queues: minimal.queues,
      gateway: { ...minimal.gateway, uplink: 'eth0' },
      controlSocket: minimal.controlSocket,
      hooks: minimal.hooks,
      page: minimal.page,
      events: minimal.events,
      metricsListen: { host: '127.0.0.1', port: 9477 },
    });
    expect(example.types.map(({ type }) => type)).toEqual([HEARTBEAT, BULK, BULK]);
    expect(example.peers).toHaveLength(1);
  });

  test('says the unit of every number that has one', () => {
    const lines = readFileSync(EXAMPLE, 'utf8').split('\n');
    const numbers = lines.filter((line) => /^ +(\w+Ms|\w+Bytes|mtu|\w+PerSecond): \d/.test(line));
    expect(numbers).toHaveLength(15);
    for (const line of numbers) expect(line).toMatch(/# (milliseconds|bytes|writes a second)/);
  });
});

describe('ways of writing', () => {
  test('JSON is read like YAML', () => {
    const json = {
      cluster: 'lab',
      node: 'a',
      keyFile: '/k',
      vnic: { address: '10.77.0.1/24' },
      storage: { send: { volume: '/v' } },
      primary: { listen: '192.168.50.1:7788' },
      peers: [{ node: 'b', address: '10.77.0.2', primary: '192.168.50.2:7788' }],
    };
    expect(parse(JSON.stringify(json, null, '\t'))).toEqual(parse(changed({})));
  });

  test('one address or a list, IPv4 and IPv6; IPv6 in its canonical form', () => {
    const settings = parse(
      changed({ 5: '  address: [10.77.0.1/24, "FD77:0::1/64"]', 13: '    address: [10.77.0.2, "fd77::0002"]' }),
    );
    expect(settings.vnic.addresses).toEqual([
      { address: '10.77.0.1', prefix: 24, family: 4 },
      { address: 'fd77::1', prefix: 64, family: 6 },
    ]);
    expect(settings.peers[0]?.addresses).toEqual(['10.77.0.2', 'fd77::2']);
  });

  test('an IPv6 endpoint', () => {
    const settings = parse(changed({ 10: '  listen: "[FD00::1]:7788"', 14: '    primary: "[fd00::2]:7789"' }));
    expect(settings.primary.listen).toEqual({ host: 'fd00::1', port: 7788 });
    expect(settings.peers[0]?.primary).toEqual({ host: 'fd00::2', port: 7789 });
  });

  test('type rules', () => {
    const settings = parse(
      changed(
        {},
        'types:',
        '  - { type: heartbeat, protocol: udp, port: "5404-5412" }',
        '  - { type: bulk, protocol: 132, minBytes: 9000 }',
        '  - { type: bulk }',
      ),
    );
    expect(settings.types).toEqual([
      { type: HEARTBEAT, protocol: 'udp', port: [5404, 5412] },
      { type: BULK, protocol: 132, minBytes: 9000 },
      { type: BULK },
    ]);
  });

  test('a receive volume of its own', () => {
    expect(parse(changed({}, '    receive: { volume: /w }')).peers[0]?.receiveVolume).toBe('/w');
  });

  test('an alias, whose problems are told where it is used', () => {
    const anchor = '    primary: &p 192.168.50.2:7788';
    const text = changed({ 14: anchor }, '  - { node: c, address: 10.77.0.3, primary: *p }');
    expect(() => parse(text)).toThrow(
      'f.yaml:15: peers[1].primary: 192.168.50.2:7788 is already the endpoint of peer b',
    );
  });

  test('running open, only when asked for', () => {
    const settings = parse(changed({ 3: 'unauthenticated: true' }));
    expect(settings.unauthenticated).toBe(true);
    expect(settings.keyFile).toBeNull();
  });

  test('mode none needs no network and ignores what is said about it', () => {
    const bare = parse(changed({ 10: '  mode: none', 14: null }));
    expect(bare.primary.listen).toBeNull();
    expect(bare.peers[0]?.primary).toBeNull();
    const full = parse(changed({ 10: '  mode: none\n  listen: 192.168.50.1:7788' }));
    expect(full.primary.listen).toBeNull();
    expect(full.peers[0]?.primary).toBeNull();
  });
});

describe('the file', () => {
  const folder = mkdtempSync(join(tmpdir(), 'stillbeat-load-'));
  afterAll(() => rmSync(folder, { recursive: true }));

  test('is refused before it is parsed when it is larger than 1 MiB', () => {
    const file = join(folder, 'large.yaml');
    const text = changed({});
    writeFileSync(file, `${text}\n#${' '.repeat((1 << 20) - text.length - 2)}`);
    expect(loadSettings(file).node).toBe('a');
    writeFileSync(file, `${text}\n#${' '.repeat((1 << 20) - text.length - 1)}`);
    expect(() => loadSettings(file)).toThrow(
      `settings file ${file} is larger than 1 MiB: is it the right file? name the settings`,
    );
    expect(() => loadSettings('/dev/zero')).toThrow('is larger than 1 MiB');
  });

  test('is read from disk and named in the settings', () => {
    const file = join(folder, 'a.yaml');
    writeFileSync(file, changed({}));
    expect(loadSettings(file).file).toBe(file);
  });

  test('that is not there is said so', () => {
    expect(() => loadSettings(join(folder, 'none.yaml'))).toThrow(/^settings file .*none\.yaml does not exist: name/);
  });

  test('that is a directory is said so', () => {
    expect(() => loadSettings(folder)).toThrow(/^settings file .* is a directory: name a file in it$/);
  });
});
