/** Two sources, whose clocks are an hour apart, at one recorder: what is said of both, and of the one that is meant. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { run } from '../../agent/demo/shell.ts';
import { loadRecording } from '../../agent/history/store/load.ts';
import { eventually } from '../support/cluster.ts';
import { HistoryBed, sha256, SOON_MS } from '../support/history-bed.ts';
import { MirrorPair } from '../support/mirror-pair.ts';

const BYTES = 1 << 20;
const HOUR_MS = 3_600_000;
const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

const volumeOf = (pattern: number): string => sha256(Buffer.alloc(BYTES, pattern));

/** A second source, of group crm, at the recorder of the first. */
async function secondSource(bed: HistoryBed): Promise<MirrorPair> {
  const { listen } = JSON.parse(readFileSync(bed.config, 'utf8')) as { listen: string };
  const source = {
    group: 'crm',
    keyFile: join(bed.pair.folder, 'key'),
    targets: [],
    acknowledge: 'local',
    recorders: [{ name: 'vault', connect: listen }],
  };
  const pair = await MirrorPair.make({ volumeBytes: BYTES, settings: { source } });
  ends.push(async () => pair.remove());
  const clock = join(pair.folder, 'clock.mjs');
  writeFileSync(clock, `const { now } = Date; Date.now = () => now() + ${HOUR_MS};\n`);
  pair.wrap('source', ['env', `NODE_OPTIONS=--import=${clock}`]);
  pair.start('source');
  return pair;
}

/** Fills the volume; answers when all of it is recorded: the time of its last mark, by the recorder's clock. */
async function fill(bed: HistoryBed, pair: MirrorPair, monitor: string, pattern: number): Promise<number> {
  const written = async (): Promise<boolean> => {
    const argv = ['qemu-io', '-f', 'raw', '-c', `write -P ${pattern} 0 1M`, '-c', 'flush', pair.uri('source')];
    return (await run(argv, { timeoutMs: SOON_MS })).status === 0;
  };
  await eventually(`${monitor} takes writes`, SOON_MS, written);
  const { marks } = (await pair.status('source')) as unknown as { marks: { admitted: number } };
  const last = () => loadRecording(join(bed.store, monitor)).extent.spans.at(-1);
  await eventually(`${monitor} is recorded`, SOON_MS, () => (last()?.to ?? 0) >= marks.admitted);
  return (last()?.toUs ?? 0) / 1000;
}

test('[OS3] [OS9] two monitors, their clocks an hour apart: the same time of both, each by its name, one damaged beside one that is not', async () => {
  const bed = await HistoryBed.make({ volumeBytes: BYTES });
  ends.push(async () => bed.remove());
  await bed.start();
  const other = await secondSource(bed);
  const firstMs = Math.max(await fill(bed, bed.pair, 'erp', 1), await fill(bed, other, 'crm', 2));
  const betweenMs = Math.ceil(Math.max(firstMs, Date.now())) + 5;
  await eventually('time has passed', SOON_MS, () => Date.now() > betweenMs + 5);
  await fill(bed, bed.pair, 'erp', 3);
  await fill(bed, other, 'crm', 4);
  const between = new Date(betweenMs).toISOString();
  const store = ['--store', bed.store];
  const list = await bed.history('list', ...store);
  expect([list.status, list.stdout]).toEqual([0, expect.stringMatching(/^crm: data .*^erp: data /ms)]);
  expect(list.stdout).toMatch(/^ {2}its clock is (3600|3599) s ahead of the recorder's/m);
  const both = async (time: string): Promise<unknown> => {
    const { stdout } = await bed.history('at', time, '--digest', '--json', ...store);
    const { states } = JSON.parse(stdout) as { states: { monitor: string; volumes: { sha256: string }[] }[] };
    return states.map(({ monitor, volumes }) => [monitor, volumes[0]?.sha256]);
  };
  expect(await both(between)).toEqual([
    ['crm', volumeOf(2)],
    ['erp', volumeOf(1)],
  ]);
  expect(await both('now')).toEqual([
    ['crm', volumeOf(4)],
    ['erp', volumeOf(3)],
  ]);
  const uri = await bed.serve(between);
  for (const [monitor, pattern] of [
    ['crm', 2],
    ['erp', 1],
  ] as const) {
    const image = join(bed.pair.folder, monitor);
    const copied = await run(['nbdcopy', uri.replace('/crm/data?', `/${monitor}/data?`), image], {
      timeoutMs: SOON_MS,
    });
    expect([copied.status, copied.stderr]).toEqual([0, '']);
    expect(sha256(readFileSync(image))).toBe(volumeOf(pattern));
  }
  expect(uri).toContain('/crm/data?');
  expect(await bed.history('at', between, '--monitor', 'missing', ...store)).toMatchObject({
    status: 1,
    stderr: expect.stringMatching(/^stillbeat: there is no recording of missing in \S+, but of crm, erp\n$/),
  });
  expect(await bed.history('diff', between, 'now', ...store)).toMatchObject({
    status: 2,
    stderr: expect.stringMatching(/--monitor is missing: there are crm, erp/),
  });
  await bed.endRecorder('SIGTERM');
  for (const head of ['head', 'head.copy']) writeFileSync(join(bed.store, 'crm', head), 'x');
  for (const argv of [['list'], ['at', between]]) {
    expect(await bed.history(...argv, ...store)).toMatchObject({
      status: 3,
      stdout: expect.stringMatching(/^erp: /),
      stderr: expect.stringMatching(/^stillbeat: \S+head is damaged, and so is its copy: [^\n]*: it is passed over\n$/),
    });
  }
  expect(await bed.history('list', '--monitor', 'erp', ...store)).toMatchObject({ status: 0, stderr: '' });
});
