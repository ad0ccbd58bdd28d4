/**
 * The three lanes to one peer: what is kept for it, and how far it has confirmed it. Knows neither the peer nor the ways:
 * the link says which way is good, and what the peer's words confirm.
 */
import { BULK, DATA, HEARTBEAT, type TypeIndex } from '../base/packet-type.ts';
import { BothLane, FailoverLane, type LaneWays, type Way } from './lane-sender.ts';
import { TURN_BYTES, type Turn } from './turns.ts';

const HEARTBEAT_WAITING_BYTES = 1024 * 1024;

export interface OutgoingSettings {
  readonly retainBytes: number;
  readonly maxAgeMs: number;
  readonly storageWindowBytes: number;
  /** False with `mode: none`. */
  readonly hasNetwork: boolean;
}

/** The number of the next frame in each lane. */
export interface NextNumbers {
  readonly heartbeat: number;
  readonly data: number;
  readonly bulk: number;
}

export class OutgoingLanes {
  readonly heartbeat: BothLane;
  readonly data: FailoverLane;
  readonly bulk: FailoverLane;

  /** `first`: where the numbers go on, when there were lanes to this peer before. */
  constructor(settings: OutgoingSettings, ways: (type: TypeIndex) => LaneWays, first: NextNumbers | undefined) {
    const { retainBytes, maxAgeMs, storageWindowBytes, hasNetwork } = settings;
    this.heartbeat = new BothLane(HEARTBEAT_WAITING_BYTES, maxAgeMs, hasNetwork, ways(HEARTBEAT), first?.heartbeat);
    this.data = new FailoverLane(retainBytes, maxAgeMs, storageWindowBytes, ways(DATA), first?.data);
    this.bulk = new FailoverLane(retainBytes, maxAgeMs, storageWindowBytes, ways(BULK), first?.bulk);
  }

  /** The failover lane of this type; bulk has its own, all else goes with data. */
  failover(type: number): FailoverLane {
    return type === BULK ? this.bulk : this.data;
  }

  get next(): NextNumbers {
    return { heartbeat: this.heartbeat.next, data: this.data.next, bulk: this.bulk.next };
  }

  /** Frames that are kept or wait. */
  get frames(): number {
    return this.heartbeat.waiting + this.data.keptFrames + this.bulk.keptFrames;
  }

  retain(bytes: number): void {
    this.data.retain(bytes);
    this.bulk.retain(bytes);
  }

  /** Takes a frame that came into the interface at `enteredMs`; false when its lane is full. */
  enqueue(type: TypeIndex, frame: Uint8Array, nowMs: number, enteredMs: number): boolean {
    if (type !== HEARTBEAT) return this.failover(type).enqueue(frame, enteredMs);
    this.heartbeat.enqueue(frame, nowMs, enteredMs);
    return true;
  }

  /** The peer has everything before these numbers. */
  confirm(nextData: number, nextBulk: number): void {
    this.data.confirm(nextData);
    this.bulk.confirm(nextBulk);
  }

  /** The peer said, `roundTripMs` away, that it still waits for these. */
  stillWaitsFor(nextData: number, nextBulk: number, nowMs: number, roundTripMs: number): void {
    this.data.stillWaitsFor(nextData, nowMs, roundTripMs);
    this.bulk.stillWaitsFor(nextBulk, nowMs, roundTripMs);
  }

  /** See {@link FailoverLane.peerBeganAnew}. */
  peerBeganAnew(): void {
    this.data.peerBeganAnew();
    this.bulk.peerBeganAnew();
  }

  /** Moves what is due on this way, but for the failover lanes by storage: those take turns with other peers'. */
  pump(way: Way, nowMs: number): void {
    this.data.setWay(way);
    this.bulk.setWay(way);
    this.heartbeat.pump(nowMs);
    for (const lane of [this.data, this.bulk]) {
      if (way === 'storage') lane.expire(nowMs);
      else lane.pump(nowMs);
    }
  }

  /** One turn of a failover lane at the write buffer, behind `pump`. */
  pumpStorage(type: typeof DATA | typeof BULK, nowMs: number): Turn {
    return this.failover(type).pump(nowMs, TURN_BYTES);
  }
}
