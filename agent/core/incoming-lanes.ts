/**
 * The three lanes from one peer: holds what came before its turn, and gives up what will not come. [ORD1] Each begins at
 * a number that the link names, and again with each incarnation of the peer.
 */
import { BULK, DATA, HEARTBEAT, type TypeIndex } from '../base/packet-type.ts';
import { PEER } from '../queue/shared-state.ts';
import { Gate, GATE_WORDS } from './gate.ts';
import { Resequencer } from './resequencer.ts';

/**
 * A gap in the heartbeats waits for the other way, for every heartbeat takes both. This long for the network; for storage
 * until that shows that it has not got them either, and how long it took before says nothing of that. But what is held
 * behind the gap gets late meanwhile, and a late heartbeat helps nobody.
 */
const HEARTBEAT_PATIENCE_MS = 60;
const HEARTBEAT_PATIENCE_MS_MAX = 400;

/** Hands on a frame, born at `bornMs` by our clock; false: it was refused. */
export type Deliver = (frame: Uint8Array, bornMs: number) => boolean;

/** By type: what is to be delivered next. */
export type Received = Readonly<Partial<Record<TypeIndex, number>>>;

export class IncomingLanes {
  /** Frames in their turn that the interface refused. */
  refused = 0;
  readonly #maxAgeMs: number;
  readonly #lanes: ReadonlyMap<number, Resequencer>;

  /** `words`: of the peer's seat, where the gates are that the readers share. */
  constructor(words: Int32Array, maxAgeMs: number, deliver: Deliver) {
    this.#maxAgeMs = maxAgeMs;
    const lane = (type: TypeIndex): [number, Resequencer] => [
      type,
      new Resequencer(new Gate(words, PEER.gates + type * GATE_WORDS), maxAgeMs, (frame, bornMs) => {
        if (!deliver(frame, bornMs)) this.refused++;
      }),
    ];
    this.#lanes = new Map([lane(HEARTBEAT), lane(DATA), lane(BULK)]);
    for (const resequencer of this.#lanes.values()) resequencer.reset(1);
  }

  /** Undefined for a type that has no lane: it comes from a peer, who may write anything. */
  of(type: number): Resequencer | undefined {
    return this.#lanes.get(type);
  }

  /** The number that is to be delivered next: what we confirm. */
  next(type: TypeIndex): number {
    return this.of(type)?.gate.next ?? 1;
  }

  /** A frame of a failover lane waits behind a gap. */
  get isHeld(): boolean {
    return (this.of(DATA)?.heldCount ?? 0) + (this.of(BULK)?.heldCount ?? 0) > 0;
  }

  /** From now on the lane is another incarnation's and begins at this number. */
  begin(type: TypeIndex, sequence: number): void {
    this.of(type)?.reset(sequence);
  }

  /** The sender will send nothing below these again. */
  floors(data: number, bulk: number, nowMs: number): void {
    this.of(DATA)?.floor(data, nowMs);
    this.of(BULK)?.floor(bulk, nowMs);
  }

  /**
   * Gives up gaps that have lasted too long. `isStorageRead`: the peer's words come by storage. `stepMs`: a copy that is
   * made in steps takes up to two of them longer for one packet than for the next.
   */
  expire(nowMs: number, isStorageRead: boolean, stepMs = 0): void {
    const storageMs = isStorageRead ? HEARTBEAT_PATIENCE_MS_MAX + 2 * stepMs : HEARTBEAT_PATIENCE_MS;
    this.of(HEARTBEAT)?.expire(nowMs, HEARTBEAT_PATIENCE_MS, storageMs);
    this.of(DATA)?.expire(nowMs, this.#maxAgeMs);
    this.of(BULK)?.expire(nowMs, this.#maxAgeMs);
  }

  /** Delivers what is in turn: a reader may have closed a gap. */
  drain(nowMs: number): void {
    for (const lane of this.#lanes.values()) if (lane.heldCount > 0) lane.drain(nowMs);
  }

  /** The next numbers, when nobody is delivering any more; the caller has made the lanes a thing of the past before. */
  close(): Received {
    const next = (type: TypeIndex): number => this.of(type)?.gate.close() ?? 1;
    return { [HEARTBEAT]: next(HEARTBEAT), [DATA]: next(DATA), [BULK]: next(BULK) };
  }
}
