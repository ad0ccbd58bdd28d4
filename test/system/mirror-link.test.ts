/** The mirror's link under what networks do: cuts of each kind, a narrow link, keys that change, versions that differ. */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { tool } from '../../agent/demo/shell.ts';
import { LinkConnection } from '../../agent/mirror/link/connection.ts';
import { encodeHello, encodeWelcome } from '../../agent/mirror/link/greeting.ts';
import { dialLink, listenForLinks } from '../../agent/mirror/link/tls.ts';
import { recoverRing } from '../../agent/mirror/store/recovery.ts';
import { readSuper } from '../../agent/mirror/store/superblock.ts';
import { FileDevice } from '../../agent/mirror/threads/file-device.ts';
import { ENTRY_KIND } from '../../agent/mirror/wire/entry.ts';
import { FRAME_KIND } from '../../agent/mirror/wire/frame.ts';
import { LINK_VERSION } from '../../agent/mirror/wire/layout.ts';
import { keysOf, newKeyText } from '../../agent/settings/key.ts';
import { eventually } from '../support/cluster.ts';
import { MirrorNetwork } from '../support/mirror-network.ts';
import { freePort, MirrorPair, PATIENT, type PairOptions } from '../support/mirror-pair.ts';

const MIB = 1 << 20;
const SOON_MS = 60_000;
const ends: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

interface Scene {
  readonly pair: MirrorPair;
  readonly network: MirrorNetwork;
}

/** On loopback. */
async function madeHere(options: Partial<PairOptions> = {}): Promise<MirrorPair> {
  const pair = await MirrorPair.make({ volumeBytes: 16 * MIB, acknowledge: 'local', ...options });
  ends.push(async () => pair.remove());
  return pair;
}

async function made(options: Partial<PairOptions> = {}): Promise<Scene> {
  const pair = await MirrorPair.make({ volumeBytes: 16 * MIB, acknowledge: 'local', ...options });
  const network = await MirrorNetwork.around(pair);
  ends.push(
    async () => network.remove(),
    async () => pair.remove(),
  );
  return { pair, network };
}

async function started(options: Partial<PairOptions> = {}): Promise<Scene> {
  const scene = await made(options);
  await start(scene.pair);
  return scene;
}

async function start(pair: MirrorPair): Promise<void> {
  pair.start('target');
  await eventually('the target runs', SOON_MS, async () => pair.status('target').catch(() => null));
  pair.start('source');
  await untilState(pair, 'in-sync');
}

const untilState = async (pair: MirrorPair, state: string): Promise<unknown> =>
  eventually(state, SOON_MS, async () => (await pair.seen())?.state === state);

const write = async (pair: MirrorPair, ...commands: string[]): Promise<string> =>
  tool(['qemu-io', '-f', 'raw', ...commands.flatMap((command) => ['-c', command]), pair.uri('source')]);

interface Seen {
  readonly session: number;
  readonly lag: { readonly marks: number; readonly bytes: number; readonly seconds: number };
}
const seen = async (pair: MirrorPair): Promise<Seen> => (await pair.seen()) as unknown as Seen;

describe('[CY7] a link that is', () => {
  test('cut (silent, deaf, mute), or reset: found out, journaled, and caught up with when it is back', async () => {
    const { pair, network } = await started();
    const told = (): number => pair.log('source').match(/target-lost.*no answer to 10 inquiries/g)?.length ?? 0;
    for (const [round, how] of (['silent', 'deaf', 'mute'] as const).entries()) {
      const before = told();
      await network.cut(how);
      await untilState(pair, 'journaling');
      expect(told(), how).toBeGreaterThan(before);
      await write(pair, `write -P ${10 + round} 0 4M`, `write -P ${20 + round} 1M 1M`);
      const { lag } = await seen(pair);
      expect(lag.marks).toBeGreaterThan(0);
      expect(lag.bytes).toBeGreaterThan(4 * MIB);
      await eventually('the lag is told in seconds', SOON_MS, async () => (await seen(pair)).lag.seconds > 0.5);
      await network.heal();
      await untilState(pair, 'in-sync');
      await pair.untilEqual();
      expect((await seen(pair)).lag).toMatchObject({ marks: 0, seconds: 0 });
      const inSync = (): number => pair.log('source').match(/target-in-sync.*"ms":\d+/g)?.length ?? 0;
      await eventually('each return is told once', SOON_MS, () => inSync() === round + 2);
    }
    await network.reset();
    await untilState(pair, 'journaling');
    await write(pair, 'write -P 3 2M 2M');
    await network.heal();
    await untilState(pair, 'in-sync');
    await pair.untilEqual();
  });

  test('narrow: it is slow, and not taken for a lost one', async () => {
    const { pair, network } = await started({ settings: { source: { inquiry: PATIENT } } });
    const { session } = await seen(pair);
    await network.throttle(2000);
    await write(pair, 'write -P 4 0 4M');
    expect((await seen(pair)).lag.bytes).toBeGreaterThan(MIB);
    await pair.untilEqual();
    expect(pair.log('source')).not.toContain('target-lost');
    expect((await seen(pair)).session).toBe(session);
  });
});

