/** One peer's part in the bypass: whether there is one, and the peer's newest word about it. */
import { HELLO_FLAG, type Hello } from '../wire/message.ts';
import { BypassJudge } from './bypass-judge.ts';
import type { Judge } from './judge.ts';

export class PeerBypass {
  #judge: BypassJudge | null = null;
  /** The peer's clock in its newest word: one from storage may be older than one from the network. */
  #saidUs = 0;

  /** Null where packets to the peer cannot go past the agents. */
  get judge(): BypassJudge | null {
    return this.#judge;
  }

  /** `isThere`: the kernel has a route to the peer that goes past the agents. */
  apply(isThere: boolean, intervalMs: number): void {
    this.#judge = isThere ? (this.#judge ?? new BypassJudge(intervalMs)) : null;
    if (this.#judge) this.#judge.intervalMs = intervalMs;
  }

  hear(hello: Hello): void {
    if (hello.monotonicUs < this.#saidUs) return;
    this.#saidUs = hello.monotonicUs;
    this.#judge?.peerSays((hello.flags & HELLO_FLAG.bypass) !== 0);
  }

  /** The peer began anew, and its clock with it. */
  forget(): void {
    this.#saidUs = 0;
  }

  /** Answers true when our willingness changed: the peer is to be told at once. */
  tick({ path, override, hasCarrier }: Pick<Judge, 'path' | 'override' | 'hasCarrier'>, nowMs: number): boolean {
    return this.#judge?.tick(path, override, hasCarrier, nowMs) === true;
  }
}
