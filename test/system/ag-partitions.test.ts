/**
 * [AG12] Three real agents: each pair is judged on its own, every pair that has any way is connected, and what is sent to
 * all reaches all. One lab for all of it; node a has its own way to the volume, which can be made to hang or fail.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { run } from '../../agent/demo/shell.ts';
import type { UdpStream } from '../../agent/demo/workload.ts';
import { Cluster, eventually, SOON_MS } from '../support/cluster.ts';
import { EIO, FaultDisk } from '../support/fault-disk.ts';
import { GroupApp, TO_ALL } from '../support/group-app.ts';
import { allHeartbeats, failuresOf, pairsOf, pathEvents, pathsBut, untilPaths } from '../support/pairs.ts';

const NODES = ['a', 'b', 'c'] as const;
const OVERRIDES = { primary: { probe: { stableForMs: 300, stableForMaxMs: 1200 } } };
const AB = ['a-b storage', 'b-a storage'];
const ALL = pairsOf(NODES).map(([from, to]) => `${from}-${to} storage`);
/** How long a cut lasts after the paths have changed. */
const CUT_MS = 500;
const DATA_PORT = 7002;
const HEARTBEAT_PORT = 5411;

let cluster: Cluster;
beforeAll(async () => {
  cluster = await Cluster.start({ nodes: NODES, tag: 'three', volumeBytes: 24 << 20 }, OVERRIDES);
  await untilPaths(cluster, []);
});

afterEach(async () => {
  await cluster?.lab.heal();
  await untilPaths(cluster, []);
});

afterAll(async () => cluster?.close());

const CUTS: readonly { name: string; cut: () => Promise<void>; expected: readonly string[] }[] = [
  { name: 'a and b, silently', cut: async () => cluster.lab.cut('silent', { between: ['a', 'b'] }), expected: AB },
  { name: 'from a to b alone', cut: async () => cluster.lab.cut('silent', { from: 'a', to: 'b' }), expected: AB },
  {
    name: 'c from everybody, silently',
    cut: async () => {
      await cluster.lab.cut('silent', { between: ['a', 'c'] });
      await cluster.lab.cut('silent', { between: ['b', 'c'] });
    },
    expected: ALL.filter((text) => text.includes('c')),
  },
  {
    name: 'b from everybody, by its carrier',
    cut: async () => cluster.lab.cut('carrier', 'b'),
    expected: ALL.filter((text) => text.includes('b')),
  },
  { name: 'everything', cut: async () => cluster.lab.cut('silent'), expected: ALL },
];

describe('[AG12] what is cut takes the storage, the rest stays on the network, and no heartbeat is lost or comes twice', () => {
  let streams: Map<string, UdpStream>;
  beforeAll(async () => {
    streams = await allHeartbeats(cluster);
  });

  for (const { name, cut, expected } of CUTS) {
    test(`cut: ${name}`, async () => {
      const sinceMs = Date.now();
      await cut();
      await untilPaths(cluster, expected);
      const arrived = [...streams.values()].map(({ progress }) => progress.received);
      await delay(CUT_MS);
      await eventually('all streams go on', SOON_MS, () =>
        [...streams.values()].every(({ progress }, i) => progress.received > (arrived[i] ?? 0)),
      );
      expect(await pathsBut(cluster)).toEqual(expected);
      await cluster.lab.heal();
      await untilPaths(cluster, []);
      const touched = new Set((await pathEvents(cluster, sinceMs)).map((text) => text.split(' ')[0]));
      expect(touched).toEqual(new Set(expected.map((text) => text.split(' ')[0])));
    });
  }

  test('of the heartbeats between all pairs, over all these cuts, none was lost and none came twice', async () => {
    expect(await failuresOf(cluster, streams)).toEqual([]);
  });
});

/** Says something from each node to each kind of group; all others hear it once. */
async function allHearAll(apps: readonly GroupApp[], round: string): Promise<void> {
  const { lab } = cluster;
  const said = apps.flatMap((app, i) => TO_ALL.map((to) => ({ app, i, to, text: `${round} ${NODES[i]} to ${to}` })));
  for (const { app, to, text } of said) app.send(to, text);
  for (const { i, to, text } of said) {
    const from = lab.vnicAddress(NODES[i] ?? '', to.includes(':') ? 6 : 4);
    const hearers = apps.filter((_, other) => other !== i);
    await eventually(`all hear "${text}"`, SOON_MS, () => hearers.every((app) => app.sendersOf(text).length > 0));
    for (const app of hearers) expect(app.sendersOf(text)).toEqual([from]);
  }
  expect(apps.flatMap(({ errors }) => errors)).toEqual([]);
}