test('a bound on the link is kept, and who waits is not lost', async () => {
  const pair = await madeHere();
  pair.configure('source', { limits: { bytesPerSecond: MIB }, inquiry: PATIENT });
  await start(pair);
  const beganMs = performance.now();
  await write(pair, 'write -P 5 0 2M');
  await pair.untilEqual();
  // 2 MiB, less what leaves before the bound is felt.
  expect(performance.now() - beganMs).toBeGreaterThan(1200);
  expect(pair.log('source')).not.toContain('target-lost');
});

test('a change of keys under way: old and new open, a bad file changes nothing, the old one opens no more when it is gone', async () => {
  const { pair, network } = await made();
  const [former, next] = [newKeyText(randomBytes(32)), newKeyText(randomBytes(32))];
  const put = (side: 'source' | 'target', text: string, mode = 0o600): void => {
    const path = join(pair.folder, `${side}.key`);
    writeFileSync(path, text, { mode: 0o600 });
    chmodSync(path, mode);
    pair.configure(side, { keyFile: path });
    pair.signal(side, 'SIGHUP');
  };
  put('source', former);
  put('target', former);
  await start(pair);
  const again = async (): Promise<void> => {
    const { session } = await seen(pair);
    await network.reset();
    await untilState(pair, 'journaling');
    await network.heal();
    await untilState(pair, 'in-sync');
    expect((await seen(pair)).session).toBeGreaterThan(session);
  };
  put('target', next, 0o644);
  await eventually('refused', SOON_MS, () => /keys-refused.*readable by others/.test(pair.log('target')));
  await again();
  put('target', former + next);
  await eventually('read', SOON_MS, () => /keys-read/.test(pair.log('target')));
  await again();
  put('source', next + former);
  await eventually('read', SOON_MS, () => /keys-read/.test(pair.log('source')));
  await again();
  put('target', next);
  await eventually('read twice', SOON_MS, () => pair.log('target').split('keys-read').length === 3);
  await again();
  put('source', former);
  await eventually('read twice', SOON_MS, () => pair.log('source').split('keys-read').length === 3);
  await network.reset();
  await untilState(pair, 'journaling');
  await network.heal();
  await eventually('refused', SOON_MS, () => /does not take the key of erp\/east/.test(pair.log('source')));
});

test('[CY2] cycles are no larger than the journal of the target, while it is there and while it is away', async () => {
  const pair = await madeHere({ cycleMs: 600_000, journalSize: '64M' });
  pair.configure('target', { journal: { path: join(pair.folder, 'small.journal'), size: '8M', window: '4M' } });
  await start(pair);
  await write(pair, 'write -P 1 0 15M', 'write -P 2 0 15M');
  await untilState(pair, 'in-sync');
  // What it has not got yet is kept for it: beside what comes while it is away it would be more than the source's journal bears.
  await eventually('it has them', SOON_MS, async () => (await seen(pair)).lag.marks === 0);
  await pair.end('target', 'SIGKILL');
  await untilState(pair, 'journaling');
  await write(pair, 'write -P 3 0 15M', 'write -P 4 1M 15M');
  pair.start('target');
  await untilState(pair, 'in-sync');
  await eventually('all but the open cycle is applied', SOON_MS, () => pair.content('target')[12 * MIB] === 4);
});

test('[CY10] sync waits for the target, cycle does not: seen while the link is silent', async () => {
  for (const acknowledge of ['sync', 'cycle'] as const) {
    const { pair, network } = await made({ acknowledge });
    // Found out late enough to see who waits for it.
    pair.configure('source', { inquiry: { intervalMs: 500, misses: 6 } });
    await start(pair);
    await network.cut('silent');
    const beganMs = performance.now();
    await write(pair, 'write -P 9 0 64k');
    const tookMs = performance.now() - beganMs;
    const { state } = (await pair.seen()) ?? {};
    if (acknowledge === 'cycle') expect([state, tookMs < 2000]).toEqual(['in-sync', true]);
    else expect([state, tookMs > 1000]).toEqual(['journaling', true]);
    await network.heal();
    await untilState(pair, 'in-sync');
    await pair.untilEqual();
  }
});

