/** A node is taken out as the README says: hooks are told, and what they keep of it can be cleaned up. */
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { TOOL_PATH } from '../../agent/demo/shell.ts';
import { Cluster, eventually, SOON_MS } from '../support/cluster.ts';

let cluster: Cluster;
beforeAll(async () => {
  cluster = await Cluster.prepare({ tag: 'hookrm', nodes: ['a', 'b', 'c'], volumeBytes: 24 << 20 });
});
afterAll(async () => cluster?.close());

const inLab = (name: string): string => join(cluster.lab.directory, name);
const lines = (name: string): string[] =>
  existsSync(inLab(name)) ? readFileSync(inLab(name), 'utf8').trimEnd().split('\n') : [];

function program(name: string, text: string): string {
  writeFileSync(inLab(name), `#!/bin/sh\n${text}\n`);
  chmodSync(inLab(name), 0o755);
  return inLab(name);
}

/** What Pacemaker would have: the newest value of each attribute, by the sample hook and a stand-in for its tool. */
function attributes(): Record<string, string> {
  const kept: Record<string, string> = {};
  for (const line of lines('attrd')) {
    const words = line.split(' ');
    const name = words[words.indexOf('--name') + 1] ?? '';
    if (words.includes('--delete')) delete kept[name];
    else kept[name] = words[words.indexOf('--update') + 1] ?? '';
  }
  return kept;
}

test('the hook hears of the removal, the worst path is that of who is left, and the sample deletes the attribute', async () => {
  const { lab } = cluster;
  program('attrd_updater', `echo "$@" >> ${inLab('attrd')}`);
  const sample = new URL('../../config/hooks/pacemaker-attribute.sh', import.meta.url).pathname;
  const onPath = program(
    'hook',
    `echo "$STILLBEAT_PEER:$STILLBEAT_FROM>$STILLBEAT_TO worst=$STILLBEAT_WORST $STILLBEAT_PATHS" >> ${inLab('told')}
PATH=${lab.directory}:${TOOL_PATH} exec sh ${sample}`,
  );
  const overrides = { hooks: { onPath, timeoutMs: 10_000 } };
  await Promise.all([lab.startAgent('a'), lab.startAgent('c'), lab.startAgent('b', overrides)]);
  await eventually('both are on the network', SOON_MS, () => lines('told').at(-1)?.endsWith('a=network c=network'));
  await lab.stopAgent('c');
  await eventually('c is isolated', SOON_MS, () => lines('told').at(-1)?.startsWith('c:'));
  await eventually('Pacemaker too', SOON_MS, () => attributes()['stillbeat-path'] === 'isolated');
  expect(attributes()['stillbeat-path-c']).toBe('isolated');

  const own = [lab.vnicAddress('a'), lab.vnicAddress('a', 6)];
  const peers = [{ node: 'a', address: own, primary: `${lab.network.address('a')}:7788` }];
  lab.writeSettings('b', { ...overrides, peers });
  process.kill(lab.agentPid('b'), 'SIGHUP');
  await eventually('the removal is told', SOON_MS, () => lines('told').at(-1)?.includes('>removed'));
  expect(lines('told').at(-1)).toBe('c:isolated>removed worst=network a=network');
  await eventually('Pacemaker keeps a alone', SOON_MS, () => attributes()['stillbeat-path'] === 'network');
  expect(attributes()['stillbeat-path-a']).toBe('network');
  expect(attributes()).not.toHaveProperty('stillbeat-path-c');
});
