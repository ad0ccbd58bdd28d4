/** A group with more than one target, and one with more than one volume: real processes, killed as they write. */
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { eventually } from '../support/cluster.ts';
import { MirrorPair, type Side } from '../support/mirror-pair.ts';
import type { MirrorProcess } from '../support/mirror-process.ts';
import { MirrorSites, SITES, type Site } from '../support/mirror-sites.ts';
import { NbdClient } from '../support/nbd-client.ts';
import { HISTORY_BYTES, WriteHistory } from '../support/write-history.ts';

const SOON_MS = 60_000;
const ends: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0)) await end();
});

const clientOf = async (socket: string, volume = 'data'): Promise<NbdClient> =>
  eventually(`${socket} serves ${volume}`, SOON_MS, async () => NbdClient.open(socket, volume).catch(() => null));

async function contentOf(socket: string, volume = 'data'): Promise<Buffer> {
  const reader = await clientOf(socket, volume);
  const bytes = await reader.read(0, reader.size);
  reader.close();
  return bytes;
}

test('[I3] [MI13] of two targets one takes over, the other follows its generation, the old source comes back by failback', async () => {
  const sites = await MirrorSites.make(HISTORY_BYTES);
  ends.push(async () => sites.remove());
  const { home, east, west } = sites.site;
  for (const site of SITES) sites.site[site].start();
  const untilInSync = async (source: MirrorProcess, ...names: Site[]): Promise<void> => {
    for (const name of names) {
      await eventually(`${name} is in sync`, SOON_MS, async () => (await source.seen(name))?.state === 'in-sync');
    }
  };
  await untilInSync(home, 'east', 'west');
  const history = new WriteHistory(21);
  const writeUntil = async (to: MirrorProcess, end: () => Promise<unknown>): Promise<void> => {
    const writer = await clientOf(to.socket);
    let isOver = false;
    const before = history.acked;
    const writing = history.write(writer, () => isOver);
    await eventually('writes are answered', SOON_MS, () => history.acked > before + 50);
    await end();
    isOver = true;
    await writing;
    writer.close();
  };
  await writeUntil(home, async () => home.end('SIGKILL'));
  expect(history.acked).toBeGreaterThan(50);
  // What the source had sent may still be on its way in.
  await eventually(
    'the west has seen the source go',
    SOON_MS,
    async () => ((await west.status())['links'] as unknown[]).length === 0,
  );
  const { received } = await west.status();
  expect(await east.command('takeover')).not.toMatch(/may be lost/);
  const shown = history.cutOf(await contentOf(east.socket), 'the east');
  expect(shown).toBeGreaterThanOrEqual(history.acked);
  history.forgetBehind(shown);
  await untilInSync(east, 'west');
  // Who ends at the branch goes on from there. What another has beyond it is to be gone, and what it lacks before it the new source's
  // journal, which begins there, does not have: it is compared.
  const branch = Number(/"mark":(\d+),"message":"takeover"/.exec(east.log)?.[1]);
  const how = /"how":"(\w+)"[^}]*"target-linked"[^}]*"target":"west"/.exec(east.log)?.[1];
  expect(how).toBe(received === branch ? 'replay' : 'scan');
  expect((await west.status())['generation']).toBe((await east.status())['generation']);
  await writeUntil(east, async () => untilInSync(east, 'west'));
  home.start();
  await eventually('it is told', SOON_MS, async () => (await home.status())['state'] === 'overtaken');
  const said = await home.command('failback', '--discard');
  expect(said).toMatch(/role +target/);
  await untilInSync(east, 'home', 'west');
  await writeUntil(east, async () => delay(100));
  await eventually('all are equal', SOON_MS, () =>
    (['home', 'west'] as const).every((site) => sites.content(site).equals(sites.content('east'))),
  ).catch(async (error: Error) => {
    const said = SITES.map(async (site) => [site, await sites.site[site].status(), sites.site[site].log.slice(-3000)]);
    throw new Error(`${error.message}: ${JSON.stringify(await Promise.all(said), null, 1)}`);
  });
  expect(history.cutOf(sites.content('home'), 'home')).toBeGreaterThanOrEqual(history.acked);
});

test('[CY5] [I12] two volumes of a group show one cut, whoever is killed: what was written to one later is not there without the other', async () => {
  const half = HISTORY_BYTES / 2;
  const pair = await MirrorPair.make({ volumeBytes: half, acknowledge: 'local', journalSize: '8M', more: ['log'] });
  ends.push(async () => pair.remove());
  for (const side of ['target', 'source'] as const) pair.start(side);
  await pair.untilInSync();
  const both = async (side: Side): Promise<Buffer> =>
    Buffer.concat([await contentOf(pair.socket(side)), await contentOf(pair.socket(side), 'log')]);
  const history = new WriteHistory(22);
  let shown = 0;
  for (const kills of [['source'], ['target'], ['target', 'source']] as const) {
    const volumes = [await clientOf(pair.socket('source')), await clientOf(pair.socket('source'), 'log')] as const;
    let isOver = false;
    const before = history.acked;
    // Each is answered before the next one: their order over both volumes is that of the numbers.
    const writing = history.writeInTurn(volumes, half, () => isOver);
    await eventually('writes are answered', SOON_MS, () => history.acked > before + 20);
    await Promise.all(kills.map(async (side) => pair.end(side, 'SIGKILL')));
    isOver = true;
    await writing;
    for (const volume of volumes) volume.close();
    const label = `${kills.join(' and ')} killed`;
    // With its source gone a target stays where it is while both volumes are read.
    await pair.end('source', 'SIGKILL');
    if ((kills as readonly Side[]).includes('target')) pair.start('target');
    await eventually('nothing is applied', SOON_MS, async () => {
      const { state, links } = await pair.status('target');
      return state === 'consistent' && (links as unknown[]).length === 0;
    });
    const cut = history.cutOf(await both('target'), label);
    expect(cut, label).toBeGreaterThanOrEqual(shown);
    shown = cut;
    pair.start('source');
    const kept = history.cutOf(await both('source'), `${label}: the source`);
    expect(kept).toBeGreaterThanOrEqual(history.acked);
    history.forgetBehind(kept);
    await pair.untilInSync();
    await eventually('the target has all', SOON_MS, async () => history.cutOf(await both('target'), label) === kept);
  }
  expect(shown).toBeGreaterThan(20);
});
