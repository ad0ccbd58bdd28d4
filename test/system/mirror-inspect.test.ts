/** `inspect` of the mirror's own files, live and dead: journals of source and target, and the log device. */
import { spawnSync } from 'node:child_process';
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { tool } from '../../agent/demo/shell.ts';
import { JOURNAL_RING_OFFSET } from '../../agent/mirror/wire/layout.ts';
import { eventually } from '../support/cluster.ts';
import { CLI } from '../support/inspected.ts';
import { MirrorPair, type Side } from '../support/mirror-pair.ts';

interface JournalDocument {
  readonly role: string;
  readonly state: string;
  readonly group: string;
  readonly generation: string;
  readonly cut: number;
  readonly committed: number;
  readonly volumes: readonly { readonly name: string; readonly bytes: number }[];
  readonly ring: {
    readonly entries: number;
    readonly end: { readonly mark: number } | null;
    readonly damage: string | null;
  };
  readonly entries: readonly {
    mark: number;
    kind: string;
    volume?: string;
    offset?: number;
    length?: number;
    time: string;
  }[];
}

/** It waits on conditions beside other tests. */
const IN_TIME_MS = 60_000;

let pair: MirrorPair;
beforeAll(async () => {
  pair = await MirrorPair.make({ volumeBytes: 4 << 20, withLog: true });
  pair.start('target');
  pair.start('source');
  await pair.untilInSync();
  const commands = ['write -P 7 64k 8k', 'write -P 8 1M 4k', 'flush'].flatMap((command) => ['-c', command]);
  await tool(['qemu-io', '-f', 'raw', ...commands, pair.uri('source')]);
});
afterAll(async () => pair?.remove());

const cli = (...args: string[]) => spawnSync(process.execPath, [CLI, 'inspect', ...args], { encoding: 'utf8' });
const journal = (side: Side): string => join(pair.folder, `${side}.journal`);

function look(side: Side, ...more: string[]): JournalDocument {
  const { status, stdout, stderr } = cli(journal(side), '--json', ...more);
  expect([status, stderr]).toEqual([0, '']);
  return JSON.parse(stdout) as JournalDocument;
}

test('a live source: role, generation, volumes, and each write with its mark, time and place', async () => {
  const written = await eventually('both writes are in the journal', IN_TIME_MS, () => {
    const found = look('source');
    return found.entries.filter(({ kind }) => kind === 'write').length >= 2 && found;
  });
  expect(written).toMatchObject({ role: 'source', group: 'erp', volumes: [{ name: 'data', bytes: 4 << 20 }] });
  expect(written.generation).toMatch(/^[0-9a-f]{32}$/);
  expect(written.entries.filter(({ kind }) => kind === 'write')).toMatchObject([
    { volume: 'data', offset: 65_536, length: 8192 },
    { volume: 'data', offset: 1_048_576, length: 4096 },
  ]);
  const marks = written.entries.map(({ mark }) => mark);
  expect(marks).toEqual(marks.map((_, i) => (marks[0] ?? 0) + i));
  for (const { time } of written.entries) expect(Math.abs(Date.parse(time) - Date.now())).toBeLessThan(120_000);
  const { stdout } = cli(journal('source'));
  expect(stdout).toMatch(/^journal .*: source of group erp, /);
  expect(stdout).toMatch(/^\S+Z #\d+ write data 8192 bytes at 65536, cycle \d+/m);
});

test('its target: the cut that it shows, and the generation of its source; times choose entries', () => {
  const found = look('target');
  expect(found).toMatchObject({ role: 'target', generation: look('source').generation, ring: { damage: null } });
  expect(found.cut).toBeLessThanOrEqual(found.committed);
  expect(look('target', '--until', '-1d').entries).toEqual([]);
});

test('the log device: what the source says of its targets', () => {
  const { status, stdout } = cli(join(pair.folder, 'log'), '--json');
  expect(status).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({
    damaged: 0,
    records: [{ writer: 'source', group: 'erp', targets: [{ name: 'east' }] }],
  });
  expect(cli(join(pair.folder, 'log')).stdout).toMatch(/^ {2}source of group erp, generation [0-9a-f]{32}: east is /m);
});

test('options for packets are refused in one line', () => {
  for (const option of [['--follow'], ['--type', 'data'], ['--pcap', '-'], ['--node', 'a']]) {
    const { status, stdout, stderr } = cli(journal('source'), ...option);
    expect([status, stdout, stderr.split('\n').length]).toEqual([2, '', 2]);
  }
});

test('--verify of a dead one: good, and status 1 when a byte of an entry that was durable is not what it was', async () => {
  await pair.end('source', 'SIGKILL');
  const { status, stdout } = cli(journal('source'), '--verify');
  expect([status, stdout.split('\n').at(-2)]).toEqual([0, expect.stringMatching(/entries, all proven, .* used/)]);
  const { tailPosition } = JSON.parse(cli(journal('source'), '--json').stdout) as { tailPosition: number };
  const bytes = readFileSync(journal('source'));
  const place = JOURNAL_RING_OFFSET + (tailPosition % (32 << 20)) + 20;
  const fd = openSync(journal('source'), 'r+');
  writeSync(fd, Uint8Array.of(~(bytes[place] ?? 0)), 0, 1, place);
  closeSync(fd);
  const damaged = cli(journal('source'), '--verify');
  expect(damaged.status).toBe(1);
  expect(damaged.stdout).toMatch(/^! at \d+: what was durable is not there/m);
});
