/** The scan thread on real files: what it answers is what a plain reading gives, at the end of a volume too. */
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Scanner } from '../../agent/mirror/threads/scan-context.ts';

// Workers are compiled programs.
const compiled = new URL('../../dist/agent/mirror/threads/scan-context.js', import.meta.url).href;

const MIB = 1024 * 1024;
let directory: string;
let content: Buffer;
let scanner: Scanner;

beforeEach(async () => {
  const module = (await import(
    /* @vite-ignore */ compiled
  )) as typeof import('../../agent/mirror/threads/scan-context.ts');
  directory = mkdtempSync(join(tmpdir(), 'stillbeat-scan-'));
  content = randomBytes(3 * MIB + 10_000);
  writeFileSync(join(directory, 'volume'), content);
  scanner = new module.Scanner({
    volumes: [
      { path: join(directory, 'volume'), bytes: content.length },
      { path: join(directory, 'none'), bytes: 1 },
    ],
  });
});
afterEach(async () => {
  await scanner.close();
  rmSync(directory, { recursive: true });
});

const sha256 = (bytes: Uint8Array): Buffer => createHash('sha256').update(bytes).digest();

/** Of a block its own, of more that of its blocks' digests. */
function digestOf(bytes: Uint8Array, size: number): string {
  if (size === 4096) return sha256(bytes).toString('hex');
  const blocks = Array.from({ length: Math.ceil(bytes.length / 4096) }, (_, i) =>
    sha256(bytes.subarray(i * 4096, (i + 1) * 4096)),
  );
  return sha256(Buffer.concat(blocks)).toString('hex');
}

function split(digests: Uint8Array, bytes: number): string[] {
  return Array.from({ length: digests.length / bytes }, (_, i) =>
    Buffer.from(digests.subarray(i * bytes, (i + 1) * bytes)).toString('hex'),
  );
}

describe.each([
  ['region', MIB],
  ['chunk', 65_536],
  ['block', 4096],
] as const)('%s digests', (_, size) => {
  test.each([
    [0, 3],
    [1, 1000],
    [3, 1],
    [0, 1000],
  ])('from %i, at most %i', async (first, count) => {
    const digests = await scanner.digests(0, { checksum: 'sha256', unitBytes: size, first, count });
    const expected: string[] = [];
    for (let i = first; i < first + count && i * size < content.length; i++) {
      expected.push(digestOf(content.subarray(i * size, Math.min((i + 1) * size, content.length)), size));
    }
    expect(split(digests, 32)).toEqual(expected);
  });
});

test.each(['crc32', 'md5', 'sha1', 'sha256'] as const)('%s tells each changed byte', async (checksum) => {
  const wish = { checksum, unitBytes: 4096, first: 0, count: 1 } as const;
  const before = await scanner.digests(0, wish);
  for (const at of [0, 1, 2048, 4095]) {
    const changed = Buffer.from(content);
    changed[at] = (changed[at] ?? 0) ^ 1;
    writeFileSync(join(directory, 'volume'), changed);
    expect(await scanner.digests(0, wish)).not.toEqual(before);
  }
});

test('a volume that is not there, or that ends too early, is told; a later wish is answered', async () => {
  const wish = { checksum: 'crc32', unitBytes: MIB, first: 0, count: 4 } as const;
  await expect(scanner.digests(1, wish)).rejects.toThrow(/none cannot be read \(errno 2\): check it/);
  truncateSync(join(directory, 'volume'), MIB);
  await expect(scanner.digests(0, wish)).rejects.toThrow(/volume cannot be read \(errno 5\): check it/);
  writeFileSync(join(directory, 'volume'), content);
  expect(await scanner.digests(0, wish)).toHaveLength(4 * 12);
});

test('wishes under way fail when the scan is ended', async () => {
  const wish = scanner.digests(0, { checksum: 'sha256', unitBytes: 4096, first: 0, count: 1000 });
  void scanner.close();
  await expect(wish).rejects.toThrow('the scan was ended');
});

test('parts of a region are told as it was when the region was, and anew when nobody asked for that before', async () => {
  const region = { checksum: 'crc32', unitBytes: MIB, first: 1, count: 1 } as const;
  const blocks = { ...region, unitBytes: 4096, first: 256, count: 256 };
  const before = await scanner.digests(0, blocks);
  await scanner.digests(0, region);
  const changed = Buffer.from(content);
  changed[MIB] = (changed[MIB] ?? 0) ^ 1;
  writeFileSync(join(directory, 'volume'), changed);
  expect(await scanner.digests(0, { ...blocks, isDeeper: true })).toEqual(before);
  const after = await scanner.digests(0, blocks);
  expect(after).not.toEqual(before);
  await scanner.digests(0, region);
  expect(await scanner.digests(0, { ...blocks, isDeeper: true })).toEqual(after);
});
