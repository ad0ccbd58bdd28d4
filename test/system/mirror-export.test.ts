/** What a mirror serves: to clients with keys, with its holes, to a file system that is checked at its cuts, and to noise. */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { Prng } from '../../agent/base/prng.ts';
import { CLI_PATH } from '../../agent/demo/lab.ts';
import { tool } from '../../agent/demo/shell.ts';
import { eventually } from '../support/cluster.ts';
import { freePort, MirrorPair } from '../support/mirror-pair.ts';
import { checkExt4, mountExt4 } from '../support/mounted-ext4.ts';
import { failing } from './nbd-bed.ts';

const MIB = 1 << 20;
const SOON_MS = 60_000;
const CLIENT_MS_MAX = 60_000;
const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

async function made(volumeBytes = 8 * MIB): Promise<MirrorPair> {
  const pair = await MirrorPair.make({ volumeBytes, acknowledge: 'local' });
  ends.push(async () => pair.remove());
  return pair;
}

async function start(pair: MirrorPair): Promise<void> {
  pair.start('target');
  pair.start('source');
  await pair.untilInSync();
}

const client = async (argv: readonly string[]): Promise<string> => tool(argv, { timeoutMs: CLIENT_MS_MAX });
const write = async (pair: MirrorPair, ...commands: string[]): Promise<string> =>
  client(['qemu-io', '-f', 'raw', '-d', 'unmap', ...commands.flatMap((each) => ['-c', each]), pair.uri('source')]);

test('an export that other hosts reach without a key is told in the log; one that they do not is not', async () => {
  const pair = await made();
  for (const side of ['source', 'target'] as const) {
    const listen = `0.0.0.0:${await freePort()}`;
    pair.configure(side, { export: { listen } });
  }
  pair.start('target');
  pair.start('source');
  for (const side of ['source', 'target'] as const) {
    const line = (): string | undefined =>
      pair
        .log(side)
        .split('\n')
        .find((one) => one.includes('export-open'));
    expect(await eventually('it is told', SOON_MS, line)).toContain('other hosts reach it, and need no key');
    await pair.end(side);
    pair.configure(side, { export: { listen: `127.0.0.1:${await freePort()}` } });
    const told = pair.log(side).length;
    pair.start(side);
    await eventually('it runs', SOON_MS, () => /running/.test(pair.log(side).slice(told)));
    expect(pair.log(side).slice(told)).not.toContain('export-open');
  }
});

test('clients with a key get in over TLS, others are told to; a new key counts at SIGHUP', async () => {
  const pair = await made();
  const keyFile = join(pair.folder, 'clients');
  const put = (): void => writeFileSync(keyFile, `alice:${randomBytes(32).toString('hex')}\n`, { mode: 0o600 });
  put();
  for (const side of ['source', 'target'] as const) {
    pair.configure(side, { export: { listen: `unix:${pair.socket(side)}`, keyFile } });
  }
  await start(pair);
  for (const side of ['source', 'target'] as const) {
    const uri = `nbds+unix://alice@/data?socket=${pair.socket(side)}&tls-psk-file=${keyFile}`;
    expect(await client(['nbdinfo', '--size', uri])).toBe(`${8 * MIB}\n`);
    expect(await failing(['nbdinfo', '--size', pair.uri(side)])).toMatch(/TLS|policy/i);
    put();
    await failing(['nbdinfo', '--size', uri]);
    pair.signal(side, 'SIGHUP');
    await eventually('the key is read', SOON_MS, () => pair.log(side).includes('keys-read'));
    expect(await client(['nbdinfo', '--size', uri])).toBe(`${8 * MIB}\n`);
    if (side === 'source') pair.signal('target', 'SIGHUP');
  }
});

test('holes of the volume, and of the copy at its cut', async () => {
  const pair = await made();
  await start(pair);
  await write(pair, 'write -P 1 1M 1M', 'write -P 2 4M 1M', 'discard 4M 512k', 'flush');
  const map = async (side: 'source' | 'target') => {
    const extents = JSON.parse(await client(['nbdinfo', '--map', '--json', pair.uri(side)])) as {
      offset: number;
      length: number;
      type: number;
    }[];
    // Whether zeroes have room is the file system's affair.
    return extents.map(({ offset, length, type }) => [offset / MIB, length / MIB, type === 0 ? 'data' : 'zero']);
  };
  const wanted = [
    [0, 1, 'zero'],
    [1, 1, 'data'],
    [2, 2.5, 'zero'],
    [4.5, 0.5, 'data'],
    [5, 3, 'zero'],
  ];
  const joined = (found: (string | number)[][]) =>
    found.filter(([, , kind], i) => kind !== found[i - 1]?.[2]).map(([offset, , kind]) => [offset, kind]);
  for (const side of ['source', 'target'] as const) {
    await eventually(`the ${side} shows it`, SOON_MS, async () => {
      expect(joined(await map(side))).toEqual(joined(wanted));
      return true;
    });
  }
});

