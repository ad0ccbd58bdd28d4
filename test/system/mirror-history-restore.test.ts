/** An earlier state goes back onto the volume of a source that runs: through its export, as any write does. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { eventually } from '../support/cluster.ts';
import { Account, HistoryBed, sha256, SOON_MS, type BedOptions } from '../support/history-bed.ts';
import { freePort } from '../support/mirror-pair.ts';
import { MemoryVolume, type MemoryVolumeOptions } from '../unit/nbd/memory-volume.ts';
import { NbdBed, WAYS, type Way } from './nbd-bed.ts';

const MIB = 1 << 20;
const BYTES = 2 * MIB;
const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

async function begun(options: Partial<BedOptions> = {}): Promise<{ bed: HistoryBed; account: Account }> {
  const bed = await HistoryBed.make({ volumeBytes: BYTES, ...options });
  ends.push(async () => bed.remove());
  await bed.start();
  const account = new Account(BYTES);
  for (let i = 1; i <= 3; i++) await account.write(bed, i, i * 150_000, 400_000);
  return { bed, account };
}

/** What the recording says of the newest mark. */
async function newestDigest(bed: HistoryBed): Promise<string> {
  const { stdout } = await bed.history('at', `#${await bed.caughtUp()}`, '--digest', '--store', bed.store, '--json');
  const [found] = stdout.match(/[0-9a-f]{64}/) ?? [];
  return found ?? stdout;
}

/** The volume, its copy at a cut and the recording agree. */
async function agreeOn(bed: HistoryBed, digest: string): Promise<void> {
  expect(sha256(await bed.seenBy('source'))).toBe(digest);
  const newest = await bed.newest();
  await eventually('the copy has it', SOON_MS, async () => {
    const isWhole = (await bed.pair.seen())?.state === 'in-sync';
    return isWhole && ((await bed.pair.status('target')).cut ?? 0) >= newest;
  });
  expect(sha256(await bed.seenBy('target'))).toBe(digest);
  expect(await newestDigest(bed)).toBe(digest);
}

test('[OS8] [OS4] through the export of the source: volume, copy and recording agree, after an end of any kind too, and it can be undone', async () => {
  const { bed, account } = await begun({ withCopy: true });
  const [first, , third] = account.states;
  const onto = async (state = third, ...more: string[]) =>
    bed.history('restore', '--at', `#${state?.mark}`, bed.pair.uri('source'), '--store', bed.store, ...more);
  expect(await onto(first)).toMatchObject({ status: 0, stdout: expect.stringMatching(/differ and would be written/) });
  await agreeOn(bed, third?.digest ?? '');
  for (const signal of ['SIGKILL', 'SIGTERM'] as const) {
    const done = await onto(first, '--yes');
    // It is not the path's advice that belongs here.
    expect(done).toEqual({ status: 0, stdout: expect.stringMatching(/were written\n$/), stderr: '' });
    await bed.pair.end('source', signal);
    bed.pair.start('source');
    await bed.served();
    await agreeOn(bed, first?.digest ?? '');
    const behind = await bed.caughtUp();
    await bed.write('write -P 9 1M 4096');
    const content = Buffer.alloc(BYTES);
    content.fill(1, 150_000, 550_000).fill(9, MIB, MIB + 4096);
    await agreeOn(bed, sha256(content));
    for (const { mark, digest } of account.states) expect(bed.digest(mark)).toBe(digest);
    expect(bed.digest(behind)).toBe(first?.digest);
    // Undone.
    expect((await onto(third, '--yes')).status).toBe(0);
    await agreeOn(bed, third?.digest ?? '');
  }
  expect((await onto(third, '--json')).stdout).toMatch(/"differingBytes":0,/);
});

test('onto a path: what a source would not know is said', async () => {
  const { bed, account } = await begun();
  const image = join(bed.pair.folder, 'other');
  writeFileSync(image, Buffer.alloc(BYTES));
  const [first] = account.states;
  const onto = ['restore', '--at', `#${first?.mark}`, image, '--store', bed.store];
  expect(await bed.history(...onto)).toMatchObject({ status: 0, stderr: '' });
  const { stderr } = await bed.history(...onto, '--yes');
  expect(stderr).toMatch(
    /^if a source has this volume: [^\n]*begin it with a new journal, or restore through its export instead\n$/,
  );
  expect(sha256(readFileSync(image))).toBe(first?.digest);
});

/** An export of the test's own, and what a restore of the first state onto it says. */
async function served(bed: HistoryBed, account: Account, way: Way, volume: MemoryVolume) {
  const nbd = await NbdBed.open(way, [volume]);
  ends.push(async () => nbd.close());
  const [first] = account.states;
  const restore = async (...more: string[]) =>
    bed.history('restore', '--at', `#${first?.mark}`, nbd.uri(volume.name), '--store', bed.store, ...more);
  return { nbd, restore, digest: first?.digest };
}

const noise = (options: MemoryVolumeOptions = {}, bytes = BYTES): MemoryVolume => {
  const volume = new MemoryVolume(bytes, options);
  volume.bytes.fill(77);
  return volume;
};

