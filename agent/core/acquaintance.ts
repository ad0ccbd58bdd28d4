/**
 * Which incarnation of the peer is believed, and whether it believes us. Pure: words come with their time.
 *
 * [AUTH1] An incarnation is accepted when it echoes a word of ours that was sent after we first saw it: it lives now, it
 * is no recording. While the accepted one is heard, no other is listened to; one that was given up never comes back.
 */
import { sameBytes } from '../base/bytes.ts';
import { HELLO_FLAG, type Hello } from '../wire/message.ts';

export const isSameIncarnation = (a: Uint8Array, b: Uint8Array | null): boolean =>
  b !== null && sameBytes(a, 0, b, 0, 16);

export type Standing =
  /** Not listened to. */
  | 'ignored'
  /** Seen, not believed yet: it gets our echo and has to echo that. */
  | 'stranger'
  /** To be accepted now. */
  | 'newcomer'
  /** The accepted one. */
  | 'known';

export class Acquaintance {
  readonly #ours: Uint8Array;
  #accepted: Uint8Array | null = null;
  #retired: Uint8Array | null = null;
  /** A stranger, and our clock when we first saw it. */
  #candidate: Uint8Array | null = null;
  #candidateSinceMs = 0;
  /** The peer has accepted us since we accepted it. */
  isOpen = false;
  /** What the peer's last word said. */
  peerAccepts = false;

  constructor(ours: Uint8Array) {
    this.#ours = ours;
  }

  get accepted(): Uint8Array | null {
    return this.#accepted;
  }

  isAccepted(incarnation: Uint8Array): boolean {
    return isSameIncarnation(incarnation, this.#accepted);
  }

  /** True when the hello echoes a word of our own incarnation. */
  echoesUs(hello: Hello): boolean {
    return (hello.flags & HELLO_FLAG.echoes) !== 0 && isSameIncarnation(hello.echoIncarnation, this.#ours);
  }

  /** What a hello makes of its sender. `isHeard`: the accepted incarnation speaks on the network now. */
  standing(incarnation: Uint8Array, hello: Hello, isHeard: boolean, nowMs: number): Standing {
    if (this.isAccepted(incarnation)) return 'known';
    if (isSameIncarnation(incarnation, this.#retired)) return 'ignored';
    // Neither a recording on the network nor the head block that a former incarnation left may unsettle a good link.
    if (this.#accepted && isHeard) return 'ignored';
    if (isSameIncarnation(incarnation, this.#candidate)) {
      const isFresh = hello.echoMonotonicUs >= Math.floor(this.#candidateSinceMs * 1000);
      return this.echoesUs(hello) && isFresh ? 'newcomer' : 'stranger';
    }
    this.#candidate = incarnation.slice();
    this.#candidateSinceMs = nowMs;
    return 'stranger';
  }

  /** Believes this incarnation from now on; true when it succeeds another one. */
  accept(incarnation: Uint8Array): boolean {
    const isSuccessor = this.#accepted !== null;
    this.#retired = this.#accepted;
    this.#accepted = incarnation.slice();
    this.#candidate = null;
    this.isOpen = false;
    this.peerAccepts = false;
    return isSuccessor;
  }
}
