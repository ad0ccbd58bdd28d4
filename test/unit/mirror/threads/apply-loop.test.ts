/** What the apply thread reads of its list, and what it writes beside it: lost with a flush that fails, and told. */
import { expect, test } from 'vitest';
import { crc32 } from '../../../../agent/base/crc32.ts';
import { Prng } from '../../../../agent/base/prng.ts';
import { ApplyLoop, type ApplyReport } from '../../../../agent/mirror/threads/apply-loop.ts';
import { encodeEntry, ENTRY, ENTRY_KIND, entryBytes } from '../../../../agent/mirror/wire/entry.ts';
import { JOURNAL_RING_OFFSET } from '../../../../agent/mirror/wire/layout.ts';
import { CrashDisk } from '../../../support/crash-disk.ts';
import { SourceModel } from '../../../support/source-model.ts';
import { SIZE } from '../store/journal-world.ts';

const EIO = 5;

/** On these volumes, at two seconds a look. */
function loopOn(volumes: readonly CrashDisk[], journal: CrashDisk, reports: ApplyReport[]): ApplyLoop {
  let nowMs = 0;
  return new ApplyLoop({
    ring: SIZE,
    volumeCount: volumes.length,
    open: (volume) => volumes[volume] ?? -EIO,
    openJournal: () => journal,
    nowMs: () => (nowMs += 2000),
    tell: (report) => reports.push(report),
  });
}

/** A loop, a volume, and a list of one entry that lies at the ring's begin. */
function bed() {
  const journal = new CrashDisk(JOURNAL_RING_OFFSET + SIZE.ringBytes);
  const volume = new CrashDisk(65_536);
  const { bytes } = new SourceModel(new Prng(1), [16_384], 1000).append();
  journal.write(JOURNAL_RING_OFFSET, bytes);
  const reports: ApplyReport[] = [];
  /** A process that begins on what is there. */
  const again = (): ApplyLoop => loopOn([volume], journal, reports);
  const loop = again();
  let id = 0;
  const apply = (): void => {
    loop.take({ id: ++id, places: Float64Array.of(0, bytes.length) });
    loop.step();
  };
  const image = (): void => {
    expect(loop.write({ image: 1, volume: 0, offset: 40_960, bytes: new Uint8Array(4096).fill(9) }).errno).toBe(0);
  };
  return { loop, volume, reports, apply, image, again };
}

test('[MI15] an image that a failing flush took is told, once; one that was flushed is safe', () => {
  const { loop, volume, reports, apply, image } = bed();
  image();
  volume.flushFault = () => -EIO;
  apply();
  expect(volume.content[40_960]).toBe(0);
  expect(reports.at(-1)).toMatchObject({ isDone: false, volumesErrno: EIO, imagesLost: true });
  loop.step();
  expect(reports.at(-1)).toMatchObject({ isDone: false, imagesLost: false });
  volume.flushFault = () => null;
  loop.step();
  image();
  apply();
  expect(reports.at(-1)).toMatchObject({ isDone: true, imagesLost: false });
  volume.flushFault = () => -EIO;
  apply();
  expect(reports.at(-1)).toMatchObject({ isDone: false, imagesLost: false });
  expect(volume.content[40_960]).toBe(9);
});

test('[MI9] what a process wrote that was killed, and a comparison finds equal, is flushed before a cut counts', () => {
  const { reports, image, volume, again } = bed();
  image();
  const next = again();
  next.take({ id: 1, places: new Float64Array(0) });
  next.step();
  expect(reports.at(-1)).toMatchObject({ isDone: true });
  volume.crash(new Prng(1));
  expect(volume.content[40_960]).toBe(9);
});

test('[MI15] so is what lies on another volume than the one whose flush failed', () => {
  const [good, bad] = [new CrashDisk(65_536), new CrashDisk(65_536)];
  const reports: ApplyReport[] = [];
  const loop = loopOn([bad, good], new CrashDisk(0), reports);
  for (const volume of [0, 1]) loop.write({ image: 1, volume, offset: 0, bytes: new Uint8Array(4096).fill(9) });
  bad.flushFault = () => -EIO;
  loop.take({ id: 1, places: new Float64Array(0) });
  loop.step();
  expect(reports.at(-1)).toMatchObject({ isDone: false, imagesLost: true });
  bad.flushFault = () => null;
  loop.step();
  expect(reports.at(-1)).toMatchObject({ isDone: true });
  good.crash(new Prng(1));
  expect(good.content[0]).toBe(9);
});

/** Entries that lie behind one another up to the ring's end, and on from its begin. */
function lap() {
  const journal = new CrashDisk(JOURNAL_RING_OFFSET + SIZE.ringBytes);
  const volume = new CrashDisk(65_536);
  const reports: ApplyReport[] = [];
  const places: number[] = [];
  const contents: Uint8Array[] = [];
  let position = SIZE.ringBytes - 3 * entryBytes(512);
  for (let i = 0; i < 6; i++) {
    const content = new Uint8Array(512).fill(i + 1);
    const bytes = new Uint8Array(entryBytes(512));
    bytes.set(content, ENTRY.bytes);
    const same = { flags: 0, volume: 0, cycle: 1, chain: 0n, durableBack: 0, generation: new Uint8Array(16) };
    const payload = { length: 512, payloadBytes: 512, payloadCrc: crc32(content) };
    encodeEntry(
      { ...same, ...payload, kind: ENTRY_KIND.write, mark: i + 1, time: 1n, offset: i * 512, position },
      0n,
      bytes,
      0,
    );
    journal.write(JOURNAL_RING_OFFSET + (position % SIZE.ringBytes), bytes);
    places.push(position, position + bytes.length);
    position += bytes.length;
    contents.push(content);
  }
  const loop = loopOn([volume], journal, reports);
  loop.take({ id: 1, places: Float64Array.from(places) });
  return { loop, journal, volume, reports, places, contents };
}

test('what lies together is read together, over the end of the ring too', () => {
  const { loop, volume, reports, contents } = lap();
  loop.step();
  expect(reports).toMatchObject([{ isDone: true, journalErrno: 0, volumesErrno: 0 }]);
  contents.forEach((content, i) => expect(volume.content.subarray(i * 512, (i + 1) * 512)).toEqual(content));
});

test.each([
  ['payload', ENTRY.bytes],
  ['header', ENTRY.at.offset],
])('[MI15] an entry with a damaged %s is never applied, and neither is what comes behind it', (_, at) => {
  const { loop, journal, volume, reports, places, contents } = lap();
  const damaged = JOURNAL_RING_OFFSET + ((places[8] ?? 0) % SIZE.ringBytes) + at;
  journal.write(damaged, Uint8Array.of((journal.content[damaged] ?? 0) ^ 1));
  loop.step();
  expect(reports).toMatchObject([{ isDone: false, journalErrno: EIO }]);
  expect(volume.content.subarray(3 * 512, 4 * 512)).toEqual(contents[3]);
  expect(volume.content.subarray(4 * 512, 6 * 512)).toEqual(new Uint8Array(1024));
});
