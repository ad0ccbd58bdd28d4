/** What was written to a mirrored volume is recorded, and any earlier state is there again. */
import { existsSync, readFileSync, renameSync, rmSync, statfsSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { crc32 } from '../../agent/base/crc32.ts';
import { EXIT } from '../../agent/base/errors.ts';
import { CLI_PATH } from '../../agent/demo/lab.ts';
import { run, tool } from '../../agent/demo/shell.ts';
import { findMark, gapText } from '../../agent/history/core/spans.ts';
import { segmentsIn } from '../../agent/history/store/files.ts';
import { eventually } from '../support/cluster.ts';
import { Account, HistoryBed, sha256, SOON_MS, type BedOptions } from '../support/history-bed.ts';
import { mountExt4, replayExt4 } from '../support/mounted-ext4.ts';

const MIB = 1 << 20;
const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

async function made(options: Partial<BedOptions> = {}): Promise<HistoryBed> {
  const bed = await HistoryBed.make({ volumeBytes: 8 * MIB, ...options });
  ends.push(async () => bed.remove());
  return bed;
}

test('[OS3] [OS4] [OS8] [OS9] every earlier state by mark and by time: digests, served, written back, and the difference of two', async () => {
  const bed = await made();
  // Before the first: it is in no entry, and is the base.
  writeFileSync(bed.pair.volume.source, Buffer.alloc(8 * MIB));
  await bed.start();
  const account = new Account(8 * MIB);
  for (let i = 1; i <= 5; i++) await account.write(bed, i, i * 300_000, 700_001);
  for (const { mark, digest, time } of account.states) {
    expect(bed.digest(mark), `mark ${mark}`).toBe(digest);
    const when = { timeUs: Date.parse(time) * 1000 };
    await eventually('it is known', SOON_MS, () => bed.loaded.extent.knownUs >= when.timeUs);
    const { table, extent, times } = bed.loaded;
    const found = findMark(table, extent, times, when, Infinity);
    expect(found.ok && bed.digest(found.mark), time).toBe(digest);
  }
  const second = account.states[1] ?? { mark: 0, digest: '' };
  const uri = await bed.serve(`#${second.mark}`);
  const image = join(bed.pair.folder, 'image');
  expect((await run(['nbdcopy', uri, image], { timeoutMs: SOON_MS })).status).toBe(0);
  expect(sha256(readFileSync(image))).toBe(second.digest);
  expect((await run(['qemu-io', '-f', 'raw', '-c', 'write 0 512', uri])).status).not.toBe(0);
  // In use, it is refused; then only said; then done.
  const { source } = bed.pair.volume;
  const onto = ['restore', '--at', `#${second.mark}`, source, '--store', bed.store];
  const refused = await bed.history(...onto, '--yes');
  expect([refused.status, refused.stderr]).toEqual([7, expect.stringMatching(/open for writing in process \d+/)]);
  await bed.pair.end('source');
  const last = sha256(bed.pair.content('source'));
  expect(last).toBe(account.states.at(-1)?.digest);
  expect((await bed.history(...onto)).stdout).toMatch(/differ and would be written/);
  expect(sha256(bed.pair.content('source'))).toBe(last);
  expect((await bed.history(...onto, '--yes')).stdout).toMatch(/were written/);
  expect(sha256(bed.pair.content('source'))).toBe(second.digest);
  const [third, fourth] = [account.states[2]?.mark, account.states[3]?.mark];
  const diff = await bed.history('diff', `#${third}`, `#${fourth}`, '--store', bed.store, '--json');
  expect(JSON.parse(diff.stdout)).toMatchObject({
    writes: 1,
    volumes: [
      { name: 'data', ranges: [{ from: 1_200_000 - (1_200_000 % 4096), to: 1_900_001 + 4096 - (1_900_001 % 4096) }] },
    ],
  });
});

test('[OS2] [OS7] over several connections, and data by a folder: the same recording', async () => {
  for (const options of [{ connections: 4 }, { byFolder: true }]) {
    const bed = await made(options);
    await bed.start();
    const account = new Account(8 * MIB);
    for (let i = 1; i <= 3; i++) await account.write(bed, i, i * 200_000, 3_000_000);
    for (const { mark, digest } of account.states) expect(bed.digest(mark)).toBe(digest);
    expect(bed.loaded.extent.gaps).toEqual([]);
    await bed.remove();
  }
});

test('[OS6] [I20] a recorder that lost control, or data, or both, has it again from the log device, and goes on', async () => {
  const bed = await made({ logDevice: true });
  await bed.start();
  const account = new Account(8 * MIB);
  for (let i = 1; i <= 3; i++) await account.write(bed, i, i * 100_000, 500_000);
  for (const lost of [['control'], ['data'], ['control', 'data']] as const) {
    await bed.endRecorder();
    await eventually('the log device has it', SOON_MS, async () => {
      const { recorders } = (await bed.pair.status('source')) as { recorders?: { name: string; kept: number }[] };
      return (recorders?.find(({ name }) => name === 'log')?.kept ?? 0) >= (await bed.newest()) - 1;
    });
    for (const kind of lost) {
      for (const segment of segmentsIn(bed.recording, kind)) {
        rmSync(join(bed.recording, `${String(segment).padStart(8, '0')}.${kind}`));
      }
    }
    bed.startRecorder();
    const pattern = 10 + account.states.length;
    await account.write(bed, pattern, pattern * 50_000, 400_000);
    for (const { mark, digest } of account.states)
      expect(bed.digest(mark), `${lost.join()}, mark ${mark}`).toBe(digest);
    expect(bed.said).toMatch(/were restored from the log device/);
    bed.said = '';
  }
});

test('[OS6] a log device that is gone: the source says so and goes on; when it is back it is written again', async () => {
  const bed = await made({ logDevice: true });
  await bed.start();
  const account = new Account(8 * MIB);
  const log = async () => {
    const { recorders } = (await bed.pair.status('source')) as {
      recorders?: { name: string; kept: number; problem: string | null }[];
    };
    return recorders?.find(({ name }) => name === 'log');
  };
  const place = join(bed.pair.folder, 'records');
  await account.write(bed, 1, 0, 100_000);
  renameSync(place, `${place}.away`);
  // Nothing can be made there meanwhile.
  writeFileSync(place, '');
  await account.write(bed, 2, 50_000, 100_000);
  await eventually('it is told', SOON_MS, async () => ((await log())?.problem ?? null) !== null);
  await eventually('it is logged', SOON_MS, () => /log device: /.test(bed.pair.log('source')));
  await account.write(bed, 3, 10_000, 100_000);
  rmSync(place);
  renameSync(`${place}.away`, place);
  await eventually('all of it is there', SOON_MS, async () => ((await log())?.kept ?? 0) >= (await bed.newest()) - 1);
  expect((await log())?.problem).toBeNull();
  await bed.endRecorder();
  // What the recorder loses is in the log device, what was written while that was away too.
  for (const kind of ['control', 'data'] as const) {
    for (const segment of segmentsIn(bed.recording, kind)) {
      rmSync(join(bed.recording, `${String(segment).padStart(8, '0')}.${kind}`));
    }
  }
  bed.startRecorder();
  await account.write(bed, 4, 0, 4096);
  for (const { mark, digest } of account.states) expect(bed.digest(mark), `mark ${mark}`).toBe(digest);
});

test('a log device that is another’s: neither side takes it, both say so, and recording goes on', async () => {
  const bed = await made({ logDevice: true });
  await bed.start();
  const account = new Account(8 * MIB);
  await account.write(bed, 1, 0, 4096);
  await bed.endRecorder();
  const head = join(bed.pair.folder, 'records', 'erp', 'head');
  const other = readFileSync(head, 'utf8').replace('"monitor":"erp"', '"monitor":"crm"');
  await bed.pair.end('source');
  const json = other.slice(9).trimEnd();
  writeFileSync(head, `${crc32(Buffer.from(json)).toString(16).padStart(8, '0')} ${json}\n`);
  bed.startRecorder();
  await eventually('it says so', SOON_MS, () => /is the log device of crm, not of erp/.test(bed.said));
  bed.pair.start('source');
  await eventually('the source says so too', SOON_MS, () =>
    /log device: .* is of monitor crm, not erp/.test(bed.pair.log('source')),
  );
  await bed.served();
  await account.write(bed, 77, 0, 4096);
  expect(bed.digest(account.states.at(-1)?.mark ?? 0)).toBe(account.states.at(-1)?.digest);
});

test('[OS5] [I5] what a recorder missed is a gap: refused inside, whole around it; the mirror never waited', async () => {
  const bed = await made({ journalSize: '4M' });
  await bed.start();
  const account = new Account(8 * MIB);
  await account.write(bed, 1, 0, 100_000);
  await bed.endRecorder();
  await delay(20);
  // Three times the journal.
  const beganMs = performance.now();
  for (let round = 0; round < 6; round++) await bed.write(`write -P ${20 + round} 0 2M`);
  const inGap = new Date().toISOString();
  expect(performance.now() - beganMs).toBeLessThan(20_000);
  bed.startRecorder();
  await eventually('it is whole again', SOON_MS, () => bed.loaded.extent.spans.length === 2);
  await account.write(bed, 2, 3_000_000, 100_000);
  const { spans, gaps } = bed.loaded.extent;
  expect(gaps.map(gapText)).toEqual([expect.stringMatching(/were never recorded/)]);
  expect(bed.digest(account.states[0]?.mark ?? 0)).toBe(account.states[0]?.digest);
  expect(bed.digest(spans[1]?.to ?? 0)).toBe(sha256(await served(bed)));
  for (const time of [`#${(spans[0]?.to ?? 0) + 1}`, inGap]) {
    const { status, stderr } = await bed.history('at', time, '--store', bed.store);
    expect([status, stderr]).toEqual([1, expect.stringMatching(/lies in a gap: marks \d+ to \d+/)]);
  }
});

test('status has a line for each recorder: that it records, since when it is away, and that a gap is sure', async () => {
  const bed = await made({ journalSize: '4M', logDevice: true });
  await bed.start();
  await bed.write('write -P 1 0 100k');
  await bed.caughtUp();
  const said = async (line: RegExp): Promise<unknown> =>
    eventually(String(line), SOON_MS, async () => {
      const text = await bed.pair.command('source', 'status');
      if (line.test(text)) return true;
      throw new Error(text);
    });
  await said(/^recorder {4}vault {2}recording {2}up to mark \d+ {2}behind by \d+ bytes\n/m);
  await said(/^recorder {4}log {2}\S+\/records\/erp {2}recording {2}up to mark \d+ {2}behind by /m);
  await bed.endRecorder();
  await said(
    /^recorder {4}vault {2}away since \d{4}-\S+Z {2}up to mark \d+ {2}behind by .*\n {12}last: recorder .*ECONNREFUSED.*\n/m,
  );
  for (let round = 0; round < 6; round++) await bed.write(`write -P ${20 + round} 0 2M`);
  await said(
    /vault {2}away since .* {2}let go of: what it misses now is a gap\n {12}did not keep up 1 times: what it missed is a gap\n/,
  );
  bed.startRecorder();
  await said(/vault {2}recording .* {2}behind by .*\n {12}did not keep up 1 times: what it missed is a gap\n/);
});

test('a source with recorders alone says that there is no target, whatever is asked of one', async () => {
  const bed = await made();
  bed.startRecorder();
  bed.pair.start('source');
  await bed.served();
  for (const words of [
    ['verify'],
    ['verify', 'east'],
    ['pause', 'east'],
    ['resume', 'x'],
    ['resync', 'x'],
    ['checkpoint'],
  ]) {
    const argv = [process.execPath, CLI_PATH, 'mirror', ...words, '--config', bed.pair.config('source')];
    const { status, stdout, stderr } = await run(argv);
    expect([status, stdout, stderr]).toEqual([
      EXIT.usage,
      '',
      'stillbeat: there is no target: its settings name none\n',
    ]);
  }
  expect(await bed.pair.command('source', 'status')).toMatch(
    /can be lost: what no recorder has yet, .*: there is no target\n/,
  );
});

async function served(bed: HistoryBed): Promise<Uint8Array> {
  const image = join(bed.pair.folder, 'now');
  await run(['nbdcopy', bed.pair.uri('source'), image], { timeoutMs: SOON_MS });
  return readFileSync(image);
}

test('times that cannot be: in the future, before the beginning, none at all; a store that is none', async () => {
  const bed = await made();
  await bed.start();
  await bed.write('write -P 1 0 4096');
  await bed.caughtUp();
  const at = async (time: string) => bed.history('at', time, '--store', bed.store);
  const future = new Date(Date.now() + 3_600_000).toISOString();
  expect(await at(future)).toMatchObject({ status: 1, stderr: expect.stringMatching(/is in the future/) });
  expect(await at('-2h')).toMatchObject({
    status: 1,
    stderr: expect.stringMatching(/before the beginning.*the earliest is/),
  });
  expect(await at('yesterday')).toMatchObject({
    status: 2,
    stderr: expect.stringMatching(/is no time: write for example/),
  });
  expect(await at('#999999')).toMatchObject({
    status: 1,
    stderr: expect.stringMatching(/not recorded yet: the newest is/),
  });
  expect(await bed.history('list', '--store', '/nowhere')).toMatchObject({
    status: 3,
    stderr: expect.stringMatching(/holds no recordings/),
  });
  const small = join(bed.pair.folder, 'small');
  writeFileSync(small, '');
  truncateSync(small, MIB);
  expect(await bed.history('restore', '--at', '-0s', small, '--store', bed.store)).toMatchObject({
    status: 3,
    stderr: expect.stringMatching(/has 1048576 bytes, and volume data 8388608/),
  });
  expect(existsSync(join(bed.recording, 'head'))).toBe(true);
});

test('[OS8] a file that was deleted from an ext4 on a mirrored volume is copied out of the state before', async () => {
  const bed = await made({ volumeBytes: 16 * MIB });
  await bed.start();
  const { path, sync, unmount } = await mountExt4(bed.pair.folder, bed.pair.uri('source'), ends);
  const content = Buffer.alloc(400_000, 'the minutes of the meeting\n');
  writeFileSync(join(path, 'minutes'), content);
  await sync();
  await bed.caughtUp();
  await delay(5);
  const before = new Date().toISOString();
  await delay(5);
  rmSync(join(path, 'minutes'));
  writeFileSync(join(path, 'other'), Buffer.alloc(800_000, 1));
  await sync();
  await unmount();
  await bed.caughtUp();
  const image = join(bed.pair.folder, 'then');
  await tool(['nbdcopy', await bed.serve(before), image], { timeoutMs: SOON_MS });
  const found = join(bed.pair.folder, 'found');
  await replayExt4(image);
  await tool(['debugfs', '-R', `dump minutes ${found}`, image], { timeoutMs: SOON_MS });
  expect(Buffer.compare(readFileSync(found), content)).toBe(0);
});

test('a full storage: the oldest goes first, said loudly; what is left is right, and the source goes on', async () => {
  const bed = await HistoryBed.make({
    volumeBytes: 2 * MIB,
    journalSize: '8M',
    retention: { bytes: '2M' },
    smallStore: '8m',
  });
  ends.push(async () => bed.remove());
  await bed.start();
  const account = new Account(2 * MIB);
  // Something else takes the rest.
  for (let i = 1; i <= 3; i++) await account.write(bed, i, 0, 100_000);
  const { bavail, bsize } = statfsSync(bed.store);
  writeFileSync(join(bed.store, 'ballast'), Buffer.alloc(Math.max(0, bavail * bsize - 700_000), 1));
  for (let i = 4; i <= 9; i++) await account.write(bed, i, i * 4096, 300_000);
  expect(bed.said).toMatch(
    /the storage is full: the oldest \d+ bytes went before their time; the earliest that is kept is mark \d+/,
  );
  const { mark, digest } = account.states.at(-1) ?? { mark: 0, digest: '' };
  expect(bed.digest(mark)).toBe(digest);
  const [first] = bed.loaded.extent.spans;
  expect(first?.from).toBeGreaterThan(account.states[0]?.mark ?? Infinity);
});