test('[OS8] only what differs is written, zeroes are told, and the flush comes last; by TCP, by a socket, with a key', async () => {
  const { bed, account } = await begun();
  for (const way of WAYS) {
    const volume = noise();
    // One block has what it shall have.
    volume.bytes.fill(1, 200_704, 204_800);
    const { restore, digest } = await served(bed, account, way, volume);
    const compared = await restore();
    expect(compared).toMatchObject({ status: 0, stdout: expect.stringMatching(/^data as of mark .*would be written/) });
    expect(volume.calls.every((call) => call.startsWith('read '))).toBe(true);
    expect(await restore('--yes')).toMatchObject({ status: 0, stderr: '' });
    expect(sha256(volume.bytes)).toBe(digest);
    expect(sha256(volume.stable)).toBe(digest);
    const changes = volume.calls.filter((call) => !call.startsWith('read '));
    const changed = changes.map((call) => Number(call.split(' ')[2] ?? 0)).reduce((sum, length) => sum + length, 0);
    expect(changed).toBe(BYTES - 4096);
    // The zeroes of each step in one piece.
    expect(changes.filter((call) => call.startsWith('zero ')).length).toBeLessThan(5);
    expect(changes.at(-1)).toBe('flush');
  }
});

test('exports that will not do: one line each, and nothing was written', async () => {
  const { bed, account } = await begun();
  for (const [volume, status, line] of [
    [noise({ readOnly: true }), 3, /is read-only: name the export of the source that runs; nothing was written/],
    [noise({}, MIB), 3, /has 1048576 bytes, and volume data 2097152: name its own export; nothing was written/],
    [noise({}, 2 * BYTES), 3, /has 4194304 bytes, and volume data 2097152/],
  ] as const) {
    const { restore } = await served(bed, account, 'unix', volume);
    const said = await restore('--yes');
    expect(said).toMatchObject({
      status,
      stdout: '',
      stderr: expect.stringMatching(/^stillbeat: nbd\+unix:[^\n]*\n$/),
    });
    expect(said.stderr).toMatch(line);
    expect(volume.calls.filter((call) => !call.startsWith('read '))).toEqual([]);
  }
  const wrong = async (uri: string) => bed.history('restore', '--at', '-0s', uri, '--store', bed.store, '--yes');
  const source = bed.pair.socket('source');
  for (const [uri, status, line] of [
    [`nbd+unix:///other?socket=${source}`, 3, /it has no export "other"/],
    [`nbd://127.0.0.1:${await freePort()}/data`, 1, /the server cannot be reached \(ECONNREFUSED\): is it running\?/],
    [`nbd+unix:///data?socket=${source}-none`, 1, /the server cannot be reached \(ENOENT\)/],
    [`nbds+unix://alice@/data?socket=${source}&tls-psk-file=/nowhere`, 4, /\/nowhere cannot be read/],
    ['nbd+unix:///data', 2, /names no socket: write nbd:/],
  ] as const) {
    expect(await wrong(uri)).toMatchObject({
      status,
      stdout: '',
      stderr: expect.stringMatching(new RegExp(`^stillbeat: [^\\n]*${line.source}[^\\n]*\\n$`)),
    });
  }
});

/** Takes three writes, and then does what the test says. */
class FailingVolume extends MemoryVolume {
  onMore: ((done: (errno: number) => void) => void) | null = null;
  #count = 0;

  override write(...words: Parameters<MemoryVolume['write']>): void {
    this.#count++;
    if (this.#count > 3 && this.onMore) this.onMore(words[4]);
    else super.write(...words);
  }
}

test('an export that fails or closes in the middle: what was written so far is said, and the next restore makes it whole', async () => {
  const { bed, account } = await begun();
  // One run in each of many steps.
  await bed.write(...Array.from({ length: 16 }, (_, i) => `write -P 5 ${i * 131_072} 4096`));
  const mark = await bed.caughtUp();
  const wanted = await bed.seenBy('source');
  for (const [kind, line] of [
    ['full', /the server refuses 4096 bytes from \d+ on \(ENOSPC\)/],
    ['gone', /the server (?:closed the connection|refuses 4096 bytes from \d+ on \(ESHUTDOWN\))/],
  ] as const) {
    const volume = new FailingVolume(BYTES);
    volume.bytes.set(wanted);
    for (let i = 0; i < 16; i++) volume.bytes.fill(0, i * 131_072, i * 131_072 + 4096);
    const { nbd } = await served(bed, account, 'tcp', volume);
    volume.onMore = (done) => (kind === 'full' ? done(28) : void nbd.server.close(0));
    const restore = async () => bed.history('restore', '--at', `#${mark}`, nbd.uri(), '--store', bed.store, '--yes');
    const { status, stderr } = await restore();
    const far = /; 12\.0 KiB were written to nbd[^ ]*, which is a mix of two states until a restore goes through\n$/;
    expect([status, stderr]).toEqual([1, expect.stringMatching(new RegExp(line.source + far.source))]);
    expect(stderr.split('\n')).toHaveLength(2);
    volume.onMore = null;
    if (kind === 'gone') continue;
    expect(await restore()).toMatchObject({ status: 0 });
    expect(Buffer.compare(volume.bytes, wanted)).toBe(0);
  }
});
