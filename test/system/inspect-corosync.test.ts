/** Real corosync over real agents, without encryption: what its nodes said to each other stands in the volume, by name. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { CorosyncBed } from '../../agent/bench/corosync-bed.ts';
import { singleLink } from '../../agent/bench/corosync-conf.ts';
import type { PacketView } from '../../agent/inspect/frame-view.ts';
import { CLI } from '../support/inspected.ts';

let bed: CorosyncBed;
beforeAll(async () => {
  const variant = singleLink(3000);
  const conf = variant.conf.replace('crypto_cipher: aes256', 'crypto_cipher: none').replace('sha256', 'none');
  bed = await CorosyncBed.open({ ...variant, conf }, { tag: 'named', withPacemaker: false });
}, 120_000);
afterAll(async () => bed?.close());

test('knet pings and pongs, the join, the token that goes round, and messages of the members, from all three nodes', () => {
  const { lab } = bed;
  const argv = [
    CLI,
    'inspect',
    lab.volume.path,
    '--json',
    '--port',
    '5405',
    '--key-file',
    join(lab.directory, 'a.key'),
  ];
  const { status, stdout } = spawnSync(process.execPath, argv, { encoding: 'utf8', maxBuffer: 1 << 28 });
  expect(status).toBe(0);
  const { batches } = JSON.parse(stdout) as {
    batches: { node: string; records: { packet: PacketView; text: string }[] }[];
  };
  const packets = batches.flatMap(({ node, records }) => records.map(({ packet }) => ({ node, ...packet })));
  // A node's number is that of its place: a is 1.
  const number = (node: string): number => lab.nodes.indexOf(node) + 1;
  const knet = packets.flatMap(({ node, knet: found }) => (found ? [{ from: number(node), ...found }] : []));
  expect(knet.length).toBe(packets.length);
  for (const { from, node } of knet) expect(node).toBe(from);
  expect(new Set(knet.map(({ kind }) => kind))).toEqual(new Set(['data', 'ping', 'pong', 'pmtud', 'pmtud reply']));
  const totem = packets.flatMap(({ node, totem: found }) => (found ? [{ from: number(node), ...found }] : []));
  for (const { from, node } of totem) expect(node).toBe(from);
  const kinds = new Set(totem.map(({ kind }) => kind));
  for (const kind of ['orf token', 'mcast', 'memb join', 'memb commit token'] as const) expect(kinds).toContain(kind);
  // The token of the membership of three goes on, and everybody has seen what it says.
  const tokens = totem.filter((one) => one.kind === 'orf token');
  const newest = tokens.at(-1)?.ring;
  const ofRing = tokens.filter(({ ring }) => ring.sequence === newest?.sequence);
  expect(new Set(ofRing.map(({ from }) => from)).size).toBeGreaterThan(1);
  // Before the first message of a ring both are beginnings of their own.
  for (const { aru, sequence } of ofRing) if (sequence > 0) expect(aru).toBeLessThanOrEqual(sequence);
  const commit = totem.findLast((one) => one.kind === 'memb commit token');
  expect(commit).toMatchObject({ members: [1, 2, 3] });
});
