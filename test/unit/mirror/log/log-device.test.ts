import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { claimRole, withdrawRole } from '../../../../agent/mirror/log/target-log.ts';
import { fileLog } from '../../../../agent/mirror/log/log-file.ts';
import { readRecords } from '../../../../agent/mirror/log/slots.ts';
import { SourceLog, type SourceLogOptions } from '../../../../agent/mirror/log/source-log.ts';
import { systemMachine } from '../../../../agent/mirror/system-machine.ts';
import { until } from '../../../support/until.ts';

const GENERATION = new Uint8Array(16).fill(0xab);
const NEXT = { generation: new Uint8Array(16).fill(0xcd), mark: 9 };
const EAST = { group: 'erp', name: 'east', generation: 'ab'.repeat(16), ancestry: [] as string[] };
const folders: string[] = [];
const opened: SourceLog[] = [];
afterEach(() => {
  for (const log of opened.splice(0)) log.close();
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

function device(): string {
  const folder = mkdtempSync(join(tmpdir(), 'stillbeat-log-'));
  folders.push(folder);
  return join(folder, 'log');
}

async function source(path: string, part: Partial<SourceLogOptions> = {}): Promise<SourceLog> {
  const log = await SourceLog.open({
    timers: systemMachine.timers,
    path,
    device: fileLog(path),
    group: 'erp',
    generation: GENERATION,
    targets: ['west', 'east'],
    isNew: true,
    log: () => {},
    claimed: () => {},
    ...part,
  });
  opened.push(log);
  return log;
}

const says = async (path: string, who = EAST) => {
  const word = await claimRole(fileLog(path), who, NEXT);
  await withdrawRole(fileLog(path), who, NEXT);
  return word;
};

test('I21: what the source says of a target is what the target reads, and a restart keeps it', async () => {
  const path = device();
  const log = await source(path);
  await log.setOutdated('east', 7);
  expect(await says(path)).toEqual({ says: 'outdated', cut: 7 });
  expect(await says(path, { ...EAST, name: 'west' })).toEqual({ says: 'nothing' });
  log.close();
  const again = await source(path);
  expect(again.isOutdated('east')).toBe(true);
  // The oldest mark is the one that counts.
  await again.setOutdated('east', 11);
  expect(await says(path)).toEqual({ says: 'outdated', cut: 7 });
  await again.setInSync('east');
  expect(await says(path)).toEqual({ says: 'nothing' });
});

test('I20: a start that finds nothing of its own there writes every target down as outdated, until it is in sync', async () => {
  const path = device();
  const log = await source(path);
  await log.setOutdated('east', 7);
  log.close();
  for (const erased of [new Uint8Array(80 * 1024), null]) {
    if (erased) writeFileSync(path, erased);
    const generation = erased ? GENERATION : NEXT.generation;
    const again = await source(path, { isNew: false, generation });
    expect(again.isOutdated('east')).toBe(null);
    await again.setOutdated('west', 9);
    const who = { ...EAST, generation: Buffer.from(generation).toString('hex') };
    expect(await says(path, who)).toEqual({ says: 'outdated', cut: 0 });
    await again.setInSync('east');
    expect(await says(path, who)).toEqual({ says: 'nothing' });
    again.close();
  }
});

test('I21: a device that says nothing of this copy decides nothing', async () => {
  const path = device();
  const unreadable = async (who = EAST) => expect(await says(path, who)).toMatchObject({ says: 'unreadable' });
  await unreadable();
  writeFileSync(path, new Uint8Array(80 * 1024));
  await unreadable();
  const log = await source(path);
  await log.setInSync('east');
  await log.setOutdated('west', 1);
  expect(await says(path)).toEqual({ says: 'nothing' });
  await unreadable({ ...EAST, name: 'north' });
  await unreadable({ ...EAST, group: 'crm' });
  await unreadable({ ...EAST, generation: 'cd'.repeat(16) });
  expect(await claimRole(null, EAST, NEXT)).toMatchObject({ says: 'unreadable' });
  truncateSync(path, 4096);
  await unreadable();
});

test('a torn write leaves the former record', async () => {
  const path = device();
  const log = await source(path);
  await log.setOutdated('east', 7);
  await log.setOutdated('west', 8);
  const whole = readFileSync(path);
  for (const copy of [0, 1]) {
    const torn = Buffer.from(whole);
    torn.fill(0xff, copy * 4096 + 100, copy * 4096 + 200);
    writeFileSync(path, torn);
    expect((await readRecords(fileLog(path), [0]))[0]).toMatchObject({ group: 'erp' });
    expect(await says(path)).toEqual({ says: 'outdated', cut: 7 });
    writeFileSync(path, whole);
  }
});

test('I21: a source that would go on alone sees a claim, and waits until it is withdrawn', async () => {
  const path = device();
  const claims: string[] = [];
  const log = await source(path, { claimed: (generation, mark) => claims.push(`${generation.slice(0, 4)} ${mark}`) });
  await log.setOutdated('west', 1);
  expect(await claimRole(fileLog(path), EAST, NEXT)).toEqual({ says: 'nothing' });
  let isMarked = false;
  const marking = log.setOutdated('east', 9).then(() => (isMarked = true));
  await until('the claim is seen', () => claims.length > 0);
  expect(claims[0]).toBe('cdcd 9');
  expect(isMarked).toBe(false);
  await withdrawRole(fileLog(path), EAST, NEXT);
  await marking;
});

test('I21: a source that was overtaken twice sees it, though the second claim lies in the place of the first', async () => {
  const path = device();
  const first = await source(path);
  await first.setOutdated('west', 1);
  first.close();
  expect(await claimRole(fileLog(path), EAST, NEXT)).toEqual({ says: 'nothing' });
  // East is the source now, and its second target is not itself.
  const second = await source(path, { isNew: false, generation: NEXT.generation, targets: ['west', 'south'] });
  await second.setOutdated('west', 1);
  const south = { ...EAST, name: 'south', generation: 'cd'.repeat(16), ancestry: [EAST.generation] };
  await claimRole(fileLog(path), south, { generation: new Uint8Array(16).fill(0xef), mark: 11 });
  second.close();
  const claims: string[] = [];
  const lines: string[] = [];
  await source(path, {
    isNew: false,
    log: (line) => lines.push(line),
    claimed: (generation) => claims.push(generation.slice(0, 4)),
  });
  await until('the first source has looked', () => claims.length > 0);
  expect(claims[0]).toBe('efef');
  expect(lines.join()).toMatch(/generation efefefef claims the role/);
});

test('a device that is away is tried again, and what it then says is all that is so', async () => {
  const path = device();
  const lines: string[] = [];
  const log = await source(path, { isNew: false, log: (line) => lines.push(line) });
  expect(log.isOutdated('east')).toBeNull();
  const marked = log.setOutdated('east', 3);
  await until('it is told', () => lines.some((line) => line.includes('tried again')));
  writeFileSync(path, new Uint8Array(80 * 1024));
  await marked;
  expect(await says(path)).toEqual({ says: 'outdated', cut: 0 });
});

test('a device of another group is not written to', async () => {
  const path = device();
  const log = await source(path);
  await log.setOutdated('east', 7);
  await expect(source(path, { group: 'crm' })).rejects.toThrow('group "erp"');
});

test('a device that holds something else is not written to, and a takeover does not believe it', async () => {
  const path = device();
  // As a volume with a file system: its first KiB is blank.
  const content = Buffer.alloc(80 * 1024, 7).fill(0, 0, 1024);
  writeFileSync(path, content);
  for (const isNew of [true, false]) {
    await expect(source(path, { isNew })).rejects.toThrow(`log device ${path} holds something: name another one`);
  }
  expect(await says(path)).toMatchObject({ says: 'unreadable' });
  expect(readFileSync(path).equals(content)).toBe(true);
  // What a crash left of the first record is no such thing.
  const torn = Buffer.alloc(80 * 1024).fill(9, 512, 740);
  writeFileSync(path, torn);
  await (await source(path)).setOutdated('east', 7);
  expect(await says(path)).toEqual({ says: 'outdated', cut: 7 });
});
