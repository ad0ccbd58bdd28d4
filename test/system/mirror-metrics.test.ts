/** The figures of the mirror's processes for Prometheus: those that README names, in each role, and true ones. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { tool } from '../../agent/demo/shell.ts';
import { eventually, SOON_MS } from '../support/cluster.ts';
import { documentedMetrics, scrapedMetrics, tableOf } from '../support/metrics-tables.ts';
import { freePort, MirrorPair, type Side } from '../support/mirror-pair.ts';

/** Served while a comparison runs, or when there was one. */
const OF_COMPARISONS = /_resync_|_verify_/;

let pair: MirrorPair;
const listen: Record<Side, string> = { source: '', target: '' };

beforeAll(async () => {
  for (const side of ['source', 'target'] as const) listen[side] = `127.0.0.1:${await freePort()}`;
  const metrics = (side: Side) => ({ metrics: { listen: listen[side] } });
  const settings = { source: metrics('source'), target: metrics('target') };
  pair = await MirrorPair.make({ volumeBytes: 4 << 20, settings });
  // One that is not there has every key too.
  pair.configure('source', { recorders: [{ name: 'vault', connect: `127.0.0.1:${await freePort()}` }] });
  pair.configure('target', { history: { path: join(pair.folder, 'history') } });
  pair.start('target');
  pair.start('source');
  await pair.untilInSync();
  await eventually('its history records', SOON_MS, async () => {
    const { history } = (await pair.status('target')) as { history?: { state: string; storedBytes: number | null } };
    return history?.state === 'recording' && history.storedBytes !== null;
  });
});
afterAll(async () => pair?.remove());

const scrape = async (side: Side): Promise<string> => (await fetch(`http://${listen[side]}/metrics`)).text();
/** One sample; `name` with its labels. */
async function figure(side: Side, name: string): Promise<number> {
  const line = (await scrape(side)).split('\n').find((each) => each.startsWith(`${name} `));
  return line === undefined ? Number.NaN : Number(line.split(' ').at(-1));
}
const isLasting = ([name]: readonly [string, string]) => !OF_COMPARISONS.test(name);

test.each(['source', 'target'] as const)(
  'README names every metric of a %s with its labels, and no other',
  async (side) => {
    const served = [...scrapedMetrics(await scrape(side))].filter(isLasting);
    const documented = documentedMetrics('Metrics of the mirror').filter(({ of }) => of === side || of === 'both');
    expect(Object.fromEntries(served)).toEqual(
      Object.fromEntries(Object.entries(tableOf(documented)).filter(isLasting)),
    );
  },
);

test('README names every key of `mirror status --json`, and no other', async () => {
  const live = new Set<string>();
  for (const side of ['source', 'target'] as const) keysOf(await pair.status(side), '', live);
  const documented = new Set(documentedKeys());
  // What is below one that is named is told beside it; what only split brain, or a log device, has is not there.
  const isNamed = (key: string): boolean =>
    key === '' ? false : documented.has(key) || isNamed(key.replace(/(\[\]|\.?[^.[\]]+)$/, ''));
  const isAbove = (key: string): boolean =>
    [...documented].some((one) => one.startsWith(key) && /^[.[]/.test(one.slice(key.length)));
  expect([...live].filter((key) => !isNamed(key) && !isAbove(key))).toEqual([]);
  expect([...documented].filter((key) => !live.has(key))).toEqual(['recorders[].path']);
});

function keysOf(value: unknown, at: string, found: Set<string>): void {
  if (at !== '') found.add(at);
  if (typeof value !== 'object' || value === null) return;
  if (Array.isArray(value)) {
    found.add(`${at}[]`);
    for (const item of value) keysOf(item, `${at}[]`, found);
    return;
  }
  for (const [key, below] of Object.entries(value)) keysOf(below, at === '' ? key : `${at}.${key}`, found);
}

/** The first column of README's table; `.bytes` there stands beside what is before it. */
function documentedKeys(): string[] {
  const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
  const section = /^### `mirror status --json`$(.*?)^##/ms.exec(readme)?.[1] ?? '';
  return [...section.matchAll(/^\| (`.+?`) \|/gm)].flatMap(([, cell = '']) => {
    let first: readonly string[] = [];
    return [...cell.matchAll(/`([^`]+)`/g)].map(([, key = '']) => {
      const words = key.split('.').filter((word) => word !== '');
      const all = key.startsWith('.') ? [...first.slice(0, first.length - words.length), ...words] : words;
      first = all;
      return all.join('.');
    });
  });
}

test('[CY1] they tell of writes, of a comparison, and of a target that is away', async () => {
  const before = await figure('source', 'stillbeat_mirror_admitted_mark');
  await tool(['qemu-io', '-f', 'raw', '-c', 'write -P 7 0 1M', '-c', 'flush', pair.uri('source')]);
  expect(await figure('source', 'stillbeat_mirror_admitted_mark')).toBeGreaterThan(before);
  expect(await figure('source', 'stillbeat_mirror_state{state="in-sync"}')).toBe(1);
  expect(await figure('target', 'stillbeat_mirror_links')).toBeGreaterThan(0);
  await eventually('the target shows all', SOON_MS, async () => {
    const written = await figure('source', 'stillbeat_mirror_admitted_mark');
    return (await figure('target', 'stillbeat_mirror_cut_mark')) === written;
  });
  expect(await pair.command('source', 'verify')).toMatch(/0 bytes differ|0 differ|nothing differs/);
  expect(await figure('source', 'stillbeat_mirror_target_verify_differing_bytes{target="east"}')).toBe(0);
  await pair.end('target', 'SIGKILL');
  await eventually('it is told', SOON_MS, async () => {
    return (await figure('source', 'stillbeat_mirror_target_state{target="east",state="journaling"}')) === 1;
  });
});

test('an address that is taken is refused with one line and status 6', async () => {
  pair.configure('target', { metrics: { listen: listen.source } });
  expect(await pair.run('target')).toEqual({
    status: 6,
    stderr: expect.stringMatching(
      /^stillbeat: metrics\.listen \S+ is taken by another program: choose another port or stop it\n$/,
    ),
  });
  pair.configure('target', { metrics: { listen: 'here' } });
  expect(await pair.run('target')).toEqual({ status: 2, stderr: expect.stringMatching(/metrics\.listen/) });
});
