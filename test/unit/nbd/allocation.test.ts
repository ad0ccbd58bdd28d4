import { closeSync, mkdtempSync, openSync, rmSync, truncateSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Prng } from '../../../agent/base/prng.ts';
import { overlaid, readAllocation, type Laid } from '../../../agent/nbd/allocation.ts';
import type { Extent } from '../../../agent/nbd/volume.ts';

const HOLE = 3;
const ZERO = 2;

test('data and holes of a file, from anywhere in it', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'stillbeat-allocation-'));
  const path = join(folder, 'file');
  writeFileSync(path, '');
  truncateSync(path, 1 << 20);
  const fd = openSync(path, 'r+');
  writeSync(fd, Buffer.alloc(65_536, 1), 0, 65_536, 131_072);
  const ask = async (offset: number, length: number) =>
    new Promise<readonly Extent[]>((resolve) => readAllocation(fd, offset, length, resolve));
  expect(await ask(0, 1 << 20)).toEqual([
    { length: 131_072, flags: HOLE },
    { length: 65_536, flags: 0 },
    { length: (1 << 20) - 196_608, flags: HOLE },
  ]);
  expect(await ask(135_168, 4096)).toEqual([{ length: 4096, flags: 0 }]);
  closeSync(fd);
  expect(await ask(0, 4096)).toEqual([{ length: 4096, flags: 0 }]);
  rmSync(folder, { recursive: true });
});

test('whatever lies over it, in whatever order: each byte is what its newest change is', () => {
  const random = new Prng(3);
  for (let round = 0; round < 300; round++) {
    const bytes = 100;
    const base: Extent[] = [];
    for (let left = bytes; left > 0; left -= base.at(-1)?.length ?? 1) {
      base.push({ length: 1 + random.below(left), flags: random.below(2) * HOLE });
    }
    const changes: Laid[] = Array.from({ length: random.below(8) }, () => ({
      offset: 900 + random.below(200),
      length: 1 + random.below(60),
      isZero: random.below(2) === 0,
    }));
    const wanted = base.flatMap(({ length, flags }) => Array.from({ length }, () => flags));
    for (const { offset, length, isZero } of changes) {
      for (let at = Math.max(1000, offset); at < Math.min(1100, offset + length); at++)
        wanted[at - 1000] = isZero ? ZERO : 0;
    }
    const found = overlaid(1000, base, changes).flatMap(({ length, flags }) => Array.from({ length }, () => flags));
    expect(found).toEqual(wanted);
  }
});

test('with more changes than can be looked through, all is data', () => {
  const changes = Array.from({ length: 5000 }, (_, i) => ({ offset: i, length: 1, isZero: true }));
  expect(overlaid(0, [{ length: 10_000, flags: HOLE }], changes)).toEqual([{ length: 10_000, flags: 0 }]);
});
