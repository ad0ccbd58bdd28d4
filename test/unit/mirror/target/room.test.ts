/** A comparison that finds no room in the journal beside what the copy holds already. */
import { expect, test } from 'vitest';
import { crc32 } from '../../../../agent/base/crc32.ts';
import { encodeBegin } from '../../../../agent/mirror/link/greeting.ts';
import { encodeEntry, ENTRY, ENTRY_KIND, entryBytes } from '../../../../agent/mirror/wire/entry.ts';
import { FRAME_KIND } from '../../../../agent/mirror/wire/frame.ts';
import { TargetWorld, VOLUMES, type FakePeer } from './target-world.ts';

/** 96 KiB in all, of a ring of 128. */
const PASSES = 4;

function begun(hasCheckpoints: boolean): TargetWorld {
  const world = new TargetWorld(7);
  world.hasCheckpoints = hasCheckpoints;
  world.start();
  world.connect();
  world.write(4);
  world.unsent.push(world.model.seal());
  world.send(100);
  world.settle();
  world.roll();
  world.settle();
  expect(world.cut).toBeGreaterThan(0);
  return world;
}

/** Fills some more of the ring, and loses the link. */
function filled(world: TargetWorld, bytes: number): void {
  const before = world.copy.arrivals.head;
  while (world.copy.arrivals.head - before < bytes) {
    world.unsent.push(world.model.append());
    world.send(1);
    world.settle();
  }
}

function staged(world: TargetWorld): FakePeer {
  for (const peer of world.peers.splice(0)) world.sessions.disconnected(peer, 'lost');
  const peer = world.greet();
  const from = world.model.point(world.model.mark);
  world.session = peer.welcome.session + 1;
  const begin = { how: 'scan', from, isFirst: false, isInPlace: false, checksum: 'crc32' } as const;
  world.frame(peer, FRAME_KIND.begin, world.session, 0, encodeBegin(begin));
  expect(peer.stopped).toBeNull();
  world.settle();
  return peer;
}

/** Images of all volumes, some times over: more than is left beside what was there. */
function images(world: TargetWorld, peer: FakePeer): void {
  let transfer = 0;
  for (let pass = 0; pass < PASSES; pass++) {
    VOLUMES.forEach(({ bytes }, volume) => {
      for (let offset = 0; offset < bytes; offset += 4096) {
        const body = imageOf(world, volume, offset);
        if (peer.stopped === null) world.frame(peer, FRAME_KIND.entries, world.session, ++transfer, body, 1);
        world.settle();
      }
    });
  }
}

function imageOf({ model }: TargetWorld, volume: number, offset: number): Uint8Array {
  const payload = new Uint8Array(4096).fill(volume + 1);
  const bytes = new Uint8Array(entryBytes(payload.length));
  bytes.set(payload, ENTRY.bytes);
  const { mark, generation } = model;
  const { length } = payload;
  const place = { volume, mark, offset, length, generation, time: 0n, cycle: 0, position: 0, chain: 0n };
  const facts = { kind: ENTRY_KIND.image, flags: 0, payloadBytes: length, payloadCrc: crc32(payload), durableBack: 0 };
  encodeEntry({ ...place, ...facts }, 0n, bytes, 0);
  return bytes;
}

test('[MI12] what was never committed is given up where a comparison has no room beside it', () => {
  const world = begun(false);
  const { cut } = world;
  filled(world, 64 * 1024);
  const { prefix } = world.copy.shown;
  expect(prefix.mark).toBeGreaterThan(cut);
  images(world, staged(world));
  const [first] = world.peers;
  expect(first?.stopped).toMatchObject({ again: true });
  expect(first?.stopped?.reason).toContain(`marks ${cut + 1} to ${prefix.mark}: these were never committed`);
  expect(world.copy.shown.prefix.mark).toBe(cut);
  world.expectContent(cut, 'the cut stays');
  const peer = staged(world);
  images(world, peer);
  expect(peer.stopped).toBeNull();
  // A start finds the cut, and nothing of what was given up.
  world.crash();
  world.start();
  world.settle();
  expect(world.copy.shown.cut.mark).toBe(cut);
  expect(world.copy.shown.prefix.mark).toBe(cut);
});

test('[MI12] what was committed is brought in first', () => {
  const world = begun(true);
  filled(world, 60 * 1024);
  world.unsent.push(world.model.seal());
  world.send(1);
  world.settle();
  const { committed } = world;
  expect(committed).toBeGreaterThan(world.copy.shown.cut.mark);
  images(world, staged(world));
  expect(world.peers[0]?.stopped).toMatchObject({ again: true });
  world.settle();
  expect(world.copy.shown.cut.mark).toBe(committed);
  world.expectContent(committed, 'what was committed');
  const peer = staged(world);
  images(world, peer);
  expect(peer.stopped).toBeNull();
});

test('[MI12] with strict nothing is given up: somebody may have been answered with it', () => {
  const world = begun(false);
  filled(world, 64 * 1024);
  const { mark } = world.copy.shown.prefix;
  world.policy = 'strict';
  const peer = staged(world);
  images(world, peer);
  expect(peer.stopped).toMatchObject({ again: false });
  expect(world.copy.shown.prefix.mark).toBe(mark);
});
