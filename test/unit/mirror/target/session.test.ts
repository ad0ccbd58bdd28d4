/** The target's side of the link: who is let in, what is taken, what is told. */
import { beforeEach, describe, expect, test } from 'vitest';
import { toHex } from '../../../../agent/base/bytes.ts';
import { encodeBegin, encodeStop } from '../../../../agent/mirror/link/greeting.ts';
import { decodeAnswer, decodeStored, encodeAnswer, encodeStored } from '../../../../agent/mirror/target/reports.ts';
import { fileOffset } from '../../../../agent/mirror/store/ring.ts';
import { ENTRY } from '../../../../agent/mirror/wire/entry.ts';
import { FRAME_KIND } from '../../../../agent/mirror/wire/frame.ts';
import { transferOf } from '../../../support/source-model.ts';
import { SIZE } from '../store/journal-world.ts';
import { FakePeer, TargetWorld, VOLUMES } from './target-world.ts';

const { entries, stored, sealed, applied, commit, roll, inquiry, answer, begin, stop } = FRAME_KIND;

let world: TargetWorld;
let peer: FakePeer;

beforeEach(() => {
  world = new TargetWorld(1);
  world.start();
  peer = world.connect();
  peer.onSaid = () => {};
  world.settle();
});

/** One frame with these marks, in this order. */
function send(marks: readonly number[], over: FakePeer = peer, session: number = world.session): void {
  const list = marks.map((mark) => world.model.entries[mark - 1]).filter((entry) => entry !== undefined);
  world.frame(over, entries, session, 1, transferOf(list), list.length);
}

function lastStored(): { received: number; durable: number } {
  const said = peer.last(stored);
  return { received: said?.id ?? -1, durable: decodeStored(said?.body ?? new Uint8Array(0))?.durable ?? -1 };
}

/** Five writes and a seal. */
function cycle(): void {
  for (let i = 0; i < 5; i++) world.model.append();
  world.model.seal();
}

const beginBody = (mark: number, how: 'replay' | 'scan' = 'replay', isFirst = false): Uint8Array =>
  encodeBegin({ how, from: world.model.point(mark), isFirst, isInPlace: false, checksum: 'crc32' });

test('a session is told when it is durable, before anything has come', () => {
  const other = new TargetWorld(2);
  other.start();
  const first = other.connect();
  expect(first.last(stored)).toBeUndefined();
  other.settle();
  expect(first.last(stored)).toMatchObject({ session: other.session, id: 0 });
  expect(other.superblock()).toMatchObject({
    session: other.session,
    sessionMark: 0,
    generation: other.model.generation,
  });
});

test('[CY2] marks in any order: memory and disk are told apart, and nothing is durable before the flush', () => {
  cycle();
  send([3, 1]);
  expect(lastStored()).toEqual({ received: 1, durable: 0 });
  send([2, 6, 4]);
  expect(lastStored()).toEqual({ received: 4, durable: 0 });
  world.stepJournal();
  expect(lastStored()).toEqual({ received: 4, durable: 4 });
  send([5]);
  world.stepJournal();
  expect(lastStored()).toEqual({ received: 6, durable: 6 });
  expect(peer.last(sealed)).toMatchObject({ id: 1 });
});

test('[CY2] what a lost connection brought and has no place yet goes with it, and is taken on another one', () => {
  const other = world.greet(world.session);
  const keeper = world.greet(world.session);
  cycle();
  // More than the window takes before it is durable: what is left waits.
  for (let i = 0; i < 30; i++) world.model.append();
  const marks = world.model.entries.map(({ mark }) => mark);
  send(marks.slice(1), other);
  send([1]);
  const { received } = lastStored();
  expect(received).toBeLessThan(world.model.mark);
  world.sessions.disconnected(other, 'lost');
  world.settle();
  expect(peer.stopped).toBeNull();
  expect(lastStored().received).toBeLessThan(world.model.mark);
  // Again, from wherever its source thinks that it has to.
  send(marks.slice(3), keeper);
  send(marks.slice(0, 3), keeper);
  world.settle();
  expect(lastStored()).toEqual({ received: world.model.mark, durable: world.model.mark });
});