test('[CY2] ext4 in the mirrored volume under work: at each cut e2fsck finds the copy whole', async () => {
  const pair = await made(64 * MIB);
  await start(pair);
  const { path, sync } = await mountExt4(pair.folder, pair.uri('source'), ends);
  const random = new Prng(1);
  for (let cut = 0; cut < 4; cut++) {
    for (let file = 0; file < 12; file++) {
      const folder = join(path, `d${random.below(6)}`);
      mkdirSync(folder, { recursive: true });
      writeFileSync(join(folder, `f${random.below(20)}`), Buffer.alloc(random.below(200_000), cut + 1));
    }
    await sync();
    const before = (await pair.status('target')).cut ?? 0;
    await eventually('a cut', SOON_MS, async () => ((await pair.status('target')).cut ?? 0) > before || cut === 0);
    // Nobody sends: the copy stays at its cut while it is read.
    pair.signal('source', 'SIGSTOP');
    const image = join(pair.folder, 'image');
    try {
      await eventually('nothing is applied', SOON_MS, async () => {
        const {
          cut: shown,
          committed,
          state,
        } = (await pair.status('target')) as { cut: number; committed: number; state: string };
        return state === 'consistent' && shown === committed;
      });
      await client(['nbdcopy', pair.uri('target'), image]);
    } finally {
      pair.signal('source', 'SIGCONT');
    }
    await checkExt4(image, `cut ${cut}`);
  }
});

test('noise on the export and on the link, whole and cut short: both go on, and nothing of it is in the volume', async () => {
  const pair = await made();
  await start(pair);
  await write(pair, 'write -P 7 0 8M', 'flush');
  const { address } = (await pair.status('target')) as unknown as { address: { host: string; port: number } };
  const random = new Prng(11);
  const noise = async (open: () => ReturnType<typeof connect>, lead: Buffer): Promise<void> => {
    const socket = open();
    const closed = new Promise((resolve) => socket.once('close', resolve));
    socket.on('error', () => {});
    socket.resume();
    const bytes = Buffer.alloc(random.below(4000));
    random.fill(bytes);
    socket.write(Buffer.concat([lead.subarray(0, random.below(lead.length + 1)), bytes]));
    await delay(5);
    if (random.below(2) === 0) socket.destroy();
    else socket.end();
    await Promise.race([closed, delay(200)]);
    socket.destroy();
  };
  // Flags, then GO for the export: what follows is taken for requests.
  const name = Buffer.from('data');
  const go = Buffer.alloc(4 + 16 + 4 + name.length + 2);
  go.writeUInt32BE(3, 0);
  go.write('IHAVEOPT', 4, 'latin1');
  go.writeUInt32BE(7, 12);
  go.writeUInt32BE(4 + name.length + 2, 16);
  go.writeUInt32BE(name.length, 20);
  name.copy(go, 24);
  const request = Buffer.alloc(28);
  request.writeUInt32BE(0x25609513, 0);
  request.writeUInt16BE(1, 6);
  request.writeUInt32BE(1 << 20, 24);
  for (let round = 0; round < 60; round++) {
    await noise(() => connect(pair.socket('source')), Buffer.concat([go, request]));
    await noise(() => connect(pair.socket('target')), Buffer.concat([go, request]));
    await noise(() => connect(address.port, address.host), Buffer.from('160301020001000001fc0303', 'hex'));
  }
  expect(await client(['qemu-io', '-r', '-f', 'raw', '-c', 'read -P 7 0 8M', pair.uri('source')])).not.toMatch(/fail/i);
  expect((await pair.seen())?.state).toBe('in-sync');
  await pair.untilEqual();
});

test('status --watch: a document a line, also while nobody answers', async () => {
  const pair = await made();
  await start(pair);
  const watch = spawn(process.execPath, [
    CLI_PATH,
    'mirror',
    'status',
    '--config',
    pair.config('target'),
    '--json',
    '--watch',
  ]);
  ends.push(() => watch.kill('SIGKILL'));
  let said = '';
  watch.stdout.on('data', (piece: Buffer) => (said += piece.toString()));
  const lines = (): Record<string, unknown>[] =>
    said
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  await eventually('two looks', SOON_MS, () => lines().length >= 2);
  expect(lines()[0]).toMatchObject({
    group: 'erp',
    role: 'target',
    state: 'consistent',
    storage: { errno: 0, hungMs: 0 },
  });
  await pair.end('target');
  await eventually('nobody answers', SOON_MS, () => String(lines().at(-1)?.['error']).startsWith('not answering: '));
  const exit = once(watch, 'exit');
  watch.kill('SIGINT');
  expect(await exit).toEqual([0, null]);
  expect(await pair.command('source', 'status')).toMatch(
    /answers +local: can be lost: .*\n(.*\n)*target +east +journaling\n +received \d+.*\n +behind by/,
  );
});
