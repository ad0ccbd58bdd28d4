/**
 * The reader's logic without its thread: polls one receive volume for the peers that write there, opens batches, and
 * delivers what is for this node. `step` does one round and answers how long to sleep.
 *
 * Always true:
 * - [AGE1] a frame older than maxAgeMs is dropped and counted; while the peer's clock is not known, nothing is read on.
 * - A frame in its turn goes straight into the interface under the lane's gate; any other goes to the switch thread.
 */
import { BULK } from '../base/packet-type.ts';
import { dataView, sameBytes } from '../base/bytes.ts';
import { PATHS } from '../base/paths.ts';
import { seqAfter, seqNext } from '../base/serial.ts';
import { Gate, GATE_WORDS } from '../core/gate.ts';
import {
  AGENT,
  AGENT_TIME,
  KEY_SEEN,
  PEER,
  PEER_TIME,
  type PeerWords,
  type SharedState,
} from '../queue/shared-state.ts';
import { inboundWord } from '../queue/inbound.ts';
import type { Ring } from '../queue/ring.ts';
import { acknowledgements, incarnationTag, recordSpan, type BatchHeader } from '../volume/batch.ts';
import { QUESTION_BYTES_MAX } from '../flush/flush-loop.ts';
import type { Disk } from '../volume/disk.ts';
import { decodeHead, headKeyId, headVersion, type Head } from '../volume/head.ts';
import { BLOCK_BYTES, HEAD, HEAD_STATE, HEAD_TABLE_OFFSET, slotOfTenant } from '../volume/layout.ts';
import { READ_COUNTERS, SlotReader } from '../volume/slot-reader.ts';
import { HELLO_FLAG } from '../wire/message.ts';
import { walkRecords } from '../wire/record.ts';
import type { SealFactory } from '../wire/seal.ts';
import { pollPause, type PaceSettings } from './pace.ts';

export interface ReaderPeer {
  /** Index in the shared state, and the plan that gave it. */
  readonly seat: number;
  readonly since: number;
  /** The peer's tenant number on this volume. */
  readonly tenant: number;
}

export interface ReaderSettings {
  readonly pace: PaceSettings;
  readonly maxAgeMs: number;
  readonly clusterUuid: Uint8Array;
  /** Our own tenant number on this volume: the address of records for us. */
  readonly ownTenant: number;
  readonly ownIncarnation: Uint8Array;
  readonly slotCount: number;
  readonly slotBytes: number;
  readonly slotsOffset: number;
  readonly peers: readonly ReaderPeer[];
  /** How long a batch may look torn or damaged while it may still be on its way. */
  readonly patienceMs: number;
}

export interface ReaderPorts {
  /** Hands a frame, born at `bornMs` by our clock, to the interface or to programs; false: it was refused. */
  readonly deliver: (frame: Uint8Array, bornMs: number) => boolean;
  /** A peer's head block has changed; `block` is what it was read from. */
  readonly head: (peer: ReaderPeer, head: Head, block: Uint8Array) => void;
  /** Wakes the switch thread. */
  readonly bell: () => void;
  /** Whether a key of this id is ours; asked about head blocks that cannot be opened. */
  readonly knowsKey?: (id: Uint8Array) => boolean;
}

/** Confirm at the latest after this many bytes read: the writer's ring and memory wait for it. */
const CONFIRM_EVERY_BYTES = 2 * 1024 * 1024;
const BATCHES_PER_STEP = 32;
/** Large batches follow one another within this time while a flood lasts. */
const FLOOD_MS = 5;

const NETWORK = PATHS.indexOf('network');

class Source {
  readonly peer: ReaderPeer;
  readonly words: PeerWords;
  readonly reader: SlotReader;
  readonly gates: readonly Gate[];
  epoch = 0;
  headMark = 0;
  /** The peer says that its packets to us go by storage. */
  sendsByStorage = false;
  readonly headTag: Uint8Array = new Uint8Array(HEAD.size.tag);
  /** What stands in the tag's place of a head block of another version: it tells the next one from it. */
  readonly foreignTag: Uint8Array = new Uint8Array(HEAD.size.tag);
  headIncarnation: Uint8Array = new Uint8Array(16);
  /** Whose position PEER_TIME.headPosition is; null when a thread before us has written it. */
  positionOf: Uint8Array | null = null;

