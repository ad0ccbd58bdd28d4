/** A file as a served volume, on the real file system. */
import { mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { FileVolume } from '../../../agent/nbd/file-volume.ts';
import type { Extent } from '../../../agent/nbd/volume.ts';

const folder = mkdtempSync(join(tmpdir(), 'nbd-file-volume-'));
const opened: FileVolume[] = [];
afterAll(() => {
  for (const volume of opened) volume.close();
  rmSync(folder, { recursive: true });
});

const KIB = 1024;
let files = 0;

function fresh(bytes: number, options: { readOnly?: boolean } = {}): { path: string; volume: FileVolume } {
  const path = join(folder, `volume-${files++}`);
  writeFileSync(path, '');
  truncateSync(path, bytes);
  const volume = FileVolume.open({ name: 'v', path, readOnly: options.readOnly ?? false });
  opened.push(volume);
  return { path, volume };
}

const promised = async (start: (done: (errno: number) => void) => void) =>
  new Promise<number>((resolve) => {
    start(resolve);
  });
const statusOf = async (volume: FileVolume, offset: number, length: number) =>
  new Promise<readonly Extent[]>((resolve) => {
    volume.status('base:allocation', offset, length, (_, extents) => resolve(extents));
  });

const bytesOf = (length: number, value: number) => new Uint8Array(length).fill(value);

test('one chunk or many are written where they belong, and read again', async () => {
  const { path, volume } = fresh(100_001);
  const chunks = [bytesOf(5, 1), bytesOf(70_000, 2), bytesOf(1, 3)];
  expect(await promised((done) => volume.write(29_995, 70_006, chunks, false, done))).toBe(0);
  expect(await promised((done) => volume.write(0, 3, [bytesOf(3, 9)], true, done))).toBe(0);
  const into = new Uint8Array(70_006);
  expect(await promised((done) => volume.read(29_995, into, done))).toBe(0);
  expect(Buffer.concat(chunks).equals(into)).toBe(true);
  const file = readFileSync(path);
  expect(file.length).toBe(100_001);
  expect([...file.subarray(0, 4)]).toEqual([9, 9, 9, 0]);
  expect(file[100_000]).toBe(3);
});

test('zeroes are zeroes, with holes and without', async () => {
  const { path, volume } = fresh(256 * KIB);
  await promised((done) => volume.write(0, 256 * KIB, [bytesOf(256 * KIB, 7)], true, done));
  const full = statSync(path).blocks;
  const how = { fua: true, mayPunch: true, onlyIfFast: false };
  expect(await promised((done) => volume.zero(64 * KIB, 64 * KIB, how, done))).toBe(0);
  expect(statSync(path).blocks).toBeLessThan(full);
  // Odd bounds too, and the neighbours stay.
  const held = { ...how, mayPunch: false };
  expect(await promised((done) => volume.zero(1, 5001, held, done))).toBe(0);
  const file = readFileSync(path);
  expect([file[0], file[1], file[5001], file[5002]]).toEqual([7, 0, 0, 7]);
  expect([64, 127].map((k) => file[k * KIB])).toEqual([0, 0]);
  expect([63, 128].map((k) => file[k * KIB])).toEqual([7, 7]);
});

test('trim gives room back', async () => {
  const { path, volume } = fresh(256 * KIB);
  await promised((done) => volume.write(0, 256 * KIB, [bytesOf(256 * KIB, 7)], true, done));
  const full = statSync(path).blocks;
  expect(await promised((done) => volume.trim(0, 128 * KIB, false, done))).toBe(0);
  expect(statSync(path).blocks).toBeLessThanOrEqual(full / 2 + 8);
  expect(statSync(path).size).toBe(256 * KIB);
});

test('holes are told from data, within the range that was asked', async () => {
  const { volume } = fresh(1024 * KIB);
  await promised((done) => volume.write(256 * KIB, 64 * KIB, [bytesOf(64 * KIB, 7)], true, done));
  expect(await statusOf(volume, 0, 1024 * KIB)).toEqual([
    { length: 256 * KIB, flags: 3 },
    { length: 64 * KIB, flags: 0 },
    { length: 704 * KIB, flags: 3 },
  ]);
  expect(await statusOf(volume, 260 * KIB, 8 * KIB)).toEqual([{ length: 8 * KIB, flags: 0 }]);
  expect(await statusOf(volume, 1023 * KIB, KIB)).toEqual([{ length: KIB, flags: 3 }]);
});

test('flushes that come while one runs are one, and begin after it', async () => {
  const { volume } = fresh(64 * KIB);
  const order: number[] = [];
  const all = Array.from({ length: 20 }, async (_, i) => {
    await promised((done) => volume.flush(done));
    order.push(i);
  });
  await Promise.all(all);
  expect(order).toHaveLength(20);
  expect(order[0]).toBe(0);
});

describe('errors', () => {
  test('a read-only volume of the system refuses writes by its errno', async () => {
    const { volume } = fresh(64 * KIB, { readOnly: true });
    const errno = await promised((done) => volume.write(0, 1, [bytesOf(1, 1)], false, done));
    expect(errno).toBe(9);
  });

  test('a file that became shorter reads as zeroes', async () => {
    const { path, volume } = fresh(64 * KIB);
    truncateSync(path, 10);
    const into = bytesOf(100, 1);
    expect(await promised((done) => volume.read(0, into, done))).toBe(0);
    expect(into.every((byte) => byte === 0)).toBe(true);
  });

  test('what is missing or empty is named', () => {
    expect(() => FileVolume.open({ name: 'v', path: join(folder, 'none'), readOnly: false })).toThrow(/does not exist/);
    const empty = join(folder, 'empty');
    writeFileSync(empty, '');
    expect(() => FileVolume.open({ name: 'v', path: empty, readOnly: false })).toThrow(/is empty/);
  });
});
