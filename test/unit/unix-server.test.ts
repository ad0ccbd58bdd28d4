/** A Unix socket that cannot be had: one line that says why and what to do, and what lies there stays. */
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { AgentError } from '../../agent/base/errors.ts';
import { listenUnix } from '../../agent/unix-server.ts';

let folder: string;
let path: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'stillbeat-unix-'));
  path = join(folder, 'socket');
});

afterEach(() => rmSync(folder, { recursive: true }));

async function refusal(at: string): Promise<string> {
  const error: unknown = await listenUnix(at, 'export').catch((caught: unknown) => caught);
  if (!(error instanceof AgentError)) throw new Error(`no refusal, but ${String(error)}`);
  return error.message;
}

test('one that somebody listens at is his; one that a dead process left is taken', async () => {
  const server = await listenUnix(path, 'export');
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(await refusal(path)).toMatch(/^export socket .* is in use: another agent of this name runs; stop it first$/);
  // Its end finds it elsewhere, and leaves it there.
  const left = join(folder, 'left');
  renameSync(path, left);
  await new Promise((resolve) => server.close(resolve));
  expect(statSync(left).isSocket()).toBe(true);
  const next = await listenUnix(left, 'export');
  await new Promise((resolve) => next.close(resolve));
});

test('a file, a folder and a path that leads through a file', async () => {
  writeFileSync(path, 'content');
  expect(await refusal(path)).toBe(`export socket ${path} is there, and is no socket: name another path`);
  const within = join(path, 'socket');
  expect(await refusal(within)).toBe(
    `export socket ${within} cannot be made (EEXIST): make its folder, or name another path`,
  );
  expect(readFileSync(path, 'utf8')).toBe('content');
  const there = join(folder, 'folder');
  mkdirSync(there);
  expect(await refusal(there)).toMatch(/is no socket: name another path$/);
});

test('a path that the kernel would cut off', async () => {
  expect(await refusal(join(folder, 'x'.repeat(108)))).toMatch(/is longer than 107 bytes: choose a shorter path$/);
});

test('a socket in a folder that is none, as /proc has them', async () => {
  expect(await refusal('/proc/socket')).toMatch(
    /^export socket \/proc\/socket cannot be made \(E[A-Z]+\): make its folder, or name another path$/,
  );
});