describe('[AG12] broadcast and multicast reach all peers', () => {
  const WAYS = [
    { way: 'over the network', cut: async () => {}, expected: [] as string[] },
    { way: 'over both, a and b being cut', cut: CUTS[0]?.cut ?? (async () => {}), expected: AB },
    { way: 'over storage', cut: async () => cluster.lab.cut('silent'), expected: ALL },
  ];
  for (const { way, cut, expected } of WAYS) {
    test(`${way}: to the subnet, to the link, to groups of IPv4 and IPv6, as data and as heartbeats`, async () => {
      const { lab } = cluster;
      const apps = await Promise.all(
        [DATA_PORT, HEARTBEAT_PORT].map(async (port) =>
          Promise.all(NODES.map(async (node) => GroupApp.start(lab, node, port))),
        ),
      );
      await cut();
      await untilPaths(cluster, expected);
      for (const each of apps) await allHearAll(each, way);
      const ping = await run([
        'ip',
        'netns',
        'exec',
        lab.network.namespace('a'),
        'ping',
        '-6',
        '-n',
        '-c',
        '2',
        '-W',
        '2',
        '-I',
        'sb0',
        'ff02::1',
      ]);
      for (const node of ['b', 'c']) expect(ping.stdout).toContain(`from ${lab.vnicAddress(node, 6)}`);
      for (const app of apps.flat()) app.stop();
    });
  }
});

describe('[AG12] node a has its own way to the volume, which hangs or fails', () => {
  let disk: FaultDisk;
  const restartA = async (): Promise<void> => {
    await cluster.lab.stopAgent('a');
    await cluster.lab.startAgent('a', OVERRIDES);
    await untilPaths(cluster, []);
  };
  beforeAll(async () => {
    const { lab } = cluster;
    disk = await FaultDisk.over(lab, lab.volume.file);
    lab.useVolumes('a', { send: disk.path, receive: { b: disk.path, c: disk.path } });
    await restartA();
  });
  afterEach(async () => disk.heal());
  afterAll(async () => {
    cluster.lab.useVolumes('a', {});
    await restartA();
    await disk.close();
  });

  test('the storage of a hangs, then fails, while the networks are well: no path changes, and it is told', async () => {
    const sinceMs = Date.now();
    for (const fault of ['hang', EIO] as const) {
      await disk.fault(fault, fault);
      await eventually('a has no storage', SOON_MS, async () => !(await cluster.status('a')).storage.available);
      await eventually(
        'b does not read a any more',
        SOON_MS,
        async () => !(await cluster.peer('b', 'a')).storage.fresh,
      );
      expect((await cluster.peer('b', 'c')).storage.fresh).toBe(true);
      expect((await cluster.peer('c', 'b')).storage.fresh).toBe(true);
      await disk.heal();
      await eventually('b reads a again', SOON_MS, async () => (await cluster.peer('b', 'a')).storage.fresh);
    }
    expect(await pathEvents(cluster, sinceMs)).toEqual([]);
  });

  test('a is cut from b and has no storage: this pair alone is parted, and each way back is taken', async () => {
    await disk.fault('hang', 'hang');
    await cluster.lab.cut('silent', { between: ['a', 'b'] });
    await untilPaths(cluster, ['a-b isolated', 'b-a isolated']);
    expect(await cluster.ping('a', 'c')).toBe(true);
    expect(await cluster.ping('b', 'c')).toBe(true);
    expect(await cluster.ping('a', 'b')).toBe(false);
    await disk.heal();
    await untilPaths(cluster, AB);
    expect(await cluster.ping('a', 'b')).toBe(true);
  });
});

describe('[AG12] each node writes to a volume of its own, which the others read', () => {
  test('a and b cut, then everything: the paths of the pairs, and no heartbeat lost or twice', async () => {
    const { lab } = cluster;
    const out = new Map<string, string>();
    for (const node of NODES) {
      const { path } = await lab.addVolume(`${node}-out`);
      await lab.format(path);
      out.set(node, path);
    }
    for (const node of NODES) {
      const receive = Object.fromEntries([...out].filter(([writer]) => writer !== node));
      lab.useVolumes(node, { send: out.get(node) ?? '', receive });
    }
    await cluster.restartAgents(OVERRIDES);
    await untilPaths(cluster, []);
    const streams = await allHeartbeats(cluster);
    for (const { cut, expected } of [CUTS[0], CUTS[4]].flatMap((each) => each ?? [])) {
      await cut();
      await untilPaths(cluster, expected);
      for (const [from, to] of pairsOf(NODES)) expect(await cluster.ping(from, to), `${from} to ${to}`).toBe(true);
      await lab.heal();
      await untilPaths(cluster, []);
    }
    expect(await failuresOf(cluster, streams)).toEqual([]);
  });
});