  constructor(peer: ReaderPeer, words: PeerWords, reader: SlotReader) {
    this.peer = peer;
    this.words = words;
    this.reader = reader;
    this.gates = [0, 1, 2, 3].map((type) => new Gate(words.words, PEER.gates + type * GATE_WORDS));
  }

  /** The peer lives, and its packets may come by storage alone. */
  get isNeeded(): boolean {
    const { words } = this.words;
    return Atomics.load(words, PEER.live) === 1 && (words[PEER.path] !== NETWORK || this.sendsByStorage);
  }

  /** [AUTH1] Asked under a gate's lock: false when the switch has reset the gates for another incarnation since. */
  readonly isCurrent = (): boolean => Atomics.load(this.words.words, PEER.epoch) === this.epoch;
}

export class ReaderLoop {
  readonly #disk: Disk;
  readonly #state: SharedState;
  #settings: ReaderSettings;
  readonly #inbound: Ring;
  readonly #ports: ReaderPorts;
  readonly #sealFor: SealFactory;
  readonly #batchMemory: Uint8Array;
  #sources: readonly Source[] = [];
  readonly #heads: Uint8Array;
  readonly #now: () => number;
  readonly #tag: number;
  #headsMs = -Infinity;
  #newsMs = -Infinity;
  #unconfirmedBytes = 0;
  /** The last batch was a large one: what we write are confirmations, not questions. */
  #isFlood = false;

  /** `memory`: page-aligned; {@link ReaderLoop.memoryBytes}. */
  constructor(
    disk: Disk,
    state: SharedState,
    settings: ReaderSettings,
    inbound: Ring,
    sealFor: SealFactory,
    ports: ReaderPorts,
    memory: Uint8Array,
    now: () => number,
  ) {
    this.#disk = disk;
    this.#state = state;
    this.#settings = settings;
    this.#inbound = inbound;
    this.#ports = ports;
    this.#sealFor = sealFor;
    this.#now = now;
    this.#tag = incarnationTag(settings.ownIncarnation);
    this.#heads = memory.subarray(0, settings.slotCount * BLOCK_BYTES);
    this.#batchMemory = memory.subarray(settings.slotCount * BLOCK_BYTES);
    this.apply(settings);
  }

