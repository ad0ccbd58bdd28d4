/**
 * Fills a batch from the write buffer: confirmations for every peer, then packets in priority order, as many as ring
 * and budget have room for.
 *
 * Always true:
 * - [RING1] a batch fits before what a reader with a claim has not read, what is lost at the ring's end included.
 * - Neither a full ring nor a spent budget keeps heartbeats from going: the last of both is for them alone.
 */
import { BULK, DATA, HEARTBEAT } from '../base/packet-type.ts';
import { readsInTime } from '../queue/reader-words.ts';
import { AGENT, AGENT_TIME, PEER, PEER_TIME, type SharedState } from '../queue/shared-state.ts';
import type { BufferedPacket, WriteBuffer } from '../queue/write-buffer.ts';
import { BATCH, BATCH_BYTES_MAX, BATCH_TAIL_BYTES, BLOCK_BYTES } from '../volume/layout.ts';
import type { SlotWriter } from '../volume/slot-writer.ts';
import { recordBytes, type RecordHeader } from '../wire/record.ts';
import { Budget } from './budget.ts';
import { type ClaimPeer, RingClaims } from './claims.ts';
import { gateNext } from './head-entry.ts';

export interface ComposerSettings {
  readonly maxAgeMs: number;
  readonly slotBytes: number;
}

/** A peer's words, its tenant number on our send volume, and which of our readers reads it. */
export interface FlushPeer extends ClaimPeer {
  readonly tenant: number;
  readonly reader: number;
}

/** This share of the ring is for heartbeats and control when data fills it. */
const RESERVED_SHARE = 8;
/** A read of our own that takes longer says nothing of what peers do meanwhile. */
const DEAF_MS = 50;

export class Composer {
  readonly #writer: SlotWriter;
  readonly #buffer: WriteBuffer;
  readonly #state: SharedState;
  #settings: ComposerSettings = { maxAgeMs: 0, slotBytes: 0 };
  #budget: Budget = new Budget({ bytesPerSecond: 0, operationsPerSecond: 0 });
  #peers: readonly FlushPeer[] = [];
  #claims = new RingClaims<FlushPeer>(0, []);
  readonly #record: RecordHeader = { frameBytes: 0, type: 0, peer: 0, sequence: 0, ageMs: 0 };
  /** Tenants that the present batch bears something for. */
  readonly #addressed = new Set<number>();
  /** How long the present batch may become with packets of any type, and with data. */
  #room = 0;
  #dataRoom = 0;
  #hasData = false;

  constructor(writer: SlotWriter, buffer: WriteBuffer, state: SharedState) {
    this.#writer = writer;
    this.#buffer = buffer;
    this.#state = state;
  }

