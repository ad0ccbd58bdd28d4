/** What a link says to the flush thread and to the readers, in its peer's words of the shared state. */
import { beforeEach, describe, expect, test } from 'vitest';
import { DATA } from '../../../agent/base/packet-type.ts';
import { ClockOffset } from '../../../agent/core/clock-offset.ts';
import type { HeadWord } from '../../../agent/core/link-words.ts';
import { OutgoingLanes } from '../../../agent/core/outgoing-lanes.ts';
import { SeatWords } from '../../../agent/core/seat-words.ts';
import { EPOCH_MASK } from '../../../agent/queue/inbound.ts';
import { PEER, PEER_TIME, type PeerWords, SharedState, sharedStateBytes } from '../../../agent/queue/shared-state.ts';
import { incarnationOf } from '../../support/volume.ts';

const THEIRS = incarnationOf(2);
const READ_AGAIN_BYTES = 1000;

let words: PeerWords;
let lanes: OutgoingLanes;
let seat: SeatWords;

beforeEach(() => {
  words = new SharedState(new SharedArrayBuffer(sharedStateBytes())).peers[0] as PeerWords;
  const settings = { retainBytes: 10_000, maxAgeMs: 2000, storageWindowBytes: 10_000, hasNetwork: true };
  lanes = new OutgoingLanes(settings, () => ({ network: () => true, storage: () => true }), undefined);
  seat = new SeatWords(words, lanes);
});

const epoch = (): number => words.words[PEER.epoch] ?? 0;
const dataFloor = (): number => words.words[PEER.floorData] ?? 0;
/** The lane's floor moves up by one. */
function moveFloor(): void {
  lanes.enqueue(DATA, new Uint8Array(10), 0, 0);
  lanes.pump('network', 0);
  lanes.confirm(lanes.data.next, 1);
}

describe('the echo', () => {
  test('is of the newest word: whose, their clock, ours', () => {
    expect(seat.echoSeenMs).toBe(0);
    seat.echo(THEIRS, 777, 50);
    expect([seat.echoIncarnation, seat.echoMonotonicUs, seat.echoSeenMs]).toEqual([THEIRS, 777, 50]);
  });

  test('of a newcomer comes with floors no older than its first word; of one who is known it leaves them', () => {
    moveFloor();
    seat.echo(THEIRS, 777, 50);
    expect(dataFloor()).toBe(2);
    moveFloor();
    seat.echo(THEIRS, 778, 51);
    expect(dataFloor()).toBe(2);
    seat.echo(incarnationOf(3), 1, 52);
    expect(dataFloor()).toBe(3);
  });
});

test('[AUTH1] who is accepted: the readers find it with floors, and no confirmation of a predecessor', () => {
  words.words[PEER.confirmedData] = 9;
  words.words[PEER.confirmedBulk] = 9;
  moveFloor();
  expect(seat.isAccepted).toBe(false);
  seat.accept(incarnationOf(0xfe));
  expect(seat.isAccepted).toBe(true);
  expect(words.incarnation).toEqual(incarnationOf(0xfe));
  expect((words.words[PEER.tag] ?? 0) >>> 0).toBe(0xfefe_fefe);
  expect([seat.confirmedData, seat.confirmedBulk, dataFloor()]).toEqual([0, 0, 2]);
});

test('confirmations beyond half of the numbers are no negative ones', () => {
  words.words[PEER.confirmedData] = -1;
  expect(seat.confirmedData).toBe(0xffff_ffff);
});

describe('reading', () => {
  const head = (startPosition: number, position: number): HeadWord => ({ startPosition, position }) as HeadWord;

  test.each([
    ['where the incarnation began, when that is near', 5000, 5000 + READ_AGAIN_BYTES, 5000],
    ['at what comes from now on, when that is far', 5000, 5001 + READ_AGAIN_BYTES, 5001 + READ_AGAIN_BYTES],
  ])('begins %s', (_, start, position, begins) => {
    seat.endReading();
    seat.startReading(head(start, position), READ_AGAIN_BYTES);
    expect(words.times[PEER_TIME.startPosition]).toBe(begins);
  });

  test('that has begun is not begun again', () => {
    seat.endReading();
    seat.startReading(head(5000, 5000), READ_AGAIN_BYTES);
    const before = epoch();
    seat.startReading(head(9000, 9000), READ_AGAIN_BYTES);
    expect([words.times[PEER_TIME.startPosition], epoch()]).toEqual([5000, before]);
  });

  test('of one incarnation ends before the next begins: what was read of it is of the past', () => {
    const before = epoch();
    expect(seat.isPresent(before & EPOCH_MASK)).toBe(true);
    words.times[PEER_TIME.headPosition] = 8192;
    seat.endReading();
    expect(seat.isPresent(before & EPOCH_MASK)).toBe(false);
    expect([words.times[PEER_TIME.startPosition], words.times[PEER_TIME.headPosition]]).toEqual([-1, 0]);
  });
});

test('a seat that is left delivers nothing and claims nothing', () => {
  seat.accept(THEIRS);
  seat.publish(1, 2, 4, true);
  expect([PEER.flags, PEER.path, PEER.peerFlags, PEER.live].map((at) => words.words[at])).toEqual([1, 2, 4, 1]);
  const before = epoch();
  seat.leave();
  expect([seat.isAccepted, words.words[PEER.live], words.times[PEER_TIME.startPosition]]).toEqual([false, 0, -1]);
  expect(seat.isPresent(before & EPOCH_MASK)).toBe(false);
});

test('[AGE1] a clock that is not known is told as such', () => {
  const clock = new ClockOffset();
  seat.publishClock(clock, 10);
  expect([words.words[PEER.clockKnown], words.times[PEER_TIME.offsetUs]]).toEqual([0, 0]);
  clock.exchange(9000, 0, 500, 10_000);
  seat.publishClock(clock, 10);
  expect(words.words[PEER.clockKnown]).toBe(1);
  expect(words.times[PEER_TIME.offsetUs]).toBe(clock.offsetUsMin(10_000));
});