test('[CR3] a comparison is made ready for when the ring of who comes begins behind what is here, and when nothing is shown', () => {
  const empty = new TargetWorld(2);
  empty.start();
  empty.greet();
  expect(empty.prepared).toBe(1);
  cycle();
  send([1, 2, 3, 4, 5, 6]);
  world.settle();
  world.prepared = 0;
  world.greet(0, { tail: world.model.point(6) });
  world.greet(world.session);
  expect(world.prepared).toBe(0);
  cycle();
  world.greet(0, { tail: world.model.point(7) });
  expect(world.prepared).toBe(1);
});

test('[MI4] a sealed cycle is applied after COMMIT and the word to roll, not before', () => {
  cycle();
  send([1, 2, 3, 4, 5, 6]);
  world.settle();
  expect(peer.last(sealed)).toMatchObject({ id: 1 });
  world.frame(peer, roll, world.session, 6);
  world.settle();
  expect(world.copy.receiver.cut.mark).toBe(0);
  world.expectContent(0, 'not committed');
  world.frame(peer, commit, world.session, 1);
  world.settle();
  expect(peer.last(applied)).toMatchObject({ id: 6 });
  world.expectContent(6, 'committed');
  expect(world.superblock()).toMatchObject({ cut: 6, committed: 6, tailPosition: world.copy.arrivals.head });
});

test('[MI7] rolled to a mark within a cycle it shows the end of the cycle before: no cut but a seal', () => {
  cycle();
  cycle();
  send([1, 2, 3, 4, 5, 6, 7, 8, 9]);
  world.settle();
  world.frame(peer, commit, world.session, 1);
  // What a source says that does not know where the cycle ends, which an earlier run of it sealed.
  world.frame(peer, roll, world.session, 9);
  world.settle();
  expect(peer.last(applied)).toMatchObject({ id: 6 });
  send([10, 11, 12]);
  world.settle();
  world.frame(peer, commit, world.session, 2);
  world.settle();
  expect(world.superblock()).toMatchObject({ cut: 6 });
  world.expectContent(6, 'rolled to a mark within the next cycle');
  world.frame(peer, roll, world.session, 12);
  world.settle();
  expect(peer.last(applied)).toMatchObject({ id: 12 });
  world.expectContent(12, 'rolled');
});

test('[MI9] while a cut is brought in the superblock is odd and names what is committed; even again only behind the flush', () => {
  cycle();
  send([1, 2, 3, 4, 5, 6]);
  world.settle();
  world.frame(peer, commit, world.session, 1);
  world.frame(peer, roll, world.session, 6);
  expect(world.copy.gate.isShut).toBe(false);
  world.stepJournal();
  expect(world.superblock()).toMatchObject({ cut: 0, committed: 6 });
  expect(world.superblock().sequence % 2).toBe(1);
  expect(world.copy.gate.isShut).toBe(true);
  expect(world.volumes.map(({ writes }) => writes)).toEqual([0, 0]);
  world.stepApply();
  expect(world.volumes.some(({ flushes }) => flushes > 0)).toBe(true);
  expect(world.superblock().sequence % 2).toBe(1);
  expect(peer.last(applied)).toBeUndefined();
  world.stepJournal();
  expect(world.superblock()).toMatchObject({ cut: 6 });
  expect(world.superblock().sequence % 2).toBe(0);
  expect(peer.last(applied)).toMatchObject({ id: 6 });
  expect(world.copy.gate.isShut).toBe(false);
});

test('[MI15] an entry that the journal does not hold any more as it was is never applied, and is told', () => {
  cycle();
  send([1, 2, 3, 4, 5, 6]);
  world.settle();
  world.disk.rot(fileOffset(world.copy.receiver.toApply(6)[3]?.position ?? 0, SIZE) + ENTRY.at.length);
  world.frame(peer, commit, world.session, 1);
  world.frame(peer, roll, world.session, 6);
  world.settle();
  expect(world.copy.journalErrno).toBe(5);
  expect(world.lines.at(-1)).toContain('the journal fails (errno 5)');
  expect(peer.last(applied)).toBeUndefined();
  expect(world.copy.receiver.cut.mark).toBe(0);
  expect(world.copy.gate.isShut).toBe(true);
});

test('what comes twice is put into the journal once', () => {
  cycle();
  send([1, 2, 3]);
  const { head } = world.copy.arrivals;
  send([3, 2, 1, 1]);
  world.settle();
  send([1]);
  expect(world.copy.arrivals.head).toBe(head);
});

