/** [OS1] A recorder takes what an agent writes: the monitor is its send volume, mirrored. On the real program. */
import { type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { CLI_PATH } from '../../agent/demo/lab.ts';
import { loadRecording } from '../../agent/history/store/load.ts';
import { State } from '../../agent/history/store/state.ts';
import { eventually, SOON_MS } from '../support/cluster.ts';
import { copiedCluster, type CopiedCluster } from '../support/copied-cluster.ts';

const ADDRESS = '127.0.0.1:7791';
const PIECE_BYTES = 1 << 16;

let copied: CopiedCluster;
let recorder: ChildProcess | null = null;
const start = async (node: string): Promise<void> => {
  const recorders = node === 'a' ? { storage: { mirror: { recorders: [{ name: 'vault', connect: ADDRESS }] } } } : {};
  return copied.cluster.lab.startAgent(node, copied.settings(node, recorders));
};

beforeAll(async () => {
  copied = await copiedCluster('mirror');
  await Promise.all([start('a'), start('b')]);
});
afterAll(async () => {
  if (recorder?.exitCode === null && recorder.signalCode === null) {
    const exit = once(recorder, 'exit');
    recorder.kill('SIGKILL');
    await exit;
  }
  await copied?.cluster.close();
});

/** Whether the volume was this at that mark. */
function isAt(store: string, mark: number, content: Buffer): boolean {
  const state = new State(loadRecording(store), mark);
  try {
    const piece = Buffer.alloc(PIECE_BYTES);
    for (let at = 0; at < content.length; at += PIECE_BYTES) {
      const part = piece.subarray(0, Math.min(PIECE_BYTES, content.length - at));
      state.read(0, at, part);
      if (!part.equals(content.subarray(at, at + part.length))) return false;
    }
    return true;
  } finally {
    state.close();
  }
}

test("[OS1] an agent's send volume is recorded under its node's name, and what it held at a stop is one of the states", async () => {
  const { lab } = copied.cluster;
  const config = join(lab.directory, 'recorder.json');
  const store = join(lab.directory, 'store');
  const settings = { role: 'recorder', name: 'vault', keyFile: join(lab.directory, 'a.key'), listen: ADDRESS };
  const control = { socket: join(lab.directory, 'vault.sock') };
  writeFileSync(config, JSON.stringify({ ...settings, store: { path: store }, control }));
  recorder = lab.spawn('a', [process.execPath, CLI_PATH, 'history', 'record', '--config', config]);
  const newest = async (): Promise<number> => {
    const { extent } = loadRecording(join(store, 'a'));
    return extent.spans.at(-1)?.to ?? 0;
  };
  await eventually('the base is there', SOON_MS, async () => (await newest().catch(() => 0)) > 0);
  // What it wrote last is recorded when it is there again.
  await lab.stopAgent('a');
  const held = readFileSync(copied.volumes.get('a')?.send ?? '');
  const before = await newest();
  await start('a');
  await eventually('it goes on', SOON_MS, async () => (await newest()) > before + 5);
  const { spans } = loadRecording(join(store, 'a')).extent;
  const [from = 0, to = 0] = [spans[0]?.from, spans.at(-1)?.to];
  const marks = Array.from({ length: to - from + 1 }, (_, i) => to - i);
  expect(marks.some((mark) => isAt(join(store, 'a'), mark, held))).toBe(true);
  const listed = await lab.stillbeat('a', ['history', 'list', '--config', config]);
  expect(listed.stdout).toMatch(/^a: send /);
  const { storage } = (await copied.cluster.status('a')) as unknown as {
    storage: { copy: { method: { recorders: { name: string; state: string }[] } } };
  };
  expect(storage.copy.method.recorders).toMatchObject([{ name: 'vault', state: 'recording' }]);
});
