/**
 * One peer's words in the shared state, as its link writes and reads them: what the flush thread puts into our head block,
 * what the readers begin at and whom they believe, and what they say of the storage way.
 */
import { dataView } from '../base/bytes.ts';
import { EPOCH_MASK } from '../queue/inbound.ts';
import { PEER, PEER_TIME, type PeerWords } from '../queue/shared-state.ts';
import { isSameIncarnation } from './acquaintance.ts';
import type { ClockOffset } from './clock-offset.ts';
import type { HeadWord } from './link-words.ts';
import type { OutgoingLanes } from './outgoing-lanes.ts';

export class SeatWords {
  readonly #words: Int32Array;
  readonly #times: Float64Array;
  /** Whom the readers believe. */
  readonly #accepted: Uint8Array;
  /** Whose word was heard last: what our hellos and heads echo. */
  readonly #echo: Uint8Array;

  readonly #outgoing: OutgoingLanes;

  constructor({ words, times, incarnation, echoIncarnation }: PeerWords, outgoing: OutgoingLanes) {
    this.#outgoing = outgoing;
    this.#words = words;
    this.#times = times;
    this.#accepted = incarnation;
    this.#echo = echoIncarnation;
  }

  /** When the peer's head block was last read; 0 for never. */
  get storageSeenMs(): number {
    return this.#times[PEER_TIME.storageSeenMs] ?? 0;
  }

  /** How often the reader has passed over batches. */
  get skips(): number {
    return Atomics.load(this.#words, PEER.skips);
  }

  /** What the peer's batches confirm; 0: nothing yet. */
  get confirmedData(): number {
    return Atomics.load(this.#words, PEER.confirmedData) >>> 0;
  }

  get confirmedBulk(): number {
    return Atomics.load(this.#words, PEER.confirmedBulk) >>> 0;
  }

  /** True when a record of this epoch was read of the incarnation that is accepted now. */
  isPresent(epoch: number): boolean {
    return epoch === (Atomics.load(this.#words, PEER.epoch) & EPOCH_MASK);
  }

  /** The incarnation in the echo, the peer's clock in its word, and our clock when it came: 0 for never. */
  get echoIncarnation(): Uint8Array {
    return this.#echo;
  }

  get echoMonotonicUs(): number {
    return this.#times[PEER_TIME.echoMonotonicUs] ?? 0;
  }

  get echoSeenMs(): number {
    return this.#times[PEER_TIME.echoSeenMs] ?? 0;
  }

  /** From now on this word of the peer is echoed. A newcomer begins to listen at our floors: they are put here first. */
  echo(incarnation: Uint8Array, monotonicUs: number, nowMs: number): void {
    if (!isSameIncarnation(incarnation, this.#echo)) this.#publishFloors();
    this.#echo.set(incarnation);
    this.#times[PEER_TIME.echoMonotonicUs] = monotonicUs;
    this.#times[PEER_TIME.echoSeenMs] = nowMs;
  }

  publishClock(clock: ClockOffset, nowMs: number): void {
    this.#times[PEER_TIME.offsetUs] = clock.known ? clock.offsetUsMin(nowMs * 1000) : 0;
    this.#words[PEER.clockKnown] = clock.known ? 1 : 0;
  }

  /** Nothing below these numbers will come again: what a newcomer begins at. */
  #publishFloors(): void {
    const { heartbeat, data, bulk } = this.#outgoing;
    Atomics.store(this.#words, PEER.floorHeartbeat, heartbeat.next | 0);
    Atomics.store(this.#words, PEER.floorData, data.floor | 0);
    Atomics.store(this.#words, PEER.floorBulk, bulk.floor | 0);
  }

  /** What our head block says, and what a reader paces itself by. `isLive`: the peer may write for us now. */
  publish(flags: number, path: number, peerFlags: number, isLive: boolean): void {
    this.#words[PEER.flags] = flags;
    this.#words[PEER.path] = path;
    this.#words[PEER.peerFlags] = peerFlags;
    this.#publishFloors();
    this.#words[PEER.live] = isLive ? 1 : 0;
  }

  /** What a reader still has of the accepted incarnation finds no gate open. Told before the lanes begin anew. */
  endReading(): void {
    this.#times[PEER_TIME.startPosition] = -1;
    this.#times[PEER_TIME.headPosition] = 0; // also for a reader that is only now begun and knows no predecessor
    Atomics.add(this.#words, PEER.epoch, 1);
  }

  /** Whom the readers believe from now on. The floors are there before: whoever reads it finds none of a predecessor's. */
  accept(incarnation: Uint8Array): void {
    this.#publishFloors();
    this.#accepted.set(incarnation);
    this.#words[PEER.tag] = dataView(incarnation).getUint32(0, true) | 0;
    this.#words[PEER.accepted] = 1;
    this.#words[PEER.confirmedData] = 0;
    this.#words[PEER.confirmedBulk] = 0;
  }

  get isAccepted(): boolean {
    return this.#words[PEER.accepted] === 1;
  }

  /**
   * Reading begins where the incarnation began, when that is near: gates and ages drop what is of no use. Of an older
   * one nothing but what comes from now on can be for us, for it did not know us.
   */
  startReading(head: HeadWord, readAgainBytes: number): void {
    if ((this.#times[PEER_TIME.startPosition] ?? -1) >= 0) return;
    const behind = head.position - head.startPosition;
    this.#times[PEER_TIME.startPosition] = behind > readAgainBytes ? head.position : head.startPosition;
    this.#times[PEER_TIME.startMark] = 0;
    Atomics.add(this.#words, PEER.epoch, 1);
  }

  /** From now on nobody delivers by these words, whatever a reader still has in hand. */
  leave(): void {
    this.#words[PEER.accepted] = 0;
    this.#words[PEER.live] = 0;
    this.#times[PEER_TIME.startPosition] = -1;
    Atomics.add(this.#words, PEER.epoch, 1);
  }
}