  /** Other settings for the same volume, between two steps. Who stays is read on where it was. */
  apply(settings: ReaderSettings): void {
    this.#settings = settings;
    const former = this.#sources;
    const isSame = (source: Source, peer: ReaderPeer) =>
      source.peer.seat === peer.seat && source.peer.since === peer.since && source.peer.tenant === peer.tenant;
    this.#sources = settings.peers.map(
      (peer) => former.find((source) => isSame(source, peer)) ?? this.#makeSource(peer, this.#batchMemory),
    );
    this.#headsMs = -Infinity;
  }

  static memoryBytes(slotCount: number, batchBytes: number): number {
    return slotCount * BLOCK_BYTES + batchBytes;
  }

  #makeSource(peer: ReaderPeer, memory: Uint8Array): Source {
    const { slotsOffset, slotBytes, clusterUuid, patienceMs } = this.#settings;
    const words = this.#state.peers[peer.seat];
    if (!words) throw new Error('shared state has too few peers');
    const geometry = { slotOffset: slotsOffset + slotOfTenant(peer.tenant) * slotBytes, slotBytes };
    const disk: Disk = {
      bytes: this.#disk.bytes,
      read: (offset, into) => this.#counted(() => this.#disk.read(offset, into)),
      write: () => -1,
    };
    const reader = new SlotReader(disk, geometry, peer.tenant, clusterUuid, this.#sealFor, memory, patienceMs);
    return new Source(peer, words, reader);
  }

  /** One read, published while it is under way: a hang must be visible. */
  #counted(read: () => number): number {
    const { words, times } = this.#state;
    times[AGENT_TIME.readBeganMs] = this.#now();
    const got = read();
    times[AGENT_TIME.readBeganMs] = 0;
    times[AGENT_TIME.reads] = (times[AGENT_TIME.reads] ?? 0) + 1;
    if (got > 0) times[AGENT_TIME.bytesRead] = (times[AGENT_TIME.bytesRead] ?? 0) + got;
    else times[AGENT_TIME.readErrors] = (times[AGENT_TIME.readErrors] ?? 0) + 1;
    Atomics.store(words, AGENT.readErrno, got < 0 ? -got : 0);
    return got;
  }

  /** One round; answers how many milliseconds to sleep. */
  step(): number {
    const { words, times } = this.#state;
    Atomics.add(words, AGENT.readerBeat, 1);
    const nowMs = this.#now();
    const needed = this.#sources.some((source) => source.isNeeded);
    const { pace } = this.#settings;
    if (nowMs - this.#headsMs >= pace.idle * 0.9) this.#readHeads(nowMs);
    let busy = false;
    for (const source of this.#sources) {
      this.#follow(source);
      const isWorthIt = source.isNeeded || source.reader.isBehind || nowMs - this.#newsMs < 200;
      if (isWorthIt && this.#readBatches(source)) busy = true;
    }
    if (busy) {
      Atomics.store(words, AGENT.flood, this.#isFlood ? 1 : 0);
      return 0;
    }
    const after = this.#now();
    const isFlood = this.#isFlood && after - this.#newsMs < FLOOD_MS;
    Atomics.store(words, AGENT.flood, isFlood ? 1 : 0);
    const questionMs = isFlood ? -Infinity : (times[AGENT_TIME.questionMs] ?? 0);
    const pause = pollPause(pace, after, this.#newsMs, questionMs, needed);
    return Math.min(pause, Math.max(0, this.#headsMs + pace.idle - after));
  }

  /** One read shows every node's newest position, beacon and words. */
  #readHeads(nowMs: number): void {
    this.#headsMs = nowMs;
    if (this.#counted(() => this.#disk.read(HEAD_TABLE_OFFSET, this.#heads)) !== this.#heads.length) return;
    for (const source of this.#sources) this.#readHead(source, this.#now());
  }

  #readHead(source: Source, nowMs: number): void {
    const { tenant } = source.peer;
    const slot = slotOfTenant(tenant);
    const block = this.#heads.subarray(slot * BLOCK_BYTES, (slot + 1) * BLOCK_BYTES);
    // Most polls find the block that was read before: its proof tells, without opening it again.
    if (source.headMark > 0 && sameBytes(block, HEAD.at.tag, source.headTag, 0, HEAD.size.tag)) return;
    const decoded = decodeHead(block, tenant, this.#settings.clusterUuid, this.#sealFor);
    this.#publishKey(source, block, decoded.ok);
    if (!decoded.ok) {
      if (decoded.fault === 'version') this.#sawForeignHead(source, block);
      return;
    }
    const { head } = decoded;
    source.headTag.set(block.subarray(HEAD.at.tag));
    const isSame = head.incarnation.every((byte, i) => byte === source.headIncarnation[i]);
    if (isSame && head.headMark <= source.headMark) return;
    source.headIncarnation = head.incarnation;
    source.headMark = head.headMark;
    const { words, times } = source.words;
    if (this.#isAccepted(source, head.incarnation)) {
      source.reader.sawHead(head.position);
      times[PEER_TIME.headPosition] = head.position;
      source.positionOf = head.incarnation;
      const ageMs = this.#ageMs(source, head.monotonicUs, nowMs);
      if (head.state === HEAD_STATE.running) this.#seenAlive(source, nowMs - Math.max(0, ageMs));
      this.#takeHeadWords(head, words, times);
      source.sendsByStorage = this.#comesByStorage(head);
    }
    this.#ports.head(source.peer, head, block);
    this.#ports.bell();
  }

  /** Which key the peer seals with, and whether it is ours: a key that we lack looks like damage otherwise. */
  #publishKey(source: Source, block: Uint8Array, isOpen: boolean): void {
    const id = headKeyId(block);
    if (id === null || !(isOpen || this.#ports.knowsKey?.(id) === false)) return;
    const { words } = source.words;
    const view = dataView(id);
    words[PEER.keyId] = view.getInt32(0);
    words[PEER.keyId + 1] = view.getInt32(4);
    Atomics.store(words, PEER.keySeen, isOpen ? KEY_SEEN.known : KEY_SEEN.unknown);
  }

  /** The switch tells of it; the block is counted once, for it stands until the peer writes the next. */
  #sawForeignHead(source: Source, block: Uint8Array): void {
    const { words } = source.words;
    if (sameBytes(block, HEAD.at.tag, source.foreignTag, 0, HEAD.size.tag) && words[PEER.headVersion] !== 0) return;
    source.foreignTag.set(block.subarray(HEAD.at.tag));
    Atomics.add(words, PEER.foreignHeads, 1);
    Atomics.store(words, PEER.headVersion, headVersion(block));
    this.#ports.bell();
  }

  /** The peer's own word for its way to us, which may differ from ours to it: one end has lost its carrier. */
  #comesByStorage(head: Head): boolean {
    const entry = head.entries.find((candidate) => candidate.peerIndex === this.#settings.ownTenant);
    const path = PATHS[entry?.path ?? 0];
    return path === 'storage' || path === 'returning';
  }

  #takeHeadWords(head: Head, words: Int32Array, times: Float64Array): void {
    const entry = head.entries.find((candidate) => candidate.peerIndex === this.#settings.ownTenant);
    if (!entry || incarnationTag(entry.echoIncarnation) !== this.#tag) return;
    // It echoes us as soon as it sees us; its confirmations are for our predecessor until it accepts us.
    if ((entry.flags & HELLO_FLAG.accepts) === 0) return;
    if (entry.readPosition > (times[PEER_TIME.peerReadPosition] ?? 0)) {
      times[PEER_TIME.peerReadPosition] = entry.readPosition;
      this.#ringMoved();
    }
    raise(words, PEER.confirmedData, entry.nextData);
    raise(words, PEER.confirmedBulk, entry.nextBulk);
  }

  #isAccepted(source: Source, incarnation: Uint8Array): boolean {
    const { words, incarnation: accepted } = source.words;
    return Atomics.load(words, PEER.accepted) === 1 && incarnation.every((byte, i) => byte === accepted[i]);
  }

  #seenAlive(source: Source, seenMs: number): void {
    const { times } = source.words;
    if (seenMs > (times[PEER_TIME.storageSeenMs] ?? 0)) times[PEER_TIME.storageSeenMs] = seenMs;
  }

  #ageMs(source: Source, peerUs: number, nowMs: number): number {
    return nowMs - (peerUs + (source.words.times[PEER_TIME.offsetUs] ?? 0)) / 1000;
  }

  #ringMoved(): void {
    if (Atomics.load(this.#state.words, AGENT.ringFull) === 1) this.#state.wake(AGENT.flushWake);
  }

  /** The switch has accepted an incarnation, or learned where to begin. */
  #follow(source: Source): void {
    const { words, times, incarnation } = source.words;
    const epoch = Atomics.load(words, PEER.epoch);
    if (epoch === source.epoch) return;
    // The successor of a thread that died goes on where that one was; positions never go back.
    const isFirst = source.epoch === 0;
    source.epoch = epoch;
    const isKnown = source.positionOf === null ? isFirst : sameBytes(source.positionOf, 0, incarnation, 0, 16);
    if (!isKnown) times[PEER_TIME.headPosition] = 0;
    const start = times[PEER_TIME.startPosition] ?? -1;
    if (start < 0) {
      source.reader.refuse();
      return;
    }
    const known = isFirst ? (times[PEER_TIME.readPosition] ?? 0) : 0;
    if (!isFirst) times[PEER_TIME.peerReadPosition] = 0;
    const from = Math.max(start, known);
    source.reader.accept(incarnation, from, times[PEER_TIME.startMark] ?? 0);
    source.headMark = 0; // the head is news again: now it can be believed
    this.#headsMs = -Infinity;
    times[PEER_TIME.readPosition] = source.reader.position;
  }

  /** Reads what is there, up to a bound; true when there may be more at once. */
  #readBatches(source: Source): boolean {
    for (let i = 0; i < BATCHES_PER_STEP; i++) {
      if (source.words.words[PEER.clockKnown] !== 1) return false;
      const result = source.reader.poll(this.#now(), (bytes, header) => this.#take(source, bytes, header));
      source.words.times[PEER_TIME.readPosition] = source.reader.position;
      if (result !== 'batch') {
        if (i > 0) this.#publishCounters(source);
        return false;
      }
    }
    this.#publishCounters(source);
    return true;
  }

  #publishCounters(source: Source): void {
    READ_COUNTERS.forEach((name, i) => {
      source.words.words[PEER.readCounters + i] = source.reader.counters[name];
    });
  }

  #take(source: Source, bytes: Uint8Array, header: BatchHeader): boolean {
    const nowMs = this.#now();
    const { words, times } = source.words;
    const ageMs = Math.max(0, this.#ageMs(source, header.monotonicUs, nowMs));
    times[PEER_TIME.lagMs] = ageMs;
    this.#seenAlive(source, nowMs - ageMs);
    for (const ack of acknowledgements(bytes, header)) {
      if (ack.peerIndex !== this.#settings.ownTenant || ack.incarnationTag !== this.#tag) continue;
      if (ack.readPosition > (times[PEER_TIME.peerReadPosition] ?? 0)) {
        times[PEER_TIME.peerReadPosition] = ack.readPosition;
        this.#ringMoved();
      }
      raise(words, PEER.confirmedData, ack.nextData);
      raise(words, PEER.confirmedBulk, ack.nextBulk);
      if (Atomics.load(this.#state.words, AGENT.roomWanted) === 1) this.#ports.bell();
    }
    const taken = this.#takeRecords(source, bytes, header, ageMs, nowMs);
    this.#isFlood = header.batchBytes > QUESTION_BYTES_MAX;
    if (taken) this.#confirmLater(header.batchBytes);
    return taken;
  }

  #takeRecords(source: Source, bytes: Uint8Array, header: BatchHeader, ageMs: number, nowMs: number): boolean {
    const [start, end] = recordSpan(header);
    let hasRoom = true;
    let bell = false;
    walkRecords(bytes, start, end, (record, offset) => {
      if (!hasRoom || record.peer !== this.#settings.ownTenant) return;
      const { words } = source.words;
      if (ageMs + record.ageMs > this.#settings.maxAgeMs) {
        Atomics.add(words, PEER.tooOld, 1);
        // What entered before it is older still: nobody need wait for it.
        source.gates[record.type]?.skipTo(seqNext(record.sequence), source.isCurrent);
        bell = true;
        return;
      }
      const frame = bytes.subarray(offset, offset + record.frameBytes);
      const bornMs = nowMs - ageMs - record.ageMs;
      const verdict = this.#offer(source, record.type, record.sequence, frame, bornMs);
      if (verdict === 'duplicate') Atomics.add(words, PEER.duplicates, 1);
      else this.#newsMs = nowMs;
      if (verdict === 'ahead') {
        hasRoom = this.#toSwitch(source, record.type, record.sequence, frame, bornMs);
        bell = true;
      } else if (verdict === 'delivered' && (source.gates[record.type]?.held ?? 0) > 0) {
        bell = true;
      }
    });
    if (bell) this.#ports.bell();
    return hasRoom;
  }

  #offer(source: Source, type: number, sequence: number, frame: Uint8Array, bornMs: number): ReturnType<Gate['offer']> {
    const gate = type <= BULK ? source.gates[type] : undefined;
    if (!gate || gate.isPast(sequence)) return 'duplicate';
    const deliver = (): void => {
      const { words, times } = source.words;
      Atomics.add(words, this.#ports.deliver(frame, bornMs) ? PEER.delivered : PEER.refused, 1);
      times[PEER_TIME.bytes] = (times[PEER_TIME.bytes] ?? 0) + frame.length;
    };
    return gate.offer(sequence, deliver, source.isCurrent);
  }

  #toSwitch(source: Source, type: number, sequence: number, frame: Uint8Array, bornMs: number): boolean {
    const offset = this.#inbound.reserve(frame.length);
    if (offset < 0) return false;
    this.#inbound.bytes.set(frame, offset);
    this.#inbound.commit(frame.length, sequence, inboundWord(source.peer.seat, type, source.epoch), bornMs);
    return true;
  }

  /** Sees to it that what was read is confirmed soon, also when nothing else is to be written. */
  #confirmLater(bytes: number): void {
    this.#unconfirmedBytes += bytes;
    if (this.#unconfirmedBytes < CONFIRM_EVERY_BYTES) return;
    this.#unconfirmedBytes = 0;
    Atomics.store(this.#state.words, AGENT.acknowledgeWanted, 1);
    Atomics.store(this.#state.words, AGENT.flushNow, 1);
    this.#state.wake(AGENT.flushWake);
  }
}

/** Sequence words only go forward. */
function raise(words: Int32Array, index: number, value: number): void {
  const known = Atomics.load(words, index) >>> 0;
  if (value !== 0 && (known === 0 || seqAfter(value, known))) Atomics.store(words, index, value | 0);
}
