/** Real sockets on loopback: who has the key comes in, nobody else. */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect, type AddressInfo } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { LinkConnection } from '../../../../agent/mirror/link/connection.ts';
import { dialLink, listenForLinks, type LinkListener } from '../../../../agent/mirror/link/tls.ts';
import { FRAME_KIND } from '../../../../agent/mirror/wire/frame.ts';
import { until } from '../../../support/until.ts';

const NAME = { group: 'data', target: 'b' };
const SOON_MS = 10_000;
let keys: Uint8Array[];
let listener: LinkListener;
let links: TLSSocket[];
let refused: string[];
let address: { host: string; port: number };

beforeEach(async () => {
  keys = [randomBytes(32), randomBytes(32)];
  [links, refused] = [[], []];
  listener = await listenForLinks({
    address: { host: '127.0.0.1', port: 0 },
    names: () => [NAME],
    keys: () => keys,
    onLink: (socket) => {
      links.push(socket);
      socket.on('error', () => {});
    },
    onRefused: (_, why) => refused.push(why),
  });
  address = { host: '127.0.0.1', port: (listener.server.address() as AddressInfo).port };
});
afterEach(() => listener.close());

const key = (index: number): Uint8Array => keys[index] as Uint8Array;

async function dialled(clusterKey: Uint8Array, name = NAME): Promise<TLSSocket | Error> {
  const socket = dialLink(address, clusterKey, name);
  return new Promise((resolve) => {
    socket.once('secureConnect', () => resolve(socket));
    socket.on('error', resolve);
    socket.once('close', () => resolve(new Error('closed')));
  });
}

test('both keys of a rotation open; frames go both ways, and nothing of them is readable outside', async () => {
  for (const index of [0, 1]) {
    const socket = await dialled(key(index));
    if (socket instanceof Error) throw socket;
    expect(socket.getProtocol()).toBe('TLSv1.3');
    await until('the target has it', () => links.length === index + 1, SOON_MS);
    const heard: [string, number, string][] = [];
    const events = (who: string) => ({
      frame: ({ id }: { id: number }, body: Uint8Array) => heard.push([who, id, Buffer.from(body).toString()]),
      drain: () => {},
      closed: () => {},
    });
    const source = new LinkConnection(socket, events('source'));
    const target = new LinkConnection(links[index] as TLSSocket, events('target'));
    source.send(FRAME_KIND.hello, 0, 1, 0, Buffer.from('from '), Buffer.from('source'));
    target.send(FRAME_KIND.welcome, 0, 2, 0, Buffer.from('from target'));
    await until('both heard', () => heard.length === 2, SOON_MS);
    expect(heard.sort(([a], [b]) => a.localeCompare(b))).toEqual([
      ['source', 2, 'from target'],
      ['target', 1, 'from source'],
    ]);
    source.end('over');
  }
});

test.each([
  ['another cluster’s key', () => [randomBytes(32), NAME]],
  ['the key for another group', () => [key(0), { ...NAME, group: 'logs' }]],
  ['the key for another target', () => [key(0), { ...NAME, target: 'c' }]],
] as const)('%s opens nothing', async (_, of) => {
  const [clusterKey, name] = of() as [Uint8Array, typeof NAME];
  expect(await dialled(clusterKey, name)).toBeInstanceOf(Error);
  await until('it is told', () => refused.length > 0, SOON_MS);
  expect(links).toEqual([]);
});

test('a key that was dropped opens nothing from then on', async () => {
  const dropped = key(0);
  keys.shift();
  expect(await dialled(dropped)).toBeInstanceOf(Error);
});

test('whoever speaks no TLS is refused, and the others come in meanwhile', async () => {
  const stranger = connect(address);
  stranger.on('error', () => {});
  const gone = once(stranger, 'close');
  stranger.write('GET / HTTP/1.0\r\n\r\n');
  const silent = connect(address);
  silent.on('error', () => {});
  expect(await dialled(key(0))).not.toBeInstanceOf(Error);
  await gone;
  expect(refused).toHaveLength(1);
  silent.destroy();
});
