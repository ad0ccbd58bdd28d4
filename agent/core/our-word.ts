/**
 * What this node says to one peer: what stands before every message, the words of a hello, and the flags that our head
 * block carries for it. Each time it is said anew, of what the parts know at that moment.
 */
import { BULK, DATA } from '../base/packet-type.ts';
import { PATHS } from '../base/paths.ts';
import { HELLO_FLAG, KIND, type Hello, type Prefix } from '../wire/message.ts';
import type { Acquaintance } from './acquaintance.ts';
import type { IncomingLanes } from './incoming-lanes.ts';
import type { Judge } from './judge.ts';
import type { OutgoingLanes } from './outgoing-lanes.ts';
import type { PeerBypass } from './peer-bypass.ts';
import type { SeatWords } from './seat-words.ts';
import type { StorageWatch } from './storage-watch.ts';

/** What it speaks of. */
export interface Parts {
  readonly acquaintance: Acquaintance;
  readonly judge: Judge;
  readonly storage: StorageWatch;
  readonly bypass: PeerBypass;
  readonly outgoing: OutgoingLanes;
  readonly incoming: IncomingLanes;
  readonly words: SeatWords;
}

export class OurWord {
  readonly #parts: Parts;
  /** Our own way to the outside is good, and the peer may use it. */
  offersGateway = false;
  /** Our own writes to storage succeed. */
  ownStorage = false;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  prefix(kind: number, nowMs: number): Prefix {
    const { incoming, outgoing } = this.#parts;
    return {
      kind,
      nextData: incoming.next(DATA),
      nextBulk: incoming.next(BULK),
      floorData: outgoing.data.floor,
      floorBulk: outgoing.bulk.floor,
      monotonicUs: nowMs * 1000,
    };
  }

  hello(nowMs: number): Hello {
    const { echoIncarnation, echoMonotonicUs, echoSeenMs } = this.#parts.words;
    const prefix = this.prefix(KIND.hello, nowMs);
    return {
      kind: prefix.kind,
      nextData: prefix.nextData,
      nextBulk: prefix.nextBulk,
      floorData: prefix.floorData,
      floorBulk: prefix.floorBulk,
      monotonicUs: prefix.monotonicUs,
      flags: this.flags(nowMs),
      path: this.path,
      floorHeartbeat: this.#parts.outgoing.heartbeat.next,
      echoIncarnation,
      echoMonotonicUs,
      echoDelayUs: echoSeenMs === 0 ? 0 : (nowMs - echoSeenMs) * 1000,
    };
  }

  /** The path to the peer, as it is written. */
  get path(): number {
    return PATHS.indexOf(this.#parts.judge.path);
  }

  flags(nowMs: number): number {
    const { judge, storage, bypass, words, acquaintance } = this.#parts;
    const accepts = words.isAccepted && acquaintance.isAccepted(words.echoIncarnation);
    return (
      (judge.hears(nowMs) ? HELLO_FLAG.hearsNetwork : 0) |
      (storage.fresh ? HELLO_FLAG.hearsStorage : 0) |
      (this.ownStorage ? HELLO_FLAG.storageAvailable : 0) |
      (words.echoSeenMs === 0 ? 0 : HELLO_FLAG.echoes) |
      (accepts ? HELLO_FLAG.accepts : 0) |
      (this.offersGateway ? HELLO_FLAG.offersGateway : 0) |
      (bypass.judge?.willing === true ? HELLO_FLAG.bypass : 0)
    );
  }
}