test('[CY7] the direct question is answered at once, before a session too, with what is wrong behind', () => {
  const stranger = new FakePeer();
  world.sessions.connected(stranger);
  world.frame(stranger, inquiry, 0, 77);
  expect(stranger.last(answer)).toMatchObject({ id: 77 });
  expect(decodeAnswer(stranger.last(answer)?.body ?? new Uint8Array(0))).toEqual({ journalErrno: 0, volumesErrno: 0 });
  world.disk.flushFault = () => -5;
  world.model.append();
  send([1]);
  world.stepJournal();
  world.frame(peer, inquiry, world.session, 78);
  expect(peer.last(answer)).toMatchObject({ id: 78, session: world.session });
  expect(decodeAnswer(peer.last(answer)?.body ?? new Uint8Array(0))).toMatchObject({ journalErrno: 5 });
});

test('bodies that no target writes are not read', () => {
  expect(decodeStored(encodeStored({ durable: 7, roomBytes: 2 ** 40 }))).toEqual({ durable: 7, roomBytes: 2 ** 40 });
  expect(decodeStored(new Uint8Array(15))).toBeNull();
  expect(decodeStored(new Uint8Array(16).fill(255))).toBeNull();
  expect(decodeAnswer(encodeAnswer({ journalErrno: 5, volumesErrno: 28 }))).toEqual({
    journalErrno: 5,
    volumesErrno: 28,
  });
  expect(decodeAnswer(new Uint8Array(7))).toBeNull();
});

