/** One peer as the reader sees it: its ring, its lanes' gates, what its head said last, and when its ring is due. */
import { PATHS } from '../base/paths.ts';
import { Gate, GATE_WORDS } from '../core/gate.ts';
import { PEER, PEER_TIME, type PeerWords } from '../queue/shared-state.ts';
import { HEAD } from '../volume/layout.ts';
import { READ_COUNTERS, type SlotReader } from '../volume/slot-reader.ts';
import { NEEDED_MS_MAX, type PaceSettings, pollPause } from './pace.ts';

export interface ReaderPeer {
  /** Index in the shared state, and the plan that gave it. */
  readonly seat: number;
  readonly since: number;
  /** The peer's tenant number on this volume. */
  readonly tenant: number;
}

/** Large batches follow one another within this time while a flood lasts. */
const FLOOD_MS = 5;
const NETWORK = PATHS.indexOf('network');

export class Source {
  readonly peer: ReaderPeer;
  readonly words: PeerWords;
  readonly reader: SlotReader;
  readonly gates: readonly Gate[];
  epoch = 0;
  /** Since when its ring is read. What it wrote earlier nobody waited for: its age is no latency. */
  readSinceMs = Infinity;
  headMark = 0;
  /** The peer says that its packets to us go by storage. */
  sendsByStorage = false;
  readonly headTag: Uint8Array = new Uint8Array(HEAD.size.tag);
  /** What stands in the tag's place of a head block of another version: it tells the next one from it. */
  readonly foreignTag: Uint8Array = new Uint8Array(HEAD.size.tag);
  headIncarnation: Uint8Array = new Uint8Array(16);
  /** Whose position PEER_TIME.headPosition is; null when a thread before us has written it. */
  positionOf: Uint8Array | null = null;
  /** When a batch of this peer last brought something that the network had not. */
  newsMs = -Infinity;
  /** Its last batch was a large one: what we write to it are confirmations, not questions. */
  isLarge = false;
  unconfirmedBytes = 0;
  /** It is polled slowly, for it may write and has not for long. */
  isQuiet = false;
  #plannedMs = -Infinity;
  #dueMs = Infinity;

  constructor(peer: ReaderPeer, words: PeerWords, reader: SlotReader) {
    this.peer = peer;
    this.words = words;
    this.reader = reader;
    this.gates = [0, 1, 2, 3].map((type) => new Gate(words.words, PEER.gates + type * GATE_WORDS));
  }

  /** [AUTH1] Asked under a gate's lock: false when the switch has reset the gates for another incarnation since. */
  readonly isCurrent = (): boolean => Atomics.load(this.words.words, PEER.epoch) === this.epoch;

  /** The peer lives, and its packets may come by storage alone. */
  get isNeeded(): boolean {
    const { words } = this.words;
    return Atomics.load(words, PEER.live) === 1 && (words[PEER.path] !== NETWORK || this.sendsByStorage);
  }

  isFlood(nowMs: number): boolean {
    return this.isLarge && nowMs - this.newsMs < FLOOD_MS;
  }

  /** Its ring is to be read now: its head moved, it delivered lately, we asked it something, or nothing else tells. */
  isDue(nowMs: number): boolean {
    if (nowMs >= this.#dueMs) return true;
    const isAsked = (this.words.times[PEER_TIME.questionMs] ?? 0) > this.#plannedMs;
    return (isAsked || (this.#dueMs === Infinity && !this.isQuiet)) && this.isNeeded;
  }

  get dueMs(): number {
    return this.#dueMs;
  }

  /** The head block names a new position, or the ring has to be looked at for another reason. */
  dueNow(): void {
    this.#dueMs = -Infinity;
  }

  /**
   * Its ring has been read to the end. Quiet sources have no time of their own: they take turns, and share what one alone
   * would cost; a head block, which one read shows for all, tells of a first batch soon enough.
   */
  plan(pace: PaceSettings, nowMs: number): void {
    const { isNeeded } = this;
    const questionMs = this.isFlood(nowMs) ? -Infinity : (this.words.times[PEER_TIME.questionMs] ?? 0);
    const pause = pollPause(pace, nowMs, this.newsMs, questionMs, isNeeded);
    this.isQuiet = isNeeded && pause >= Math.min(NEEDED_MS_MAX, pace.idle);
    this.#plannedMs = nowMs;
    const isSilent = pause >= pace.idle && !isNeeded && !this.reader.isBehind;
    this.#dueMs = isSilent || this.isQuiet ? Infinity : nowMs + pause;
  }

  publishCounters(): void {
    READ_COUNTERS.forEach((name, i) => {
      this.words.words[PEER.readCounters + i] = this.reader.counters[name];
    });
  }
}
