/** The figures of the mirror's processes for Prometheus: those that README names, in each role, and true ones. */
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