describe('sessions', () => {
  test('[MI5] a newer one ends the older one; late frames of that change nothing', () => {
    cycle();
    send([1, 2]);
    world.settle();
    const old = world.session;
    const next = world.greet();
    world.frame(next, begin, old + 1, 0, beginBody(2));
    expect(peer.stopped).toMatchObject({ again: false, reason: expect.stringContaining('two sources') });
    const { head } = world.copy.arrivals;
    send([3], peer, old);
    send([3], next, old);
    world.frame(next, commit, old, 1);
    world.settle();
    expect(world.copy.arrivals.head).toBe(head);
    expect(next.stopped).toBeNull();
    send([3], next, old + 1);
    expect(world.copy.arrivals.head).toBeGreaterThan(head);
  });

  test('[MI5] a lost link drops nothing; the next session drops what has a hole before it, for ever', () => {
    cycle();
    send([1, 2, 4, 5]);
    world.settle();
    for (const one of world.peers) world.sessions.disconnected(one, 'reset');
    expect(world.sessions.session).toBeNull();
    expect(world.copy.receiver.toApply(9)).toHaveLength(4);
    const next = world.greet();
    expect(next.welcome).toMatchObject({ prefix: world.model.point(2), session: world.session });
    world.frame(next, begin, world.session + 1, 0, beginBody(2));
    world.settle();
    expect(world.copy.receiver.toApply(9)).toHaveLength(2);
    world.start();
    expect(world.copy.receiver.toApply(9)).toHaveLength(2);
  });

  test('it goes on over the connections that are left, and is over with the last', () => {
    cycle();
    const [first, second] = world.peers as [FakePeer, FakePeer];
    world.sessions.disconnected(first, 'reset');
    send([1], second);
    world.settle();
    expect(second.last(stored)).toMatchObject({ id: 1 });
    expect(world.sessions.addresses).toEqual([second.address]);
    world.sessions.disconnected(second, 'reset');
    expect(world.sessions.session).toBeNull();
  });

  test.each<[string, () => [number, Uint8Array], object, boolean]>([
    ['a number that was there before', () => [world.session, beginBody(0)], {}, true],
    [
      'a point that is not here',
      () => [
        world.session + 1,
        encodeBegin({
          how: 'replay',
          from: { mark: 0, chain: 5n },
          isFirst: false,
          isInPlace: false,
          checksum: 'crc32',
        }),
      ],
      {},
      true,
    ],
    [
      'a point beyond the prefix',
      () => [
        world.session + 1,
        encodeBegin({
          how: 'replay',
          from: { mark: 9, chain: 5n },
          isFirst: false,
          isInPlace: false,
          checksum: 'crc32',
        }),
      ],
      {},
      true,
    ],
    ['another group', () => [world.session + 1, beginBody(0)], { group: 'other' }, false],
    ['another generation', () => [world.session + 1, beginBody(0)], { generation: 'ab'.repeat(16) }, false],
    ['another order of volumes', () => [world.session + 1, beginBody(0)], { volumes: VOLUMES.toReversed() }, false],
    ['a first copy over one that is there', () => [world.session + 1, beginBody(0, 'scan', true)], {}, false],
  ])('is refused: %s', (_, of, hello, again) => {
    const [session, body] = of();
    const next = world.greet(0, hello);
    world.frame(next, begin, session, 0, body);
    expect(next.stopped).toMatchObject({ again });
    // The one that runs is not touched.
    expect(world.sessions.session).toBe(world.session);
    expect(peer.stopped).toBeNull();
  });

  describe('[MI13] of two sources the one that is here stays, unless the other comes after it', () => {
    const OTHER = 'cd'.repeat(16);
    const ours = (): string => toHex(world.model.generation);
    const after = () => ({ generation: OTHER, ancestry: [{ generation: ours(), until: world.model.point(0) }] });
    /** A comparison beside the copy. */
    const comes = (who: object, session = world.sessions.session ?? world.session): FakePeer => {
      const next = world.greet(0, who);
      world.frame(next, begin, session + 1, 0, beginBody(0, 'scan'));
      world.settle();
      return next;
    };

    test('one of a branch of its own is refused while it is here', () => {
      expect(comes({ generation: OTHER }).stopped).toMatchObject({
        again: false,
        reason: expect.stringContaining('two sources'),
      });
      expect([world.sessions.session, peer.stopped]).toEqual([world.session, null]);
    });

    test('one that comes after it takes its place, and it is to come back to hear of that', () => {
      const next = comes(after());
      expect(next.stopped).toBeNull();
      expect(peer.stopped).toMatchObject({ again: true, reason: expect.stringContaining('two sources') });
    });

    test('the older one does not come back into its place: what shows the older copy is being made a newer one', () => {
      const next = comes(after());
      const session = world.session + 1;
      expect(comes({}).stopped).toMatchObject({ again: false, reason: expect.stringContaining('does not come after') });
      expect([world.sessions.session, next.stopped]).toEqual([session, null]);
      // Once that one is gone there is one source again.
      world.sessions.disconnected(next, 'gone');
      expect(comes({}, session).stopped).toBeNull();
      expect(world.sessions.session).toBe(session + 1);
    });

    test('one that has not been heard of for seconds is not here', () => {
      const next = comes(after());
      world.heardMs += 3000;
      expect(comes({}).stopped).toBeNull();
      // It may have stood still only, and takes its place back then.
      expect(next.stopped).toMatchObject({ again: true });
      expect(comes(after()).stopped).toBeNull();
    });

    test('also where there is no copy yet', () => {
      const blank = new TargetWorld(3);
      blank.start();
      const former = [{ generation: toHex(blank.model.generation), until: blank.model.point(0) }];
      const newer = blank.greet(0, { generation: OTHER, ancestry: former });
      blank.frame(newer, begin, 1, 0, beginBody(0, 'scan', true));
      blank.settle();
      const older = blank.greet();
      blank.frame(older, begin, 2, 0, beginBody(0, 'scan', true));
      expect(older.stopped).toMatchObject({ again: false });
      expect([blank.sessions.session, newer.stopped]).toEqual([1, null]);
    });
  });

  test('a source that lost what was committed here is refused', () => {
    cycle();
    send([1, 2, 3, 4, 5, 6]);
    world.settle();
    world.frame(peer, commit, world.session, 1);
    const next = world.greet();
    world.frame(next, begin, world.session + 1, 0, beginBody(3));
    expect(next.stopped?.reason).toContain('committed');
  });

  test('a connection joins the session that runs and no other; a hello comes first', () => {
    expect(world.greet(world.session + 5).stopped).toMatchObject({ again: true });
    expect(world.greet(world.session).stopped).toBeNull();
    const stranger = new FakePeer();
    world.sessions.connected(stranger);
    world.frame(stranger, entries, world.session, 1);
    expect(stranger.stopped).toMatchObject({ again: false });
    const noise = new FakePeer();
    world.sessions.connected(noise);
    world.frame(noise, FRAME_KIND.hello, 0, 0, Buffer.from('{'));
    expect(noise.stopped?.reason).toContain('no JSON');
  });

  test('there are only so many connections', () => {
    const many = Array.from({ length: 40 }, () => new FakePeer());
    for (const one of many) world.sessions.connected(one);
    expect(many.filter(({ stopped }) => stopped !== null)).toHaveLength(10);
  });

  test('a source that says stop is let go; a target that is closed says so', () => {
    const [first, second] = world.peers as [FakePeer, FakePeer];
    world.frame(first, stop, world.session, 0, encodeStop({ reason: 'paused', again: false }));
    expect(world.lines.at(-1)).toContain('paused');
    expect(world.sessions.session).toBe(world.session);
    world.sessions.close();
    expect(second.stopped).toMatchObject({ again: true });
    const late = new FakePeer();
    world.sessions.connected(late);
    expect(late.stopped).toMatchObject({ again: true });
  });
});