  /** Settings, peers and budget from now on. Who stays keeps its claim on the ring, or its loss. */
  apply(settings: ComposerSettings, peers: readonly FlushPeer[], budget: Budget): void {
    if (settings.slotBytes === this.#settings.slotBytes) this.#claims.apply(peers);
    else this.#claims = new RingClaims(settings.slotBytes, peers);
    this.#settings = settings;
    this.#peers = peers;
    this.#budget = budget;
  }

  /** Called when the write buffer has got room and the switch waits for it. */
  onRoom: () => void = () => {};

  /**
   * Fills the writer's builder; false when there is nothing to write, or no room in the ring. `isLast`: the agent ends,
   * and what the buffer holds goes now or never.
   */
  compose(nowMs: number, isLast = false): boolean {
    const { builder } = this.#writer;
    const { words } = this.#state;
    const used = this.#buffer.usedBytes;
    const isLow = this.#measure(nowMs);
    if (this.#room < BLOCK_BYTES) return false;
    builder.begin();
    this.#addressed.clear();
    this.#hasData = false;
    this.#acknowledge();
    const mayTakeData = !isLow && (isLast || this.#budget.mayCarryData);
    this.#buffer.transportData(mayTakeData ? BULK : HEARTBEAT, (packet) => this.#take(packet, nowMs));
    if (Atomics.load(words, AGENT.roomWanted) === 1 && this.#buffer.usedBytes < used) this.onRoom();
    const acknowledgeOnly = Atomics.exchange(words, AGENT.acknowledgeWanted, 0) === 1;
    if (acknowledgeOnly) builder.addressAll();
    return builder.recordCount > 0 || acknowledgeOnly;
  }

  /** [RING1] Ring bytes that may be written without overrunning a reader with a claim. */
  space(nowMs: number): number {
    return this.#claims.space(this.#writer.position, nowMs);
  }

  /** True when the tenant is addressed by the batch that was composed last. */
  isAddressed(tenant: number): boolean {
    return this.#addressed.has(tenant);
  }

  /** Takes the measure of ring and budget; true when the ring is so short that only heartbeats may use it. */
  #measure(nowMs: number): boolean {
    const space = this.space(nowMs);
    const isLow = space < this.#settings.slotBytes / RESERVED_SHARE;
    const isShort = isLow && !this.#buffer.isEmpty;
    this.#claims.look(isShort, ({ reader }) => this.#isDeaf(reader, nowMs), this.#writer.position, nowMs);
    this.#room = this.#usable(space);
    this.#dataRoom = Math.min(this.#room, Math.max(BLOCK_BYTES, this.#budget.bytesAllowed));
    Atomics.store(this.#state.words, AGENT.ringFull, isLow || this.#room < BATCH_BYTES_MAX ? 1 : 0);
    return isLow;
  }

  /** The largest batch that fits into the ring, what is lost at its end taken into account. */
  #usable(space: number): number {
    for (let bytes = BATCH_BYTES_MAX; bytes >= BLOCK_BYTES; bytes /= 2) {
      if (this.#writer.spaceFor(bytes) + BLOCK_BYTES <= space) return bytes;
    }
    return 0;
  }

  /** Our reader of the volume in which a peer confirms does not get its answers now. */
  #isDeaf(reader: number, nowMs: number): boolean {
    const own = this.#state.readers[reader];
    return own !== undefined && !readsInTime(own, nowMs, DEAF_MS);
  }

  #acknowledge(): void {
    this.#peers.forEach((peer) => {
      if (Atomics.load(peer.words, PEER.accepted) !== 1) return;
      this.#writer.builder.acknowledge({
        peerIndex: peer.tenant,
        incarnationTag: (peer.words[PEER.tag] ?? 0) >>> 0,
        readPosition: peer.times[PEER_TIME.readPosition] ?? 0,
        nextData: gateNext(peer.words, DATA),
        nextBulk: gateNext(peer.words, BULK),
      });
    });
  }

  #take(packet: BufferedPacket, nowMs: number): boolean {
    const ageMs = nowMs - packet.enteredMs;
    if (ageMs > this.#settings.maxAgeMs) {
      this.#state.times[AGENT_TIME.expired] = (this.#state.times[AGENT_TIME.expired] ?? 0) + 1;
      return true;
    }
    const { builder } = this.#writer;
    const isData = packet.type > HEARTBEAT;
    // One packet of data goes whatever it costs: the budget waits for it afterwards.
    if (!builder.hasRoom(packet.length, isData && this.#hasData ? this.#dataRoom : this.#room)) {
      // A frame that does not even fit into an empty batch must not block for ever.
      return builder.recordCount === 0 && recordBytes(packet.length) > BATCH_BYTES_MAX - BATCH.bytes - BATCH_TAIL_BYTES;
    }
    if (isData) this.#hasData = true;
    this.#addressed.add(packet.peer);
    const record = this.#record;
    record.frameBytes = packet.length;
    record.type = packet.type;
    record.peer = packet.peer;
    record.sequence = packet.sequence;
    record.ageMs = ageMs;
    builder.add(record, packet.bytes, packet.offset);
    return true;
  }
}
