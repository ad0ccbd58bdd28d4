/**
 * The reader's logic without its thread: polls one receive volume for the peers that write there, opens batches, and
 * delivers what is for this node. `step` does one round and answers how long to sleep.
 *
 * Always true:
 * - [AGE1] while a peer's clock is not known, its ring is not read on.
 * - One read of the head table shows all peers. A ring is read while its head moves, while it delivers, or while its
 *   peer's packets may come by storage alone: what an idle cluster costs does not grow with the number of its nodes.
 */
import { sameBytes } from '../base/bytes.ts';
import { AGENT, PEER, PEER_TIME, type SharedState } from '../queue/shared-state.ts';
import type { Ring } from '../queue/ring.ts';
import type { Disk } from '../volume/disk.ts';
import type { Head } from '../volume/head.ts';
import { BLOCK_BYTES, slotOfTenant } from '../volume/layout.ts';
import { SlotReader } from '../volume/slot-reader.ts';
import type { SealFactory } from '../wire/seal.ts';
import { HeadTable } from './head-table.ts';
import { Intake } from './intake.ts';
import { NEEDED_MS_MAX, type PaceSettings } from './pace.ts';
import { Reads } from './reads.ts';
import { type ReaderPeer, Source } from './source.ts';

export type { ReaderPeer } from './source.ts';

export interface ReaderSettings {
  /** Which reader this is: its words in the shared state. */
  readonly reader: number;
  readonly pace: PaceSettings;
  readonly maxAgeMs: number;
  readonly clusterUuid: Uint8Array;
  /** Our own tenant number on this volume: the address of records for us. */
  readonly ownTenant: number;
  readonly ownIncarnation: Uint8Array;
  /** Our clock when our incarnation began: what is older was for an earlier one. */
  readonly beganMs: number;
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

const BATCHES_PER_STEP = 32;
/** After an overrun the heads are read again at once, and no more often than this. */
const HEADS_AGAIN_MS = 5;

export class ReaderLoop {
  readonly #bytes: number;
  readonly #reads: Reads;
  readonly #state: SharedState;
  #settings: ReaderSettings;
  readonly #sealFor: SealFactory;
  readonly #batchMemory: Uint8Array;
  #sources: readonly Source[] = [];
  readonly #heads: HeadTable;
  readonly #intake: Intake;
  readonly #now: () => number;
  #headsMs = -Infinity;
  /** When the next of the quiet sources may be read, and which one was last. */
  #quietDueMs = -Infinity;
  #quietTurn = 0;

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
    const words = state.readers[settings.reader];
    if (!words) throw new Error('shared state has too few readers');
    this.#bytes = disk.bytes;
    this.#reads = new Reads(disk, words, now);
    this.#state = state;
    this.#settings = settings;
    this.#sealFor = sealFor;
    this.#now = now;
    this.#intake = new Intake(settings, state, inbound, ports);
    const table = memory.subarray(0, settings.slotCount * BLOCK_BYTES);
    this.#heads = new HeadTable(settings, state, ports, sealFor, table);
    this.#batchMemory = memory.subarray(settings.slotCount * BLOCK_BYTES);
    this.apply(settings);
  }

