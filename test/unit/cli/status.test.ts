/** The status document when the switch thread hangs: what shared memory holds, and no error. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import type { Agent } from '../../../agent/agent.ts';
import type { CorosyncDocument } from '../../../agent/operate/corosync-advice.ts';
import { AgentError } from '../../../agent/base/errors.ts';
import { metricsTable } from '../../../agent/operate/metrics-table.ts';
import { statusText } from '../../../agent/cli/status-text.ts';
import { systemClock } from '../../../agent/platform/clock.ts';
import { READER, READER_TIME, type ReaderWords } from '../../../agent/queue/reader-words.ts';
import { AGENT_TIME, SharedState, sharedStateBytes } from '../../../agent/queue/shared-state.ts';
import { parseSettings } from '../../../agent/settings/load.ts';
import { statusDocument } from '../../../agent/status.ts';
import { changed } from '../settings/minimal.ts';

function hangingAgent(): Agent {
  const state = new SharedState(new SharedArrayBuffer(sharedStateBytes(1)), 1);
  state.times[AGENT_TIME.writtenMs] = systemClock.monotonicMs();
  state.times[AGENT_TIME.batches] = 7;
  const [good, hangs, fails] = state.readers as [ReaderWords, ReaderWords, ReaderWords];
  good.times[READER_TIME.reads] = 100;
  hangs.times[READER_TIME.beganMs] = systemClock.monotonicMs() - 5000;
  hangs.times[READER_TIME.reads] = 20;
  Atomics.store(fails.words, READER.errno, 5);
  fails.times[READER_TIME.readErrors] = 3;
  state.times[AGENT_TIME.pastReads] = 1000;
  return {
    settings: parseSettings(changed({}), 'f.yaml'),
    state,
    keys: [],
    incarnation: new Uint8Array(16),
    volumes: { send: { path: '/v', slotBytes: 4096 }, isDirect: true, sectorBytes: 512 },
    receiveVolumes: [
      { path: '/good', peers: ['b'], words: good },
      { path: '/hangs', peers: ['c', 'd'], words: hangs },
      { path: '/fails', peers: ['e'], words: fails },
    ],
    snapshot: async () => Promise.reject(new AgentError('failed', 'the switch thread does not answer')),
  } as unknown as Agent;
}

const ADVICE: CorosyncDocument = {
  nodes: 2,
  oneWayMs: null,
  tokenMinMs: null,
  configuredTokenMs: null,
  fits: null,
  problem: null,
};

test('says so, and still tells of the storage', async () => {
  const document = await statusDocument(hangingAgent(), [{ at: 'then', kind: 'thread-stalled' }], ADVICE, {});
  expect(document).toMatchObject({
    cluster: 'lab',
    switch: 'not answering',
    vnic: { name: 'sb0', frames: null },
    storage: { available: true, batches: 7, writeError: null },
    queues: null,
    peers: [],
    events: [{ kind: 'thread-stalled' }],
  });
  expect(statusText(document, false)).toMatch(/^switch +NOT ANSWERING/m);
});

test('each receive volume by itself: the one that hangs and the one that fails are named, totals are of all', async () => {
  const document = await statusDocument(hangingAgent(), [], ADVICE, {});
  expect(document['storage']).toMatchObject({
    reads: 1120,
    readErrors: 3,
    readError: 'EIO',
    receive: [
      { volume: '/good', peers: ['b'], available: true, readError: null, readingMs: 0, reads: 100 },
      { volume: '/hangs', peers: ['c', 'd'], available: false, readError: null, reads: 20 },
      { volume: '/fails', peers: ['e'], available: false, readError: 'EIO', readingMs: 0, readErrors: 3 },
    ],
  });
  const lines = statusText(document, false).split('\n');
  expect(lines.filter((line) => line.startsWith('receive'))).toEqual([
    expect.stringMatching(/^receive {4}\/hangs {2}NOT READ {2}a read hangs for 5\d{3}(\.\d+)? ms {2}peers c, d$/),
    'receive    /fails  NOT READ  read error EIO  peers e',
  ]);
  const values = metricsTable({ events: new Map(), changes: new Map(), hookRuns: new Map() });
  const samples = (name: string) => values.find((metric) => metric.name === name)?.samples(document);
  expect(samples('stillbeat_receive_available')).toEqual([
    [true, { volume: '/good' }],
    [false, { volume: '/hangs' }],
    [false, { volume: '/fails' }],
  ]);
  expect(samples('stillbeat_receive_read_errors_total')?.[2]).toEqual([3, { volume: '/fails' }]);
  expect(samples('stillbeat_storage_reads_total')).toEqual([[1120, {}]]);
});

const seat = (node: string, key: string | null, keyKnown = true): unknown => ({
  node,
  network: {},
  storage: { key, keyKnown },
  queues: {},
});

async function page(keys: readonly string[], peers: readonly unknown[]): Promise<string[]> {
  const document = await statusDocument(hangingAgent(), [], ADVICE, {});
  const storage = { ...(document['storage'] as object), receive: [] };
  return statusText({ ...document, switch: 'answering', storage, keys, peers }, false).split('\n');
}

const OLD = 'a9b31ec8b326a01f';
const NEW = 'f43978fcd87ce58a';

test('the page shows the keys, and which one each peer seals with: enough for a rotation', async () => {
  const keysOf = async (keys: readonly string[], ...peers: unknown[]) =>
    (await page(keys, peers)).filter((line) => line.startsWith('keys'));
  expect(await keysOf([OLD], seat('b', OLD), seat('c', OLD))).toEqual([
    `keys       ${OLD} seals  peers seal with ${OLD} (all)`,
  ]);
  expect(await keysOf([NEW, OLD], seat('b', NEW), seat('c', OLD), seat('d', null))).toEqual([
    `keys       ${NEW} seals, ${OLD} opens  peers seal with ${NEW} (b), ${OLD} (c)`,
  ]);
  expect(await keysOf([NEW], seat('b', OLD, false), seat('c', NEW))).toEqual([
    `keys       ${NEW} seals  peers seal with ${OLD} NOT IN THE KEY FILE (b), ${NEW} (c)`,
  ]);
  expect(await keysOf([NEW], seat('b', null))).toEqual([`keys       ${NEW} seals`]);
  expect(await keysOf([])).toEqual(['keys       NONE: nothing is sealed']);
});

test('the sample page of the README has the lines that every page has', async () => {
  const readme = readFileSync(new URL('../../../README.md', import.meta.url), 'utf8');
  const [, sample = ''] = readme.split('# stillbeat status --config /etc/stillbeat/a.yaml\n');
  const labels = (lines: readonly string[]) => lines.slice(1, lines.indexOf('')).map((line) => line.split(' ')[0]);
  expect(labels(sample.split('\n'))).toEqual(labels(await page([OLD], [seat('b', OLD)])));
});
