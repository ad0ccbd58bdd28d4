import {
  chmodSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { addKey, dropKeys, newKeyFile, useNewestKey } from '../../../agent/cli/key-file.ts';
import { readKeyFile } from '../../../agent/settings/key.ts';

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'stillbeat-keys-'));
  path = join(folder, 'cluster.key');
});
afterEach(() => rmSync(folder, { recursive: true }));

test('a new file is its owner’s alone, holds one key of 64 digits, and is never written over', () => {
  const [key] = newKeyFile(path);
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(readFileSync(path, 'latin1')).toMatch(/^[0-9a-f]{64}\n$/);
  expect(readKeyFile(path)).toEqual([key]);
  const before = readFileSync(path);
  expect(() => newKeyFile(path)).toThrow(`key file ${path} is there already: use it, or name another file`);
  expect(readFileSync(path)).toEqual(before);
  expect(() => newKeyFile(join(folder, 'none', 'x'))).toThrow('cannot be made (ENOENT)');
});

test('add, use, drop: the new key opens, then seals, then is the only one', () => {
  const [first] = newKeyFile(path);
  const [, second] = addKey(path);
  expect(readKeyFile(path)).toEqual([first, second]);
  useNewestKey(path);
  expect(readKeyFile(path)).toEqual([second, first]);
  dropKeys(path);
  expect(readKeyFile(path)).toEqual([second]);
  expect(first).not.toEqual(second);
});

test('each change keeps mode and links, and leaves nothing beside the file', () => {
  newKeyFile(path);
  chmodSync(path, 0o400);
  const link = join(folder, 'link');
  symlinkSync(path, link);
  addKey(link);
  expect(lstatSync(link).isSymbolicLink()).toBe(true);
  expect(statSync(path).mode & 0o777).toBe(0o400);
  expect(readKeyFile(path)).toHaveLength(2);
  expect(readdirSync(folder).toSorted()).toEqual(['cluster.key', 'link']);
});

test('what there is nothing to do for is refused, and changes nothing', () => {
  newKeyFile(path);
  expect(() => useNewestKey(path)).toThrow('has no newer key than the one that seals: stillbeat key add first');
  expect(() => dropKeys(path)).toThrow('has one key only');
  for (let i = 0; i < 7; i++) addKey(path);
  const before = readFileSync(path);
  expect(() => addKey(path)).toThrow('has 8 keys, the most there can be');
  expect(readFileSync(path)).toEqual(before);
  writeFileSync(path, `${before.toString()}${'a'.repeat(64)}\n`);
  expect(() => readKeyFile(path)).toThrow('has 9 keys, at most 8 are used');
});

test('a raw key of 32 bytes becomes a line; a longer one cannot be rotated', () => {
  const raw = Uint8Array.from({ length: 32 }, (_, i) => i + 200);
  writeFileSync(path, raw, { mode: 0o600 });
  addKey(path);
  expect(readKeyFile(path)[0]).toEqual(raw);
  expect(readKeyFile(path)).toHaveLength(2);
  writeFileSync(path, new Uint8Array(40).fill(200));
  expect(() => addKey(path)).toThrow('holds a key of other than 32 bytes');
});

test('a file that others may read is refused here too', () => {
  newKeyFile(path);
  chmodSync(path, 0o644);
  expect(() => addKey(path)).toThrow('readable by others');
});
