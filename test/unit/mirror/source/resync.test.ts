/** When a comparison begins: its digests are of what no failed flush of the send volumes takes back. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { beforeEach, expect, test } from 'vitest';
import { RegionSet } from '../../../../agent/mirror/core/region-set.ts';
import { DIGEST_BYTES } from '../../../../agent/mirror/scan/digest.ts';
import type { DigestWish } from '../../../../agent/mirror/scan/volume-digests.ts';
import { resyncOn, type Resync } from '../../../../agent/mirror/source/resync.ts';
import type { SessionHost } from '../../../../agent/mirror/source/session-host.ts';
import { storageWaits } from '../../../../agent/mirror/source/storage-waits.ts';
import { FRAME_KIND, type FrameKind } from '../../../../agent/mirror/wire/frame.ts';

const { regions, rebase } = FRAME_KIND;
const VOLUMES = [{ name: 'data', bytes: 1 << 20 }];
const BASE = { position: 1000, mark: 7, chain: 7n, time: 0n, cycle: 1 };
const MOVED = { ...BASE, position: 2000, mark: 9 };

/** Send volumes: what is on them, and what of it is flushed. */
let journal: { stored: number; flushed: number; wanted: number; flushVolumes(position: number): void };
/** Looks that are still to come. */
let looks: (() => void)[];
let said: FrameKind[];
let resync: Resync;

/** Everything that needs no time has happened, and whoever waits looks again. */
async function pass(): Promise<void> {
  for (const look of looks.splice(0)) look();
  for (let i = 0; i < 5; i++) await nextTurn();
}

beforeEach(async () => {
  journal = { stored: 0, flushed: 0, wanted: 0, flushVolumes: (position) => void (journal.wanted = position) };
  [looks, said] = [[], []];
  const timers = { after: (_: number, look: () => void) => looks.push(look) };
  const machine = { clock: { monotonicMs: () => 0 }, timers };
  const digests = async (_: number, { count }: DigestWish) => new Uint8Array(DIGEST_BYTES.crc32 * count);
  const host = {
    machine,
    compared: { checksum: 'crc32', volumes: VOLUMES, generation: new Uint8Array(16), digests, image: () => {} },
    durable: async () => MOVED,
    ...storageWaits(journal, machine as unknown as SessionHost['machine']),
  };
  const connection = { isFull: false, end: () => {}, send: (kind: FrameKind) => void said.push(kind) };
  const begin = {
    todo: RegionSet.all(VOLUMES, true),
    dirty: new RegionSet(VOLUMES, true),
    base: BASE,
    isInPlace: false,
  };
  const own = { rebase: () => {}, flow: () => {} };
  resync = resyncOn(connection, 1, host as unknown as SessionHost, own, begin);
  await pass();
});

test('[MI11] no digest is made before what lies before the base is flushed, which is asked for', async () => {
  expect(journal.wanted).toBe(BASE.position);
  journal.stored = BASE.position;
  await pass();
  journal.flushed = BASE.position - 1;
  await pass();
  expect(said).toEqual([]);
  journal.flushed = BASE.position;
  await pass();
  expect(said).toEqual([regions]);
});

test('[MI12] nor when the base has moved on, before the new one is', async () => {
  [journal.stored, journal.flushed] = [BASE.position, BASE.position];
  await pass();
  resync.note(0, 0, 4096);
  resync.moveBase();
  await pass();
  // The target has dealt with the first pass.
  for (const count of [1, 0]) resync.asked(count, new Uint8Array(0));
  journal.stored = MOVED.position;
  await pass();
  expect([journal.wanted, said]).toEqual([MOVED.position, [regions, rebase]]);
  journal.flushed = MOVED.position;
  await pass();
  expect(said).toEqual([regions, rebase, regions]);
});

test('volumes that hang are looked at by the session that runs alone', async () => {
  expect(looks).toHaveLength(1);
  resync.end();
  await pass();
  expect([looks, said]).toEqual([[], []]);
});
