/** Takes what the readers hand over, heads and frames that could not be delivered in turn, to the links they are for. */
import type { TypeIndex } from '../base/packet-type.ts';
import type { NodeCore } from '../core/node-core.ts';
import { HEAD_RECORD, inboundEpoch, inboundPeer, inboundType } from '../queue/inbound.ts';
import { emptyRingRecord, type Ring } from '../queue/ring.ts';
import { inboundRing, type ThreadContext } from '../threads.ts';
import { parseHead } from '../volume/head.ts';
import { toHeadWord } from './link-settings.ts';

const RECORDS_PER_ROUND = 256;

export class InboundIntake {
  readonly #core: NodeCore;
  readonly #record = emptyRingRecord();
  #context: ThreadContext;
  #rings: readonly Ring[];

  constructor(context: ThreadContext, core: NodeCore) {
    this.#core = core;
    this.#context = context;
    this.#rings = context.receive.map((receive) => inboundRing(receive));
  }

  /** Other readers, or other peers of theirs. */
  apply(context: ThreadContext): void {
    this.#context = context;
    this.#rings = context.receive.map((receive) => inboundRing(receive));
  }

  /** Answers true when there may be more. */
  take(nowMs: number): boolean {
    let taken = 0;
    for (const ring of this.#rings) {
      while (taken < RECORDS_PER_ROUND && ring.peek(this.#record)) {
        this.#takeRecord(ring, nowMs);
        ring.release(this.#record);
        taken++;
      }
    }
    return taken >= RECORDS_PER_ROUND;
  }

  #takeRecord(ring: Ring, nowMs: number): void {
    const { offset, length, a, b, time } = this.#record;
    const [peer, type] = [inboundPeer(b), inboundType(b)];
    const link = this.#core.at(peer);
    const bytes = ring.bytes.subarray(offset, offset + length);
    if (type === HEAD_RECORD) {
      // One that was read of the seat's last holder says nothing about this one.
      if (link?.settings.since === a) link.head(toHeadWord(this.#context, peer, parseHead(bytes)), nowMs);
    } else {
      const record = { type: type as TypeIndex, sequence: a, bornMs: time, epoch: inboundEpoch(b) };
      link?.storageRecord(record, bytes, nowMs);
    }
  }
}
