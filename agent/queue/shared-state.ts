/**
 * The words that the threads share about the agent and about each peer. Who writes a word is said beside it; the others
 * only read. 64-bit floats are written and read whole by every machine Node runs on with 64 bits.
 *
 * One shared buffer: agent words, then one block for each reader (`reader-words.ts`) and one for each peer. Threads get the
 * buffer and make their own views.
 */
import { assert } from '../base/errors.ts';
import { READER, READER_BYTES, READER_TIME, type ReaderWords, readerWordsAt } from './reader-words.ts';

/** 32-bit words of the agent. */
export const AGENT = {
  /** Raised by anybody who wants the flush thread to look; it waits on this word. */
  flushWake: 0,
  /** switch: nothing more to read, so the batch will not fill: write what there is. */
  flushNow: 1,
  /** switch, main: write the head block soon. */
  headWanted: 2,
  /** Raised by anybody who wants the reader to poll at once; it waits on this word. */
  readerWake: 3,
  /** flush: 1 while a write is under way. */
  writing: 4,
  /** flush: errno of the last write, 0 when it was good. */
  writeErrno: 5,
  /** switch: it waits for room in the write buffer: ring its bell when there is. */
  roomWanted: 7,
  /** main: end. flush, reader, switch obey. */
  stop: 8,
  /** flush, switch: beats, to be seen alive. */
  flushBeat: 9,
  switchBeat: 11,
  /** flush: our own head block was written by somebody else. */
  slotTaken: 12,
  /** flush: the closing head is written. */
  flushClosed: 14,
  /** reader: write a batch soon, for its confirmations alone if need be. */
  acknowledgeWanted: 15,
  /** flush: the ring is full of what a live reader has not read: wake it when that moves. */
  ringFull: 16,
  /**
   * 1 while the flush thread need not be woken for what enters the write buffer: somebody has woken it (switch), or it
   * counts the deadline of the oldest packet (flush). It clears the word before it looks, so that nothing slips between.
   */
  flushTold: 18,
  /** main: the peer through which packets for the outside go, as its seat plus one; 0: none. */
  gatewayPeer: 19,
  /** main: 1 while peers may reach the outside through us. */
  gatewayOffered: 20,
  /** switch: packets given to the gateway (wraps). */
  gatewayFrames: 21,
  /** main: number of the newest plan. */
  plan: 28,
  /** switch, flush: number of the plan that it has taken over. */
  switchPlan: 29,
  flushPlan: 30,
  /** main: the agent is about to end: say when nothing waits any more. */
  drain: 26,
  /** switch: nothing waits any more. */
  drained: 27,
} as const;
/** Peers that an agent can have: each has a seat, its place in the shared state. Readers are no more than that. */
export const SEATS_MAX = 63;
const AGENT_WORDS = 32;

/** 64-bit floats of the agent. */
export const AGENT_TIME = {
  /** flush: monotonic ms at which the write under way began. */
  writeBeganMs: 0,
  /** flush: monotonic ms at which the last good write ended. */
  writtenMs: 1,
  /** flush: how long the last good write took. */
  lastWriteMs: 2,
  /** flush: totals. */
  writes: 3,
  bytesWritten: 4,
  headWrites: 5,
  /** main: totals of readers that are no more. */
  pastReads: 6,
  pastBytesRead: 7,
  pastReadErrors: 8,
  /** flush: records dropped because they were older than maxAgeMs. */
  expired: 9,
  batches: 11,
  writeErrors: 12,
} as const;
const AGENT_TIMES = 16;

