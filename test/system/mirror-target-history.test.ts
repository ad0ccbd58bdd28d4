/** A target that keeps a history itself: real processes, real clients, and `stillbeat history` on its folder. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { EXIT } from '../../agent/base/errors.ts';
import { Prng } from '../../agent/base/prng.ts';
import { CLI_PATH } from '../../agent/demo/lab.ts';
import { run } from '../../agent/demo/shell.ts';
import type { TargetHistoryStatus } from '../../agent/history/host/target-history.ts';
import { findMark } from '../../agent/history/core/spans.ts';
import { loadRecording } from '../../agent/history/store/load.ts';
import { State } from '../../agent/history/store/state.ts';
import { eventually } from '../support/cluster.ts';
import { sha256 } from '../support/history-bed.ts';
import { freePort, MirrorPair, type PairOptions } from '../support/mirror-pair.ts';
import { NbdClient } from '../support/nbd-client.ts';
import { HISTORY_BYTES, WriteHistory } from '../support/write-history.ts';

const MIB = 1 << 20;
const SOON_MS = 60_000;
/** `npm run test:soak` does fifty. */
const KILLS = Number(process.env['TARGET_KILLS'] ?? 5);
const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

interface Made {
  readonly pair: MirrorPair;
  /** Its history. */
  readonly folder: string;
}

async function made(options: Partial<PairOptions> = {}, more: object = {}): Promise<Made> {
  const pair = await MirrorPair.make({ volumeBytes: 4 * MIB, ...options });
  ends.push(async () => pair.remove());
  const folder = join(pair.folder, 'history');
  pair.configure('target', { history: { path: folder, ...more } });
  return { pair, folder };
}

async function started(options: Partial<PairOptions> = {}, more: object = {}): Promise<Made> {
  const bed = await made(options, more);
  bed.pair.start('target');
  bed.pair.start('source');
  await untilInSync(bed.pair);
  return bed;
}

const untilInSync = async (pair: MirrorPair): Promise<unknown> =>
  eventually('in sync', SOON_MS, async () => (await pair.seen())?.state === 'in-sync');

const historyOf = async (pair: MirrorPair): Promise<TargetHistoryStatus | null> =>
  pair.status('target').then(
    (status) => status['history'] as TargetHistoryStatus,
    () => null,
  );

/** Waits until all that was written by now is recorded; answers the mark. */
async function recorded({ pair, folder }: Made): Promise<number> {
  const { marks } = (await pair.status('source')) as unknown as { marks: { admitted: number } };
  const { mark } = await eventually('it is recorded', SOON_MS, async () => {
    const seen = await historyOf(pair);
    const last = seen?.state === 'recording' ? loadRecording(folder).extent.spans.at(-1) : null;
    if (last && last.to >= marks.admitted) return { mark: last.to };
    throw new Error(`${marks.admitted}: ${JSON.stringify(seen)}\n${pair.log('target')}`);
  });
  return mark;
}

async function write(pair: MirrorPair, ...commands: readonly string[]): Promise<void> {
  const words = commands.flatMap((each) => ['-c', each]);
  const { status, stderr } = await run(['qemu-io', '-f', 'raw', ...words, '-c', 'flush', pair.uri('source')], {
    timeoutMs: SOON_MS,
  });
  if (status !== 0) throw new Error(stderr);
}

const history = async (...argv: readonly string[]): Promise<{ status: number; stdout: string; stderr: string }> =>
  run([process.execPath, CLI_PATH, 'history', ...argv], { timeoutMs: SOON_MS });

/** Each state that is offered, of each volume, from a mark on. */
function* states(folder: string, first = 0): Generator<{ mark: number; content: Buffer[] }> {
  const loaded = loadRecording(folder);
  for (const { from, to } of loaded.extent.spans) {
    for (let mark = Math.max(from, first); mark <= to; mark++) {
      const state = new State(loaded, mark);
      const content = loaded.head.volumes.map(({ bytes }, volume) => {
        const into = Buffer.alloc(bytes);
        state.read(volume, 0, into);
        return into;
      });
      state.close();
      yield { mark, content };
    }
  }
}

/** The last state that is offered, of the first volume: while it is folded the earlier ones go away. */
function newestOf(folder: string): Buffer {
  const loaded = loadRecording(folder);
  const into = Buffer.alloc(loaded.head.volumes[0]?.bytes ?? 0);
  const state = new State(loaded, loaded.extent.spans.at(-1)?.to ?? 0);
  state.read(0, 0, into);
  state.close();
  return into;
}