test('[OS1] each write has a mark without a gap and a time that never goes back, the same at both ends', async () => {
  const pair = await madeHere({ journalSize: '64M' });
  await start(pair);
  await write(pair, ...Array.from({ length: 40 }, (_, i) => `write -P ${i} ${i * 4}k 4k`));
  await pair.untilEqual();
  for (const side of ['source', 'target'] as const) await pair.end(side, 'SIGKILL');
  const stamps = (side: 'source' | 'target'): Map<number, bigint> => {
    const device = FileDevice.open(join(pair.folder, `${side}.journal`));
    if (typeof device === 'number') throw new Error(`errno ${device}`);
    const found = new Map<number, bigint>();
    const read = readSuper(device);
    if (typeof read === 'number' || !read.ok) throw new Error('no superblock');
    const marks: number[] = [];
    recoverRing(device, read.superblock, ({ kind, mark, time }) => {
      if (kind === ENTRY_KIND.skip || kind === ENTRY_KIND.image) return;
      marks.push(mark);
      expect(time).toBeGreaterThan([...found.values()].at(-1) ?? 0n);
      found.set(mark, time);
    });
    device.close();
    marks.forEach((mark, i) => expect(mark).toBe((marks[0] ?? 0) + i));
    return found;
  };
  const [ours, theirs] = [stamps('source'), stamps('target')];
  expect(ours.size).toBeGreaterThan(40);
  for (const [mark, time] of theirs) expect([mark, ours.get(mark) ?? time]).toEqual([mark, time]);
});

test('versions apart: each side names both, and nothing is taken', async () => {
  const pair = await madeHere();
  const key = keysOf(readFileSync(join(pair.folder, 'key')), 'key')[0] ?? new Uint8Array(0);
  const name = { group: 'erp', target: 'east' };
  const other = (body: Uint8Array): Uint8Array => {
    const value = JSON.parse(Buffer.from(body).toString()) as Record<string, unknown>;
    return Buffer.from(JSON.stringify({ ...value, version: LINK_VERSION + 0x10000 }));
  };
  const port = await freePort();
  pair.configure('target', { listen: `127.0.0.1:${port}` });
  pair.configure('source', { targets: [{ name: 'east', connect: `127.0.0.1:${port}` }] });
  pair.start('target');
  await eventually('the target runs', SOON_MS, async () => pair.status('target').catch(() => null));
  const socket = dialLink({ host: '127.0.0.1', port }, key, name);
  await once(socket, 'secureConnect');
  let said = '';
  const connection = new LinkConnection(socket, {
    frame: (frame, body) => (said += `${frame.kind} ${Buffer.from(body).toString()}`),
    drain: () => {},
    closed: () => {},
  });
  const point = { mark: 0, chain: 0n };
  const view = { ...name, volumes: [{ name: 'data', bytes: 16 * MIB }], generation: '00'.repeat(16), ancestry: [] };
  const hello = encodeHello({ ...view, tail: point, durable: point }, 'degrade', 0);
  connection.send(FRAME_KIND.hello, 0, 0, 0, other(hello));
  await eventually('the target refuses', SOON_MS, () =>
    /speaks version 3 of the mirror, this one 2: upgrade/.test(said),
  );
  expect(pair.log('target')).toMatch(/is sent away: .*speaks version 3/);
  connection.end('over');
  await pair.end('target');
  const listener = await listenForLinks({
    address: { host: '127.0.0.1', port },
    names: () => [name],
    keys: () => [key],
    onLink: (link) => {
      const peer = new LinkConnection(link, {
        frame: ({ kind }) => {
          if (kind !== FRAME_KIND.hello) return;
          const state = { hasCut: false, cut: point, prefix: point, isTakenOver: false, diverged: null };
          const shape = { ...state, session: 0, roomBytes: MIB, isFollowed: false };
          const welcome = encodeWelcome({ ...view, ...shape, ringBytes: 8 * MIB, windowBytes: 4 * MIB });
          peer.send(FRAME_KIND.welcome, 0, 0, 0, other(welcome));
        },
        drain: () => {},
        closed: () => {},
      });
    },
    onRefused: () => {},
  });
  ends.push(async () => listener.close());
  pair.start('source');
  await eventually('the source tells it', SOON_MS, () =>
    /target-(lost|refused).*speaks version 3 of the mirror, this one 2: upgrade/.test(pair.log('source')),
  );
});