/** 32-bit words of one peer. */
export const PEER = {
  /** Lock and next sequence of each lane's gate (types 0..3): [lock, next, held] each. */
  gates: 0,
  /** switch: raised whenever the accepted incarnation, start or offset change; the reader looks again. */
  epoch: 12,
  /** switch: 1 when an incarnation is accepted. */
  accepted: 13,
  /** switch: the peer's clock is known. */
  clockKnown: 14,
  /** switch: HELLO flags and path for the head block. */
  flags: 15,
  path: 16,
  floorHeartbeat: 17,
  /** reader: what the peer confirmed of our lanes in its batches (data, bulk). */
  confirmedData: 18,
  confirmedBulk: 19,
  /** switch: the peer is believed to be reading our ring: do not overrun it. */
  live: 20,
  /** switch: first four bytes of the accepted incarnation. */
  tag: 21,
  /** The accepted incarnation, 16 bytes (switch), and its echo partner for the head entry. */
  incarnation: 22,
  /** The incarnation that we have seen and echo, 16 bytes (switch). */
  echoIncarnation: 26,
  /** reader: frames dropped as duplicates, as too old. */
  duplicates: 30,
  tooOld: 31,
  /** reader: frames delivered by storage (wraps). */
  delivered: 32,
  /** reader: frames that the interface refused. */
  refused: 33,
  /** reader: counters of the slot reader, in the order of READ_COUNTERS. */
  readCounters: 34,
  /** switch: floors of our failover lanes, for the head block. */
  floorData: 42,
  floorBulk: 43,
  /** reader: the major version of the peer's head block where it is not ours, 0 where it is; and how often it was not. */
  headVersion: 46,
  foreignHeads: 47,
  /** switch: 1 while the kernel has the route to the peer that goes past the agents. */
  bypass: 44,
  /** reader: id of the key that the peer's head block says it is sealed with, 8 bytes, and whether we have that key. */
  keyId: 48,
  keySeen: 50,
  /** reader: raised when it had to pass over something: the peer is to be told what we still wait for. */
  skips: 51,
  /** switch: HELLO flags of the peer's newest word. */
  peerFlags: 52,
} as const;
const PEER_WORDS = 54;

/** What PEER.keySeen says. */
export const KEY_SEEN = { none: 0, known: 1, unknown: 2 } as const;

/** 64-bit floats of one peer. */
export const PEER_TIME = {
  /** reader: how far we have read the peer's ring. */
  readPosition: 0,
  /** reader: how far the peer has read our ring. */
  peerReadPosition: 1,
  /** switch: our monotonic clock minus the peer's, in microseconds, at its lowest: nothing looks younger than it is. */
  offsetUs: 2,
  /** switch: the peer's clock in its newest word, and our clock when we saw it (ms), for the echo. */
  echoMonotonicUs: 3,
  echoSeenMs: 4,
  /** reader: our clock when the peer's head or a batch of it was last seen new. */
  storageSeenMs: 5,
  /** reader: age of a batch of the peer when it was read (ms): of the newest that was waited for and not too old. */
  lagMs: 6,
  /** switch: where to begin reading the accepted incarnation, and behind which order mark. */
  startPosition: 7,
  startMark: 8,
  /** reader: the peer's newest position as its head block says; 0 (also by switch) when a new incarnation is accepted. */
  headPosition: 9,
  /** reader: frame bytes delivered by storage. */
  bytes: 10,
  /** flush: monotonic ms of the last small batch for it: an answer may come at once. A flood is not a question. */
  questionMs: 11,
  /** reader: our clock when lagMs was measured; 0 when it never was. */
  lagSeenMs: 12,
} as const;
const PEER_TIMES = 13;

const AGENT_BYTES = AGENT_WORDS * 4 + AGENT_TIMES * 8;
const PEER_BYTES = PEER_WORDS * 4 + PEER_TIMES * 8;
const PEERS_OFFSET = AGENT_BYTES + SEATS_MAX * READER_BYTES;

export const sharedStateBytes = (peerCount: number = SEATS_MAX): number => PEERS_OFFSET + peerCount * PEER_BYTES;

/**
 * main: makes a seat that nobody uses any more ready for another peer. Only the epoch goes on: by it the switch thread
 * tells what a reader had in hand of the last one.
 */
export function clearSeat({ words, times }: PeerWords): void {
  const epoch = Atomics.load(words, PEER.epoch);
  words.fill(0);
  times.fill(0);
  times[PEER_TIME.startPosition] = -1;
  Atomics.store(words, PEER.epoch, epoch + 1);
}

/** main: makes a reader's number, which no thread uses any more, ready for another one. Totals never go back. */
export function clearReader({ times, readers }: SharedState, reader: number): void {
  const former = readers[reader];
  if (!former) return;
  const add = (index: number, by: number | undefined) => (times[index] = (times[index] ?? 0) + (by ?? 0));
  add(AGENT_TIME.pastReads, former.times[READER_TIME.reads]);
  add(AGENT_TIME.pastBytesRead, former.times[READER_TIME.bytesRead]);
  add(AGENT_TIME.pastReadErrors, former.times[READER_TIME.readErrors]);
  former.words.fill(0);
  former.times.fill(0);
}