/** Patterns one after the other, with the mark and the time behind each. */
async function account(bed: Made, count: number, from = 1) {
  const content = Buffer.alloc(4 * MIB);
  const noted: { mark: number; time: string; digest: string }[] = [];
  for (let i = from; i < from + count; i++) {
    const [offset, length] = [(i * 300_000) % (2 * MIB), 500_001];
    await write(bed.pair, `write -P ${i} ${offset} ${length}`);
    content.fill(i, offset, offset + length);
    noted.push({ mark: await recorded(bed), time: new Date().toISOString(), digest: sha256(content) });
    await new Promise((resolve) => setTimeout(resolve, 3));
  }
  return noted;
}

async function served(folder: string, at: string, pair: MirrorPair): Promise<Buffer> {
  const socket = join(pair.folder, 'state.nbd');
  const words = ['history', 'serve', '--at', at, '--store', folder, '--listen', `unix:${socket}`];
  const child = spawn(process.execPath, [CLI_PATH, ...words], { stdio: ['ignore', 'pipe', 'pipe'] });
  let out = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (piece: Buffer) => (out += piece.toString()));
  try {
    await eventually('it is served', SOON_MS, () => /^serving /m.test(out) || child.exitCode !== null);
    const uri = /^serving (.*)$/m.exec(out)?.[1];
    if (uri === undefined) throw new Error(out);
    const image = join(pair.folder, 'image');
    expect((await run(['nbdcopy', uri, image], { timeoutMs: SOON_MS })).status).toBe(0);
    return readFileSync(image);
  } finally {
    const exit = once(child, 'exit');
    child.kill('SIGKILL');
    await exit;
  }
}

test('[OS3] [OS4] [OS8] [OS9] every earlier state, while the target runs and when it is dead: listed, served, written back, pruned', async () => {
  const bed = await started();
  const { pair, folder } = bed;
  const noted = await account(bed, 5);
  const [, second, , fourth] = noted;
  if (!second || !fourth) throw new Error('five were written');
  const listed = await history('list', '--config', pair.config('target'));
  expect(listed.stdout).toMatch(/^erp: data \(4\.0 MiB\)/);
  // It has just begun, and let go of nothing.
  expect(listed.stdout).not.toMatch(/asked for/);
  for (const isAlive of [true, false]) {
    if (!isAlive) await pair.end('target', 'SIGKILL');
    for (const { mark, time, digest } of noted) {
      const found = await history('at', time, '--store', folder, '--digest', '--json');
      expect(found.stdout, `${time} is ${mark}`).toContain(digest);
    }
    expect(sha256(await served(folder, second.time, pair))).toBe(second.digest);
  }
  expect((await history('diff', `#${second.mark}`, `#${fourth.mark}`, '--store', folder, '--json')).stdout).toMatch(
    /"writes":2/,
  );
  const onto = join(pair.folder, 'onto');
  writeFileSync(onto, Buffer.alloc(4 * MIB));
  expect((await history('restore', '--at', `#${fourth.mark}`, onto, '--store', folder, '--yes')).status).toBe(0);
  expect(sha256(readFileSync(onto))).toBe(fourth.digest);
  // By whoever runs: the target, or nobody.
  pair.start('target');
  await untilInSync(pair);
  for (const isAlive of [true, false]) {
    if (!isAlive) await pair.end('target');
    const pruned = await history('prune', '--before', 'now', '--yes', '--config', pair.config('target'), '--json');
    expect(JSON.parse(pruned.stdout)).toMatchObject({ pruned: [{ monitor: 'erp' }] });
  }
  expect(sha256(newestOf(folder))).toBe(noted.at(-1)?.digest);
});

