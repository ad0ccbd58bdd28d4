/** Events on the disk: bounded, in order, and readable whatever has become of the last line. */
import { appendFileSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { EventFile, readEvents, readNewestEvents } from '../../../agent/operate/event-file.ts';

let folder: string;
let path: string;
let told: (string | null)[];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'stillbeat-events-'));
  path = join(folder, 'deep', 'a.events');
  told = [];
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const event = (n: number) => ({ at: new Date(n * 1000).toISOString(), kind: 'path', n });
const open = (bytes: number, at = path): EventFile => new EventFile(at, bytes, (fault) => told.push(fault));
async function write(file: EventFile, from: number, to: number): Promise<void> {
  for (let n = from; n < to; n++) file.append(event(n));
  await file.flushed(5000);
}

test('what was written is read, by the next agent too', async () => {
  await write(open(1e6), 0, 5);
  await write(open(1e6), 5, 8);
  expect(readEvents(path).map(({ n }) => n)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  expect(told).toEqual([]);
  expect(statSync(path).mode & 0o777).toBe(0o600);
});

test('it keeps within its bytes, and the oldest goes first', async () => {
  const file = open(4000);
  for (let n = 0; n < 200; n++) await write(file, n, n + 1);
  expect(statSync(path).size + statSync(`${path}.1`).size).toBeLessThanOrEqual(4000);
  const kept = readEvents(path).map(({ n }) => Number(n));
  expect(kept.at(-1)).toBe(199);
  expect(kept.length).toBeGreaterThan(20);
  expect(kept).toEqual(Array.from({ length: kept.length }, (_, i) => 200 - kept.length + i));
  expect(readNewestEvents(path).at(-1)?.['n']).toBe(199);
});

test('a line that was cut off, and one that is none, are passed over', async () => {
  await write(open(1e6), 0, 2);
  appendFileSync(path, '{"at":"2026\n[1]\nnull\n{"kind":"x"}\n');
  await write(open(1e6), 2, 3);
  expect(readEvents(path).map(({ n }) => n)).toEqual([0, 1, 2]);
});

test('a place that cannot be written is told once, and once when it can be again', async () => {
  writeFileSync(join(folder, 'deep'), 'a file where a folder is wanted');
  const file = open(1e6);
  await write(file, 0, 1);
  await write(file, 1, 2);
  expect(told).toHaveLength(1);
  rmSync(join(folder, 'deep'));
  await write(file, 2, 3);
  expect(told.at(-1)).toBeNull();
  expect(readEvents(path).map(({ n }) => n)).toEqual([2]);
});

test('with no bytes nothing is written; what is not there holds nothing', async () => {
  await write(open(0), 0, 3);
  expect(readEvents(path)).toEqual([]);
});