/** What all readers have read since the agent began, those that are no more included. */
export interface ReadTotals {
  readonly reads: number;
  readonly bytesRead: number;
  readonly readErrors: number;
}

/** One peer's words. */
export interface PeerWords {
  readonly words: Int32Array;
  readonly times: Float64Array;
  readonly incarnation: Uint8Array;
  readonly echoIncarnation: Uint8Array;
}

export class SharedState {
  readonly words: Int32Array;
  readonly times: Float64Array;
  readonly readers: readonly ReaderWords[];
  readonly peers: readonly PeerWords[];
  readonly buffer: SharedArrayBuffer;
  /** The words of all readers in one view: quicker to look through. */
  readonly #readerWords: Int32Array;

  constructor(buffer: SharedArrayBuffer, peerCount: number = SEATS_MAX) {
    this.buffer = buffer;
    this.words = new Int32Array(buffer, 0, AGENT_WORDS);
    this.times = new Float64Array(buffer, AGENT_WORDS * 4, AGENT_TIMES);
    this.readers = Array.from({ length: SEATS_MAX }, (_, i) => readerWordsAt(buffer, AGENT_BYTES + i * READER_BYTES));
    this.#readerWords = new Int32Array(buffer, AGENT_BYTES, (SEATS_MAX * READER_BYTES) / 4);
    this.peers = Array.from({ length: peerCount }, (_, i) => {
      const start = PEERS_OFFSET + i * PEER_BYTES;
      return {
        words: new Int32Array(buffer, start, PEER_WORDS),
        times: new Float64Array(buffer, start + PEER_WORDS * 4, PEER_TIMES),
        incarnation: new Uint8Array(buffer, start + PEER.incarnation * 4, 16),
        echoIncarnation: new Uint8Array(buffer, start + PEER.echoIncarnation * 4, 16),
      };
    });
  }

  /** Our own writes to storage succeed in time. */
  storageAvailable(settings: { readonly writeDeadlineMs: number; readonly beaconMs: number }, nowMs: number): boolean {
    const { words, times } = this;
    const { writeDeadlineMs, beaconMs } = settings;
    if (Atomics.load(words, AGENT.writeErrno) !== 0) return false;
    if (Atomics.load(words, AGENT.writing) === 1 && nowMs - (times[AGENT_TIME.writeBeganMs] ?? 0) > writeDeadlineMs) {
      return false;
    }
    const writtenMs = times[AGENT_TIME.writtenMs] ?? 0;
    return writtenMs > 0 && nowMs - writtenMs <= 2 * beaconMs + writeDeadlineMs;
  }

  /** The words of reader number `reader`. */
  reader(reader: number): ReaderWords {
    const words = this.readers[reader];
    assert(words !== undefined, 'the shared state has the reader');
    return words;
  }

  /** Large batches come, from whichever volume: what we send meanwhile are confirmations, and may share a batch. */
  get isFlood(): boolean {
    const words = this.#readerWords;
    for (let at = READER.flood; at < words.length; at += READER_BYTES / 4)
      if (Atomics.load(words, at) === 1) return true;
    return false;
  }

  get readTotals(): ReadTotals {
    const { times, readers } = this;
    const sum = (past: number, index: number) =>
      readers.reduce((total, reader) => total + (reader.times[index] ?? 0), times[past] ?? 0);
    return {
      reads: sum(AGENT_TIME.pastReads, READER_TIME.reads),
      bytesRead: sum(AGENT_TIME.pastBytesRead, READER_TIME.bytesRead),
      readErrors: sum(AGENT_TIME.pastReadErrors, READER_TIME.readErrors),
    };
  }

  /** Wakes the thread that waits on `word`. */
  wake(word: number): void {
    Atomics.add(this.words, word, 1);
    Atomics.notify(this.words, word);
  }

  get stopping(): boolean {
    return Atomics.load(this.words, AGENT.stop) !== 0;
  }
}