  /** Other settings for the same volume, between two steps. Who stays is read on where it was. */
  apply(settings: ReaderSettings): void {
    this.#settings = settings;
    this.#heads.settings = settings;
    this.#intake.settings = settings;
    const former = this.#sources;
    const isSame = (source: Source, peer: ReaderPeer) =>
      source.peer.seat === peer.seat && source.peer.since === peer.since && source.peer.tenant === peer.tenant;
    this.#sources = settings.peers.map(
      (peer) =>
        former.find((source) => isSame(source, peer)) ?? this.#makeSource(peer, this.#sealFor, this.#batchMemory),
    );
    this.#headsMs = -Infinity;
  }

  static memoryBytes(slotCount: number, batchBytes: number): number {
    return slotCount * BLOCK_BYTES + batchBytes;
  }

  #makeSource(peer: ReaderPeer, sealFor: SealFactory, memory: Uint8Array): Source {
    const { slotsOffset, slotBytes, clusterUuid, patienceMs } = this.#settings;
    const words = this.#state.peers[peer.seat];
    if (!words) throw new Error('shared state has too few peers');
    const geometry = { slotOffset: slotsOffset + slotOfTenant(peer.tenant) * slotBytes, slotBytes };
    const disk: Disk = {
      bytes: this.#bytes,
      read: (offset, into) => this.#reads.read(offset, into),
      write: () => -1,
    };
    const ownSlot = slotOfTenant(this.#settings.ownTenant);
    const reader = new SlotReader(disk, geometry, peer.tenant, clusterUuid, sealFor, memory, patienceMs, ownSlot);
    return new Source(peer, words, reader);
  }

  /** The reader ends: nobody is to wait for it any more. */
  close(): void {
    this.#reads.close();
  }

  /** One round; answers how many milliseconds to sleep. */
  step(): number {
    this.#reads.beat();
    const nowMs = this.#now();
    const { pace } = this.#settings;
    if (nowMs - this.#headsMs >= pace.idle * 0.9) this.#readHeads(nowMs);
    let busy = false;
    const quiet = nowMs >= this.#quietDueMs ? this.#nextQuiet() : null;
    for (const source of this.#sources) {
      this.#follow(source);
      if (source !== quiet && !source.isDue(nowMs)) continue;
      if (this.#readBatches(source)) busy = true;
      else source.plan(pace, this.#now());
    }
    if (quiet) this.#quietDueMs = this.#now() + Math.min(NEEDED_MS_MAX, pace.idle);
    const after = this.#now();
    this.#reads.isFlood = this.#sources.some((source) => source.isFlood(after));
    if (busy) return 0;
    let dueMs = this.#headsMs + pace.idle;
    for (const source of this.#sources) dueMs = Math.min(dueMs, source.isQuiet ? this.#quietDueMs : source.dueMs);
    return Math.max(0, dueMs - after);
  }

  /** The quiet source whose turn it is; null when there is none. */
  #nextQuiet(): Source | null {
    const sources = this.#sources;
    for (let i = 1; i <= sources.length; i++) {
      const index = (this.#quietTurn + i) % sources.length;
      const source = sources[index];
      if (!source?.isQuiet) continue;
      this.#quietTurn = index;
      return source;
    }
    return null;
  }

  #readHeads(nowMs: number): void {
    this.#headsMs = nowMs;
    this.#heads.read(
      this.#sources,
      (offset, into) => this.#reads.read(offset, into),
      () => this.#now(),
    );
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
    source.readSinceMs = this.#now();
    source.headMark = 0; // the head is news again: now it can be believed
    this.#headsMs = -Infinity;
    times[PEER_TIME.readPosition] = source.reader.position;
    source.dueNow();
  }

  /** Reads what is there, up to a bound; true when there may be more at once. */
  #readBatches(source: Source): boolean {
    for (let i = 0; i < BATCHES_PER_STEP; i++) {
      if (source.words.words[PEER.clockKnown] !== 1) return false;
      const { skipped } = source.reader.counters;
      const result = source.reader.poll(this.#now(), (bytes, header) =>
        this.#intake.take(source, bytes, header, this.#now()),
      );
      source.words.times[PEER_TIME.readPosition] = source.reader.position;
      this.#intake.passedOver(source);
      if (source.reader.counters.skipped !== skipped) this.#skipped(source);
      if (result !== 'batch') {
        if (i > 0) source.publishCounters();
        if (source.reader.isOverrun) this.#headsAgain();
        return false;
      }
    }
    source.publishCounters();
    return true;
  }

  /** Something was missed: the writer has to know where we read, and what our lanes still wait for. */
  #skipped(source: Source): void {
    source.publishCounters();
    Atomics.add(source.words.words, PEER.skips, 1);
    Atomics.store(this.#state.words, AGENT.headWanted, 1);
    this.#intake.confirmNow();
    this.#headsAgain();
  }

  /** Where the writer is now tells only its head. */
  #headsAgain(): void {
    if (this.#now() - this.#headsMs >= HEADS_AGAIN_MS) this.#headsMs = -Infinity;
  }
}
