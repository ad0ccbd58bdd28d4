/** What a link writes into its peer's words in the shared state, for the flush thread and the readers. */
import { PEER, PEER_TIME, type PeerWords } from '../queue/shared-state.ts';
import type { ClockOffset } from './clock-offset.ts';
import type { HeadWord } from './link-words.ts';

export function publishClock({ words, times }: PeerWords, clock: ClockOffset, nowMs: number): void {
  times[PEER_TIME.offsetUs] = clock.known ? clock.offsetUsMin(nowMs * 1000) : 0;
  words[PEER.clockKnown] = clock.known ? 1 : 0;
}

/** Nothing below these numbers will come again: what a newcomer begins at. */
export function publishFloors({ words }: PeerWords, heartbeat: number, data: number, bulk: number): void {
  Atomics.store(words, PEER.floorHeartbeat, heartbeat | 0);
  Atomics.store(words, PEER.floorData, data | 0);
  Atomics.store(words, PEER.floorBulk, bulk | 0);
}

/**
 * Reading begins where the incarnation began, when that is near: gates and ages drop what is of no use. Of an older
 * one nothing but what comes from now on can be for us, for it did not know us.
 */
export function startReading({ words, times }: PeerWords, head: HeadWord, readAgainBytes: number): void {
  if ((times[PEER_TIME.startPosition] ?? -1) >= 0) return;
  const behind = head.position - head.startPosition;
  times[PEER_TIME.startPosition] = behind > readAgainBytes ? head.position : head.startPosition;
  times[PEER_TIME.startMark] = 0;
  Atomics.add(words, PEER.epoch, 1);
}