test('[OS4] [HI9] while the source is linked `now` is the present, though nothing is written; without it what was heard last is all', async () => {
  const bed = await started();
  const { pair, folder } = bed;
  const [first, last] = await account(bed, 2);
  if (!first || !last) throw new Error('two were written');
  const at = async (time: string) => history('at', time, '--digest', '--store', folder);
  // Two words of a second each: it waits for them, but a slow machine may need longer.
  const present = async () =>
    eventually('now is known', SOON_MS, async () => {
      const found = await at('now');
      if (found.status === 0) return found;
      throw new Error(found.stderr);
    });
  const knownUs = (): number => loadRecording(folder).extent.knownUs;
  const stood = knownUs();
  await eventually('the time that is known goes on', SOON_MS, () => knownUs() > stood + 2_000_000);
  expect((await present()).stdout).toContain(last.digest);
  await pair.end('source', 'SIGKILL');
  const refused = await at('now');
  expect([refused.status, refused.stderr]).toEqual([
    EXIT.failed,
    expect.stringMatching(/ lies behind \d{4}-\S+Z, until when all .* or #\d+ for the newest state that is here/),
  ]);
  const newest = /#\d+/.exec(refused.stderr)?.[0] ?? '';
  for (const [time, digest] of [
    [newest, last.digest],
    [last.time, last.digest],
    [first.time, first.digest],
  ] as const)
    expect((await at(time)).stdout, time).toContain(digest);
  // It comes back: what is written then, and the time that goes on, are known again.
  pair.start('source');
  await untilInSync(pair);
  await write(pair, 'write -P 99 0 64k');
  await recorded(bed);
  expect((await present()).stdout).not.toContain(last.digest);
});

test.each([
  ['entries', { by: 'entries' }],
  ['references', { by: 'references', everyCycles: 3 }],
  ['data', { by: 'data', everyCycles: 3 }],
] as const)(
  '[OS3] [OS4] two volumes in one order, cuts by %s: each state is one of the write list',
  async (_, checkpoint) => {
    const half = HISTORY_BYTES / 2;
    const options = { volumeBytes: half, more: ['other'], cycleMs: 20, settings: { source: { checkpoint } } };
    const bed = await started(options);
    const { pair, folder } = bed;
    await recorded(bed);
    const clients = [
      await NbdClient.open(pair.socket('source'), 'data'),
      await NbdClient.open(pair.socket('source'), 'other'),
    ];
    ends.push(() => clients.forEach((client) => client.close()));
    const writes = new WriteHistory(5);
    await writes.writeInTurn(clients, half, () => writes.acked >= 400);
    await recorded(bed);
    let [count, last] = [0, 0];
    for (const { mark, content } of states(folder)) {
      const cut = writes.cutOf(Buffer.concat(content), `mark ${mark}`);
      expect(cut, `mark ${mark}`).toBeGreaterThanOrEqual(last);
      last = cut;
      count++;
    }
    expect(last).toBe(writes.acked);
    expect(count).toBeGreaterThan(300);
  },
);

test(
  `[OS5] [OS3] the target is killed ${KILLS} times while it is written to: each state is one of the write list, without a gap`,
  { timeout: 240_000 + KILLS * 20_000 },
  async () => {
    const bed = await started({ volumeBytes: HISTORY_BYTES, cycleMs: 20 });
    const { pair, folder } = bed;
    const random = new Prng(11);
    const writes = new WriteHistory(7);
    let looked = await recorded(bed);
    for (let kill = 1; kill <= KILLS; kill++) {
      const client = await NbdClient.open(pair.socket('source'), 'data');
      const before = writes.acked;
      let isOver = false;
      const writing = writes.write(client, () => isOver);
      await eventually('writes are answered', SOON_MS, () => writes.acked > before + 20 + random.below(60));
      await new Promise((resolve) => setTimeout(resolve, random.below(60)));
      await pair.end('target', 'SIGKILL');
      isOver = true;
      await writing;
      client.close();
      for (const { mark, content } of states(folder, looked))
        writes.cutOf(content[0] ?? Buffer.alloc(0), `kill ${kill}, mark ${mark}`);
      pair.start('target');
      await untilInSync(pair);
      looked = await recorded(bed);
    }
    let last = 0;
    for (const { mark, content } of states(folder)) last = writes.cutOf(content[0] ?? Buffer.alloc(0), `mark ${mark}`);
    expect(last).toBe(writes.acked);
    expect(loadRecording(folder).extent, pair.log('target')).toMatchObject({ spans: [{}], gaps: [] });
  },
);

test('[OS5] a comparison is a gap, and what comes behind it is right', async () => {
  const bed = await started();
  const { pair, folder } = bed;
  const before = await account(bed, 2);
  await pair.command('source', 'resync', 'east');
  await eventually(
    'it was compared',
    SOON_MS,
    async () => /staged/.test(pair.log('target')) && (await pair.seen())?.state === 'in-sync',
  );
  await write(pair, 'write -P 77 0 4M');
  await recorded(bed);
  const all = new Map([...states(folder)].map(({ mark, content }) => [mark, sha256(content[0] ?? Buffer.alloc(0))]));
  for (const { mark, digest } of before) expect(all.get(mark)).toBe(digest);
  expect([...all.values()].at(-1)).toBe(sha256(Buffer.alloc(4 * MIB, 77)));
});

test('[OS5] a takeover ends it: what the former target writes as a source is in no state, and what was recorded stays', async () => {
  const bed = await started({ withLog: true });
  const { pair, folder } = bed;
  const before = await account(bed, 2);
  await pair.end('source', 'SIGKILL');
  await pair.command('target', 'takeover');
  const taken = await NbdClient.open(pair.socket('target'), 'data');
  await taken.write(0, new Uint8Array(MIB).fill(99));
  taken.close();
  const all = new Map([...states(folder)].map(({ mark, content }) => [mark, sha256(content[0] ?? Buffer.alloc(0))]));
  for (const { mark, digest } of before) expect(all.get(mark)).toBe(digest);
});

test('[OS5] its folder takes nothing: the mirror goes on and says it everywhere, and records again when there is room', async () => {
  const listen = `127.0.0.1:${await freePort()}`;
  const bed = await made(
    { volumeBytes: 4 * MIB, journalSize: '8M', settings: { target: { metrics: { listen } } } },
    {
      retention: { hours: 0, bytes: '2M' },
    },
  );
  const { pair, folder } = bed;
  mkdirSync(folder);
  expect(await run(['mount', '-t', 'tmpfs', '-o', 'size=24m', 'tmpfs', folder])).toMatchObject({ status: 0 });
  ends.push(async () => {
    await pair.end('target', 'SIGKILL');
    await run(['umount', folder]);
  });
  pair.start('target');
  pair.start('source');
  await untilInSync(pair);
  await write(pair, 'write -P 1 0 4M');
  await recorded(bed);
  const metric = async (): Promise<string> => (await fetch(`http://${listen}/metrics`)).text();
  expect(await metric()).toMatch(/^stillbeat_mirror_history_failing 0$/m);
  // Somebody else fills the file system.
  const filler = join(folder, '..', 'history', 'lost+found');
  const { bavail, bsize } = statfsSync(folder);
  writeFileSync(filler, Buffer.alloc(bavail * bsize));
  for (let i = 2; i < 14; i++) await write(pair, `write -P ${i} 0 4M`);
  await eventually('it is told', SOON_MS, async () => (await historyOf(pair))?.isFailing === true);
  await eventually('it says what fails', SOON_MS, () => /history.*cannot be written/.test(pair.log('target')));
  // Each time it greets its target anew it does not fail for a moment.
  await eventually('metrics say so', SOON_MS, async () => /^stillbeat_mirror_history_failing 1$/m.test(await metric()));
  await eventually('the status says why', SOON_MS, async () => {
    const { stdout } = await run([process.execPath, CLI_PATH, 'mirror', 'status', '--config', pair.config('target')]);
    return /^history .*\n {12}last: .*(written|let go of|greeting)/m.test(stdout);
  });
  // The copy is in sync all the time.
  expect((await pair.seen())?.state).toBe('in-sync');
  await eventually('the copy is what its source is', SOON_MS, () =>
    pair.content('target').equals(pair.content('source')),
  );
  rmSync(filler);
  await write(pair, 'write -P 200 0 4M');
  await recorded(bed);
  expect(newestOf(folder).equals(Buffer.alloc(4 * MIB, 200))).toBe(true);
});

test('[OS5] what is wrong with its recording is told once, and keeps no target from running; in an empty folder it begins anew', async () => {
  const bed = await started();
  const { pair, folder } = bed;
  await account(bed, 1);
  await pair.end('target');
  for (const head of ['head', 'head.copy']) writeFileSync(join(folder, head), 'x');
  pair.start('target');
  await untilInSync(pair);
  const seen = await historyOf(pair);
  expect(seen).toMatchObject({ state: 'away', isFailing: true });
  expect(seen?.problem).toMatch(/head is damaged, and so is its copy: .*, or remove the folder$/);
  // Each attempt is a thread; the pool of files may have begun four more.
  const threads = new Set<string>();
  const look = (): number => {
    for (const id of readdirSync(`/proc/${pair.pid('target')}/task`)) threads.add(id);
    return threads.size;
  };
  const present = look();
  await eventually('it was tried again', SOON_MS, () => look() > present + 5);
  expect(pair.log('target').match(/head is damaged/g)?.length).toBe(1);
  rmSync(folder, { recursive: true });
  await account(bed, 1, 2);
});

test('asked for what a source does it names what there is to say to it, as it is typed', async () => {
  const { pair } = await made();
  pair.start('target');
  await eventually('the target runs', SOON_MS, async () => pair.status('target').catch(() => null));
  const { status, stderr } = await run([
    process.execPath,
    CLI_PATH,
    'mirror',
    'verify',
    '--config',
    pair.config('target'),
  ]);
  expect([status, stderr]).toEqual([
    EXIT.usage,
    'stillbeat: it is a target now, which has no mirror verify, but mirror status, mirror takeover, history prune\n',
  ]);
});

test('[OS5] a folder that cannot be its own is refused with one line', async () => {
  const { pair, folder } = await made();
  const refused = async (line: RegExp): Promise<void> => {
    const { status, stderr } = await pair.run('target');
    expect(stderr).toMatch(/^stillbeat: [^\n]+\n$|\nstillbeat: [^\n]+\n$/);
    expect(stderr).toMatch(line);
    expect(status).toBe(EXIT.volume);
  };
  writeFileSync(folder, 'a file');
  await refused(/history \S+ is no folder: name another path/);
  rmSync(folder);
  mkdirSync(folder);
  writeFileSync(join(folder, 'letter.txt'), 'dear');
  await refused(/history \S+ holds other things \(letter\.txt\): name a folder of its own/);
  rmSync(folder, { recursive: true });
  // Another group's.
  pair.start('target');
  pair.start('source');
  await untilInSync(pair);
  await eventually('it is a recording', SOON_MS, async () => (await historyOf(pair))?.state === 'recording');
  for (const side of ['source', 'target'] as const) await pair.end(side);
  const other = await made();
  other.pair.configure('target', { group: 'crm', history: { path: folder } });
  const { status, stderr } = await other.pair.run('target');
  expect(stderr).toMatch(/recording \S+ is of monitor erp, not crm: name another folder/);
  expect(status).toBe(EXIT.volume);
  pair.configure('target', { history: { path: pair.volume.target } });
  const same = await pair.run('target');
  expect([same.status, same.stderr]).toEqual([
    EXIT.usage,
    expect.stringMatching(/history\.path.*is something else too/),
  ]);
});

test('[HI6] [HI11] a source’s clock that is set: of a target’s own history no time is answered with another state', async () => {
  const bed = await made();
  const { pair, folder } = bed;
  const offset = join(pair.folder, 'offset');
  const clock = join(pair.folder, 'clock.mjs');
  writeFileSync(offset, '0');
  writeFileSync(
    clock,
    `import { readFileSync } from 'node:fs';
    const { now } = Date;
    let ahead = 0;
    setInterval(() => (ahead = Number(readFileSync(${JSON.stringify(offset)}, 'utf8')) * 1000), 5).unref();
    Date.now = () => now() + ahead;\n`,
  );
  pair.wrap('source', ['env', `NODE_OPTIONS=--import=${clock}`]);
  for (const side of ['target', 'source'] as const) pair.start(side);
  await untilInSync(pair);
  const spans: { readonly begunUs: number; readonly doneUs: number; readonly mark: number }[] = [];
  const answer = (timeUs: number) => {
    const { table, extent, times } = loadRecording(folder);
    return findMark(table, extent, times, { timeUs }, Date.now() * 1000);
  };
  const isRight = (): boolean => {
    const nowUs = Date.now() * 1000;
    for (let timeUs = spans[0]?.begunUs ?? nowUs; timeUs < nowUs; timeUs += 50_000) {
      const found = answer(timeUs);
      if (!found.ok) continue;
      spans.forEach(({ begunUs, doneUs, mark }, i) => {
        const what = `${new Date(timeUs / 1000).toISOString()} is mark ${found.mark}; write ${i} up to ${mark}`;
        if (timeUs > doneUs) expect(found.mark, what).toBeGreaterThanOrEqual(mark);
        if (timeUs < begunUs) expect(found.mark, what).toBeLessThan(mark);
      });
    }
    return true;
  };
  const put = async (): Promise<void> => {
    const begunUs = Date.now() * 1000;
    await write(pair, `write -P ${spans.length + 1} 0 64k`);
    const doneUs = (Date.now() + 1) * 1000;
    await recorded(bed);
    const { table } = loadRecording(folder);
    const last = [...table.order].findLast((one) => table.kind(one) === 1) ?? 0;
    spans.push({ begunUs, doneUs, mark: table.mark(last) });
  };
  const isKnown = async (): Promise<void> =>
    void (await eventually('the present is known', SOON_MS, () => {
      isRight();
      const found = answer(Date.now() * 1000 - 2_500_000);
      if (found.ok) return true;
      throw new Error(`${found.why}\n${pair.log('target')}`);
    }));
  await put();
  await isKnown();
  for (const aheadS of [3600, -5]) {
    writeFileSync(offset, String(aheadS));
    await new Promise((resolve) => setTimeout(resolve, 50));
    await put();
    await put();
    const endMs = Date.now() + 6000;
    await eventually('it is right for a while', SOON_MS, () => isRight() && Date.now() > endMs);
    if (aheadS > 0) await isKnown();
  }
  expect(pair.log('target')).toMatch(/its clock was set/);
});
