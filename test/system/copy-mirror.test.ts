/**
 * [AG7] `copy: mirror` when something fails, on the real program: the storage link, the agent that writes, the agent that takes
 * the copy. Afterwards the receive volume is the send volume, byte for byte.
 */
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { parse } from 'yaml';
import { dataStream, heartbeatStream } from '../../agent/demo/workload.ts';
import { eventually, SOON_MS } from '../support/cluster.ts';
import { copiedCluster, type CopiedCluster, copyOf, lossesOf } from '../support/copied-cluster.ts';

const PROBE = { primary: { probe: { stableForMs: 300, stableForMaxMs: 300 } } };

let copied: CopiedCluster;
const start = async (node: string): Promise<void> => copied.cluster.lab.startAgent(node, copied.settings(node, PROBE));

beforeAll(async () => {
  copied = await copiedCluster('mirror');
  await Promise.all([start('a'), start('b')]);
});
beforeEach(async () => {
  await copied.cluster.lab.heal();
  await copied.cluster.untilPath('network');
});
afterAll(async () => copied?.cluster.close());

const link = async (state: 'up' | 'down'): Promise<unknown> =>
  copied.cluster.lab.exec('a', ['ip', 'link', 'set', 'san0', state]);

async function untilCopied(node: string): Promise<void> {
  await eventually(`${node} is copied`, SOON_MS, async () => {
    const { copied: there, position, fault, late } = await copyOf(copied.cluster, node);
    return there === position && fault === null && !late;
  });
}

test('[AG7] the storage link is cut for a while: told, kept in the journal, and nothing is missing afterwards', async () => {
  const { cluster } = copied;
  const { lab } = cluster;
  const sinceMs = Date.now();
  const stream = await dataStream(lab, { from: 'a', to: 'b', perSecond: 50 });
  await link('down');
  await eventually('a tells of it', SOON_MS, async () =>
    (await cluster.events('a', 'copy-link', sinceMs)).some(({ peer, to }) => peer === 'b' && to === 'lost'),
  );
  expect((await copyOf(cluster, 'a')).fault).toBe('no link to b: it is kept in the journal');
  expect((await cluster.peer('a')).path).toBe('network');
  await link('up');
  await untilCopied('a');
  await untilCopied('b');
  const result = await stream.stop();
  expect(result, await lossesOf(cluster)).toMatchObject({ lost: 0, duplicated: 0, corrupted: 0 });
});

test('a report replaces neither of the agent’s journals, with --force either', async () => {
  const { lab } = copied.cluster;
  const config = lab.settingsPath('a');
  const { journal, peers } = settingsOf(config);
  // Of one that is just being made nothing says what it is.
  const none = join(lab.directory, 'no-journal');
  writeFileSync(none, '');
  const other = `${config}.other`;
  writeFileSync(other, readFileSync(config, 'utf8').replace(journal.path, none));
  for (const [file, output] of [
    [config, journal.path],
    [config, peers[0]?.mirror.journal.path ?? ''],
    [other, none],
  ] as const) {
    const { ino, size } = statSync(output);
    const { status, stderr } = await lab.stillbeat('a', ['report', '--config', file, '--output', output, '--force']);
    expect([status, stderr]).toEqual([2, `stillbeat: --output ${output} is a journal itself: name another file\n`]);
    expect(statSync(output)).toMatchObject({ ino, size });
  }
});

interface Journaled {
  readonly journal: { readonly path: string };
}

/** Where the journals are. */
function settingsOf(config: string): Journaled & { readonly peers: readonly { readonly mirror: Journaled }[] } {
  const { storage, peers } = parse(readFileSync(config, 'utf8')) as {
    readonly storage: { readonly mirror: Journaled };
    readonly peers: readonly { readonly mirror: Journaled }[];
  };
  return { ...storage.mirror, peers };
}

test('[AG7] an agent is killed while all goes by storage, and starts again: the way is there again, nothing is twice', async () => {
  const { cluster } = copied;
  const { lab } = cluster;
  await lab.cut('silent');
  await cluster.untilPath('storage');
  for (const victim of ['a', 'b']) {
    await lab.stopAgent(victim, 'SIGKILL');
    await start(victim);
    await cluster.untilPath('storage');
    const stream = await heartbeatStream(lab, { from: 'a', to: 'b', perSecond: 50 });
    await eventually(`heard with another ${victim}`, SOON_MS, () => stream.progress.received > 50);
    expect(await stream.stop()).toMatchObject({ duplicated: 0, disordered: 0, corrupted: 0 });
  }
});

test('[AG7] when all is quiet the receive volume is the send volume, byte for byte', async () => {
  const { cluster, volumes } = copied;
  const { lab } = cluster;
  await untilCopied('a');
  expect(await lab.stopAgent('a')).toBe(0);
  expect(await lab.stopAgent('b')).toBe(0);
  const { sendFile = '', receiveFile = '' } = volumes.get('a') ?? {};
  expect(Buffer.compare(readFileSync(sendFile), readFileSync(receiveFile))).toBe(0);
  await Promise.all([start('a'), start('b')]);
});
