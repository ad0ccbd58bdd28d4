/** [RING1] Who keeps the ring from being overwritten, by a clock that the test moves. */
import { beforeEach, describe, expect, test } from 'vitest';
import { type ClaimPeer, RingClaims } from '../../../agent/flush/claims.ts';
import { PEER, PEER_TIME, SharedState, sharedStateBytes } from '../../../agent/queue/shared-state.ts';

const RING = 1024 * 1024;
const CLAIM_MS = 100;
let peers: readonly ClaimPeer[];
let claims: RingClaims;
let position: number;
let nowMs: number;

beforeEach(() => {
  const shared = new SharedState(new SharedArrayBuffer(sharedStateBytes()));
  peers = shared.peers.slice(0, 3).map((words, seat) => ({ ...words, seat }));
  claims = new RingClaims(RING, peers);
  position = 10 * RING;
  nowMs = 1000;
});

/** Lets peer `index` live and read up to `behind` bytes before our position. */
function reads(index: number, behind: number): void {
  const peer = peers[index];
  if (!peer) return;
  peer.words[PEER.live] = 1;
  peer.times[PEER_TIME.peerReadPosition] = position - behind;
}

const space = (): number => claims.space(position, nowMs);

const nobody = (): boolean => false;

/** The ring is short of room for so long, looked at every 20 ms. */
function shortFor(ms: number, isDeaf: (peer: ClaimPeer) => boolean = nobody): void {
  for (const endMs = nowMs + ms; nowMs < endMs; nowMs += 20) claims.look(true, isDeaf, position, nowMs);
  claims.look(true, isDeaf, position, nowMs);
}

describe('a claim', () => {
  test('is that of the slowest live reader; the dead and those who have said nothing have none', () => {
    expect(space()).toBe(RING);
    reads(0, 1000);
    reads(1, 5000);
    reads(2, 9000);
    (peers[2] as ClaimPeer).words[PEER.live] = 0;
    expect(space()).toBe(RING - 5000);
    (peers[1] as ClaimPeer).times[PEER_TIME.peerReadPosition] = 0;
    expect(space()).toBe(RING - 1000);
  });

  test('is lost by a reader that stands still while the ring is short and another is far ahead', () => {
    reads(0, RING);
    reads(1, 8192);
    shortFor(CLAIM_MS - 20);
    expect([space(), claims.losses]).toEqual([0, 0]);
    shortFor(20);
    expect([space(), claims.losses]).toEqual([RING - 8192, 1]);
  });

  test('that was lost stays lost when other peers come and go', () => {
    reads(0, RING);
    reads(1, 8192);
    shortFor(CLAIM_MS);
    claims.apply([peers[1], peers[0]] as ClaimPeer[]);
    expect(space()).toBe(RING - 8192);
    claims.apply([peers[1]] as ClaimPeer[]);
    claims.apply([peers[1], peers[0]] as ClaimPeer[]);
    expect(space()).toBe(0);
  });

  test('is kept by a reader that is alone, or as slow as all the others', () => {
    reads(0, RING);
    shortFor(20 * CLAIM_MS);
    expect(space()).toBe(0);
    reads(1, RING * 0.9);
    shortFor(20 * CLAIM_MS);
    expect([space(), claims.losses]).toEqual([0, 0]);
  });

  test('is kept by a reader that reads on, and lost by one that nearly does not', () => {
    for (let i = 0; i < 50; i++) {
      position += Math.ceil((RING / 16 / 5) * 1.5);
      reads(0, RING);
      reads(1, 8192);
      shortFor(20);
    }
    expect(claims.losses).toBe(0);
    reads(0, RING);
    shortFor(CLAIM_MS);
    expect(claims.losses).toBe(1);
  });

  test('is kept while there is room, however long the reader stands still', () => {
    reads(0, RING - 300_000);
    reads(1, 8192);
    for (let i = 0; i < 100; i++, nowMs += 20) claims.look(false, nobody, position, nowMs);
    expect(space()).toBe(300_000);
    // And what it did not read before the ring was short does not count against it.
    claims.look(true, nobody, position, nowMs);
    expect(claims.losses).toBe(0);
  });

  test('is not lost while we do not hear what anybody says', () => {
    reads(0, RING);
    reads(1, 8192);
    shortFor(10 * CLAIM_MS, () => true);
    expect(claims.losses).toBe(0);
    shortFor(CLAIM_MS);
    expect(claims.losses).toBe(1);
  });
});

test('where one of our readers hears nothing, its peers keep their claims, and the others can lose theirs', () => {
  reads(0, RING);
  reads(1, RING);
  reads(2, 8192);
  shortFor(10 * CLAIM_MS, ({ seat }) => seat === 0);
  expect([space(), claims.losses]).toEqual([0, 1]);
  reads(0, 8192);
  expect(space()).toBe(RING - 8192);
});

describe('a claim that was lost', () => {
  beforeEach(() => {
    reads(0, RING);
    reads(1, 8192);
    shortFor(CLAIM_MS);
    expect(claims.losses).toBe(1);
  });

  test('comes back when the reader has read something, after a pause', () => {
    nowMs += 400;
    reads(0, 100_000);
    expect(space()).toBe(RING - 8192);
    nowMs += 200;
    expect(space()).toBe(RING - 100_000);
  });

  test('does not come back by time alone', () => {
    nowMs += 1_000_000;
    expect(space()).toBe(RING - 8192);
  });

  test('takes longer to come back when it is lost again soon, and not when it was kept for long', () => {
    const regain = (afterMs: number): void => {
      nowMs += afterMs;
      position += RING;
      reads(0, 0);
      reads(1, 0);
    };
    regain(600);
    expect(space()).toBe(RING);
    position += RING;
    reads(1, 8192);
    shortFor(CLAIM_MS);
    expect(claims.losses).toBe(2);
    regain(600);
    position += 4096;
    reads(1, 0);
    expect(space()).toBe(RING); // the pause is twice as long now
    nowMs += 500;
    expect(space()).toBe(RING - 4096);
  });

  test('is not inherited by a successor', () => {
    const [peer] = peers as [ClaimPeer];
    peer.words[PEER.tag] = 77;
    reads(0, 5000);
    reads(1, 0);
    expect(space()).toBe(RING - 5000);
  });
});
