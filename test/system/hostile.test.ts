/** A world that is not well-behaved: garbage on the tunnel's port. */
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { heartbeatStream } from '../../agent/demo/workload.ts';
import { Cluster } from '../support/cluster.ts';

const FLOOD = fileURLToPath(new URL('fixtures/flood.mjs', import.meta.url));
const PORT = '7788';
const AtoB = { from: 'a', to: 'b' } as const;
const BtoA = { from: 'b', to: 'a' } as const;

let cluster: Cluster;
beforeAll(async () => {
  cluster = await Cluster.start({ tag: 'hostile' }, { primary: { probe: { stableForMs: 500 } } });
});
afterAll(async () => cluster?.close());

test('a flood of garbage datagrams on the tunnel port is counted, and heartbeats go on without loss', async () => {
  const { lab } = cluster;
  const before = await cluster.status('b');
  const streams = [
    await heartbeatStream(lab, { ...AtoB, perSecond: 100 }),
    await heartbeatStream(lab, { ...BtoA, perSecond: 100 }),
  ];
  const argv = [process.execPath, FLOOD, lab.network.address('b'), PORT, 'a'];
  const flood = lab.spawn('a', argv, { stdio: ['pipe', 'pipe', 'inherit'] });
  let said = '';
  flood.stdout!.on('data', (piece: Buffer) => (said += piece.toString()));
  await delay(3000);
  const during = await cluster.status('b');
  flood.stdin!.end();
  await once(flood, 'close');
  const { sent } = JSON.parse(said) as { sent: number };
  expect(sent).toBeGreaterThan(5000);
  for (const stream of streams) {
    expect(await stream.stop()).toMatchObject({ lost: 0, duplicated: 0, disordered: 0, corrupted: 0 });
  }
  const strangers = (during.primary.strangers ?? 0) - (before.primary.strangers ?? 0);
  const [peer] = during.peers;
  const [earlier] = before.peers;
  expect(strangers).toBeGreaterThan(1000);
  expect((peer?.network.unauthentic ?? 0) - (earlier?.network.unauthentic ?? 0)).toBeGreaterThan(100);
  expect(during.incarnation).toBe(before.incarnation);
  expect(during.events.filter(({ kind }) => kind === 'incarnation').length).toBe(1);
});
