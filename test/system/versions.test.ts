/**
 * [AG12] A peer of another tunnel version or volume format: counted, told once with what to do, and nothing else happens.
 * The other version is what b's own agent said, with the version's bytes altered.
 */
import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { dataView } from '../../agent/base/bytes.ts';
import { BLOCK_BYTES, HEAD, HEAD_TABLE_OFFSET } from '../../agent/volume/layout.ts';
import { nodeNumber } from '../../agent/volumes.ts';
import { DATAGRAM, DATAGRAM_HEADER_BYTES, TUNNEL_MAGIC } from '../../agent/wire/tunnel.ts';
import { Cluster, eventually, SOON_MS } from '../support/cluster.ts';

const SLOT_B = 1;
const SEND = `
  const [, bytes, host] = process.argv;
  const socket = require('node:dgram').createSocket('udp4');
  let left = 20;
  const next = () => (left-- > 0 ? socket.send(Buffer.from(bytes, 'hex'), 7788, host, () => setTimeout(next, 5)) : socket.close());
  next();
`;

let cluster: Cluster;
beforeAll(async () => {
  cluster = await Cluster.start(
    { tag: 'version', volumeBytes: 16 << 20 },
    { primary: { probe: { stableForMs: 500 } } },
  );
});
afterAll(async () => cluster?.close());

test.each([
  ['a newer', 2, 'this node'],
  // None was ever released: it stands for what a later agent does not understand any more.
  ['an older', 0, 'node b'],
])(
  '[AG12] datagrams of %s tunnel version: counted, told once, and the network stays the way',
  async (_, version, where) => {
    const { lab } = cluster;
    // What was told of a peer is told again after a minute only.
    if ((await cluster.events('a', 'version')).length > 0)
      await cluster.restartAgents({ primary: { probe: { stableForMs: 500 } } });
    const datagram = new Uint8Array(DATAGRAM_HEADER_BYTES + 64).fill(0xa5);
    datagram[DATAGRAM.at.magic] = TUNNEL_MAGIC;
    datagram[DATAGRAM.at.version] = version;
    dataView(datagram).setUint32(DATAGRAM.at.sender, nodeNumber('b'), true);
    const argv = [process.execPath, '-e', SEND, Buffer.from(datagram).toString('hex'), lab.network.address('a')];
    expect((await lab.exec('b', argv)).status).toBe(0);
    await eventually('they are counted', SOON_MS, async () => (await cluster.peer('a')).network.otherVersion === 20);
    const told = await eventually('it is told', SOON_MS, async () => {
      const events = await cluster.events('a', 'version');
      return events.length > 0 && events;
    });
    const advice = `peer b speaks tunnel version ${version}, this agent 1: upgrade stillbeat on ${where}`;
    expect(told).toMatchObject([{ peer: 'b', what: 'tunnel', theirs: version, ours: '1', advice }]);
    expect(lab.agentLog('a').split(advice).length).toBe(2);
    expect((await cluster.peer('a')).path).toBe('network');
    expect((await cluster.peer('b')).network.otherVersion).toBe(0);
  },
);

test('[AG12] a head block of a newer format: counted, told once; and when the peer is as before all is as before', async () => {
  const { lab } = cluster;
  await lab.stopAgent('b', 'SIGKILL');
  await eventually('a misses b', SOON_MS, async () => (await cluster.peer('a')).path === 'isolated');
  const block = new Uint8Array(BLOCK_BYTES);
  const file = openSync(lab.volume.file, 'r+');
  try {
    readSync(file, block, 0, BLOCK_BYTES, HEAD_TABLE_OFFSET + SLOT_B * BLOCK_BYTES);
    dataView(block).setUint16(HEAD.at.version, 2, true);
    for (const beacon of [1, 2]) {
      block[HEAD.at.tag] = (block[HEAD.at.tag] ?? 0) + 1; // each one is sealed anew
      writeSync(file, block, 0, BLOCK_BYTES, HEAD_TABLE_OFFSET + SLOT_B * BLOCK_BYTES);
      const counted = async (): Promise<boolean> => (await cluster.peer('a')).storage.otherVersion === beacon;
      await eventually(`beacon ${beacon} is counted`, SOON_MS, counted);
    }
  } finally {
    closeSync(file);
  }
  const told = (await cluster.events('a', 'version')).filter(({ what }) => what === 'volume');
  const advice = 'peer b speaks volume version 2, this agent 1: upgrade stillbeat on this node';
  expect(told).toMatchObject([{ peer: 'b', theirs: 2, ours: '1', advice }]);
  expect(lab.agentLog('a').split(advice).length).toBe(2);
  await lab.startAgent('b', { primary: { probe: { stableForMs: 500 } } });
  await cluster.untilPath('network');
  await eventually('b is read again', SOON_MS, async () => (await cluster.peer('a')).storage.fresh);
  expect(await cluster.ping('a', 'b')).toBe(true);
});