describe('a fault trips the session, and is told once on each connection', () => {
  test.each<[string, (body: Uint8Array) => void, string]>([
    ['header', (body) => (body[ENTRY.at.mark] = 99), 'header'],
    ['payload', (body) => (body[ENTRY.bytes + 3] = (body[ENTRY.bytes + 3] ?? 0) ^ 1), 'payload of mark 2'],
    ['no entry', (body) => (body[0] = 0), 'no entry'],
  ])('%s', (_, damage, reason) => {
    world.model.seal();
    let entry = world.model.append();
    while (entry.bytes.length <= 128) {
      world.model.loseBehind(1);
      entry = world.model.append();
    }
    const body = Uint8Array.from(entry.bytes);
    damage(body);
    const { head } = world.copy.arrivals;
    world.frame(peer, entries, world.session, 1, body, 1);
    for (const one of world.peers) expect(one.stopped?.reason).toContain(reason);
    expect(world.copy.arrivals.head).toBe(head);
    expect(world.sessions.session).toBeNull();
    expect(world.lines.filter((line) => line.includes(reason))).toHaveLength(1);
  });

  test.each<[string, number, (bytes: Uint8Array) => Uint8Array]>([
    ['too few bytes', 1, (bytes) => bytes.subarray(0, bytes.length - 128)],
    ['too many bytes', 1, (bytes) => Buffer.concat([bytes, new Uint8Array(128)])],
    ['more entries than there are', 2, (bytes) => bytes],
    ['no entries', 0, (bytes) => bytes],
  ])('%s', (_, count, change) => {
    const { bytes } = world.model.append();
    world.frame(peer, entries, world.session, 1, change(bytes), count);
    expect(peer.stopped).toMatchObject({ again: true });
  });

  test('an entry whose chain does not follow: what is before it stays', () => {
    cycle();
    send([1, 2, 3]);
    world.settle();
    world.model.loseBehind(2);
    world.model.append();
    world.model.append();
    send([4]);
    world.settle();
    expect(peer.stopped?.reason).toContain('mark 4');
    expect(world.copy.receiver.prefix.mark).toBe(3);
  });
});

describe('room', () => {
  test('[MI16] a full ring holds the source up; what waited is taken when a cut frees room', () => {
    for (let i = 0; i < 30; i++) cycle();
    const { length } = world.model.entries;
    for (let mark = 1; mark <= length; mark++) {
      send([mark]);
      world.settle();
      if (lastStored().received < mark) break;
    }
    const full = lastStored();
    expect(full.received).toBeLessThan(length);
    for (let mark = full.received + 2; mark <= length; mark++) send([mark]);
    world.settle();
    expect(lastStored()).toEqual(full);
    expect(full.durable).toBe(full.received);
    for (let i = 0; i < 12; i++) {
      const said = peer.last(sealed);
      world.frame(peer, commit, world.session, said?.id ?? 0);
      world.frame(peer, roll, world.session, world.model.mark);
      world.settle();
    }
    expect(lastStored().durable).toBe(length);
    expect(world.copy.receiver.cut.mark).toBe(length);
    world.expectContent(length, 'all of it');
  });

  test('[MI16] of a connection that goes beyond all room no more is read until what waits is taken', () => {
    for (let i = 0; i < 900; i++) cycle();
    const { length } = world.model.entries;
    const all = Array.from({ length }, (_, i) => i + 1);
    for (let at = 0; at < length; at += 200) send(all.slice(at, at + 200));
    expect(peer.isPaused).toBe(true);
    world.frame(peer, inquiry, world.session, 5);
    expect(peer.last(answer)).toMatchObject({ id: 5 });
    for (let i = 0; i < 3000 && world.copy.receiver.cut.mark < length; i++) {
      world.frame(peer, commit, world.session, peer.last(sealed)?.id ?? 0);
      world.frame(peer, roll, world.session, length);
      world.settle();
    }
    expect(world.copy.receiver.cut.mark).toBe(length);
    expect(peer.isPaused).toBe(false);
  });
});
