/**
 * The switch's mind: frames from the interface to lanes, lanes to ways, words from peers to interface. Pure but for its
 * ports; the switch thread and the simulator drive the same code.
 *
 * A full lane pushes back: reading from the interface stops for at most PUSH_BACK_MS, then the newest frame of that
 * lane is dropped, as a router does, and so are all that follow until the peer has confirmed something: no peer can hold
 * up the others.
 */
import { BULK, DATA, HEARTBEAT } from '../base/packet-type.ts';
import { AGENT, type SharedState } from '../queue/shared-state.ts';
import { assert } from '../base/errors.ts';
import { ALL_PEERS, NO_PEER, type Classifier } from './classify.ts';
import { EntryTime } from './entry-time.ts';
import type { FailoverLane } from './lane-sender.ts';
import { PastLinks } from './past-link.ts';
import { type LinkSettings, PeerLink } from './peer-link.ts';
import type { CorePorts } from './ports.ts';
import { Turns } from './turns.ts';

const PUSH_BACK_MS = 3;
/** Judging is this often at least, so that a failure is seen soon after it is one. */
const TICK_MS = 10;
/** Idle and healthy, ticks follow the probes; this is how long the switch may sleep. */
const IDLE_TICK_MS = 50;

export interface CoreSettings {
  readonly links: readonly LinkSettings[];
  readonly beaconMs: number;
  readonly maxAgeMs: number;
  readonly writeDeadlineMs: number;
}

export interface CoreCounters {
  /** Frames read from the interface. */
  frames: number;
  /** Frames for nobody, or not IP. */
  unaddressed: number;
  /** Frames found in the interface after a standstill, too old to be sent on. */
  stale: number;
}

export class NodeCore {
  /** One for each peer of the settings; in no order that means anything. */
  links: readonly PeerLink[] = [];
  readonly #bySeat: (PeerLink | undefined)[] = [];
  readonly #past = new PastLinks();
  readonly #incarnation: Uint8Array;
  readonly counters: CoreCounters = { frames: 0, unaddressed: 0, stale: 0 };
  readonly entry: EntryTime = new EntryTime();
  readonly #settings: CoreSettings;
  #classifier: Classifier;
  readonly #state: SharedState;
  readonly #ports: CorePorts;
  #tickMs: number;
  #isHurried = false;
  /** Peers whose packets may come by storage alone. */
  #onStorage = 0;
  #pushedBackMs = -1;
  readonly #dataTurns = new Turns();
  readonly #bulkTurns = new Turns();
  /** The link that moves its heartbeats first; another one in each round. */
  #firstLink = 0;
  /** What peers were last told of our gateway. */
  #offers = false;
  #lastLane: FailoverLane | null = null;

  constructor(
    settings: CoreSettings,
    classifier: Classifier,
    ourIncarnation: Uint8Array,
    state: SharedState,
    ports: CorePorts,
    nowMs: number,
  ) {
    this.#settings = settings;
    this.#classifier = classifier;
    this.#state = state;
    this.#ports = ports;
    this.#tickMs = nowMs;
    this.#incarnation = ourIncarnation;
    for (const link of settings.links) this.addPeer(link, nowMs);
  }

  /** A peer takes a seat; the words of the seat are clean. */
  addPeer(settings: LinkSettings, nowMs: number): PeerLink {
    const words = this.#state.peers[settings.seat];
    assert(words !== undefined && this.#bySeat[settings.seat] === undefined, 'the seat is there and free');
    const past = this.#past.of(settings.name);
    const link = new PeerLink(settings, this.#incarnation, words, this.#ports, nowMs, past);
    this.#bySeat[settings.seat] = link;
    this.links = [...this.links, link];
    return link;
  }

  /** A peer leaves its seat: nothing of it is delivered from now on, and nothing is sent to it. */
  removePeer(seat: number): void {
    const link = this.#bySeat[seat];
    if (!link) return;
    this.#past.keep(link.settings.name, link.retire());
    this.#bySeat[seat] = undefined;
    this.links = this.links.filter((other) => other !== link);
    if (this.#lastLane === link.outgoing.data || this.#lastLane === link.outgoing.bulk) this.#lastLane = null;
  }

  /** The link to the peer in this seat. */
  at(seat: number): PeerLink | undefined {
    return this.#bySeat[seat];
  }

  /** Other rules or addresses, from the next frame on. Its verdicts name seats. */
  set classifier(classifier: Classifier) {
    this.#classifier = classifier;
  }

  /**
   * Where to read the next frame into: the lane of the last one, for in a flood the next one goes there too and need not
   * be copied. Null when there is no such place.
   */
  place(bytes: number): Uint8Array | null {
    return this.#lastLane?.placeFor(bytes) ?? null;
  }

  /**
   * A frame from the interface. False: its lane is full; the caller keeps it and offers it again.
   */
  frame(frame: Uint8Array, nowMs: number): boolean {
    const isTaken = this.#route(frame, nowMs);
    if (isTaken) this.entry.taken();
    return isTaken;
  }

  #route(frame: Uint8Array, nowMs: number): boolean {
    const { type, peer } = this.#classifier.classify(frame);
    if (peer === NO_PEER) {
      this.counters.frames++;
      this.counters.unaddressed++;
      return true;
    }
    if (peer !== ALL_PEERS) return this.#send(this.#bySeat[peer], type, frame, nowMs);
    for (const link of this.links) this.#send(link, type, frame, nowMs, true);
    return true;
  }

  #send(link: PeerLink | undefined, type: 0 | 1 | 2 | 3, frame: Uint8Array, nowMs: number, mayDrop = false): boolean {
    if (!link) return true;
    const lane = type === BULK ? BULK : type === HEARTBEAT ? HEARTBEAT : DATA;
    const isTaken = link.send(lane, frame, nowMs, this.entry.enteredMs(nowMs));
    const queue = link.outgoing.failover(lane);
    if (!isTaken && !mayDrop && type !== BULK && this.#pushBack(queue, nowMs)) return false;
    this.#pushedBackMs = -1;
    this.counters.frames++;
    if (!isTaken) queue.countDropped();
    else if (lane !== HEARTBEAT) this.#lastLane = queue;
    return true;
  }

  /** True while the interface is to wait for room in this lane. */
  #pushBack(queue: FailoverLane, nowMs: number): boolean {
    if (queue.isStuck) return false;
    if (this.#pushedBackMs < 0) this.#pushedBackMs = nowMs;
    queue.isStuck = nowMs - this.#pushedBackMs >= PUSH_BACK_MS;
    return !queue.isStuck;
  }

  /** Our own writes to storage succeed in time. */
  storageAvailable(nowMs: number): boolean {
    return this.#state.storageAvailable(this.#settings, nowMs);
  }

  /** Something has happened that is to be judged in this round already. */
  hurry(): void {
    this.#isHurried = true;
  }

  /**
   * Called after every round. Ticks when it is time; then moves what is due. Answers after how many milliseconds it
   * wants to be called again at the latest.
   */
  round(nowMs: number): number {
    const sinceTick = nowMs - this.#tickMs;
    if (sinceTick >= TICK_MS || sinceTick < 0 || this.#isHurried) this.#tick(nowMs, sinceTick);
    this.#isHurried = false;
    this.#pump(nowMs);
    let wait = this.#isQuiet ? IDLE_TICK_MS : TICK_MS;
    for (const link of this.links) wait = Math.min(wait, Math.max(1, link.dueInMs(nowMs)));
    return wait;
  }

  /** Moves what is due: by the network for each link, by storage in turns, for there they share the write buffer. */
  #pump(nowMs: number): void {
    const { links } = this;
    this.#firstLink = (this.#firstLink + 1) % Math.max(1, links.length);
    for (let i = 0; i < links.length; i++) links[(this.#firstLink + i) % links.length]?.pump(nowMs);
    this.#dataTurns.go(links.length, (i) => links[i]?.pumpStorage(DATA, nowMs) ?? 'done');
    this.#bulkTurns.go(links.length, (i) => links[i]?.pumpStorage(BULK, nowMs) ?? 'done');
  }

  /** All peers on the network and nothing waiting: nothing can become due before the next probe. */
  get #isQuiet(): boolean {
    return this.links.every((link) => link.judge.path === 'network' && link.outgoing.data.keptFrames === 0);
  }

  #tick(nowMs: number, sinceMs: number): void {
    this.#tickMs = nowMs;
    if (sinceMs > 1000) this.#ports.event({ kind: 'stood-still', peer: '', atMs: nowMs, gapMs: sinceMs });
    const available = this.storageAvailable(nowMs);
    const offers = Atomics.load(this.#state.words, AGENT.gatewayOffered) === 1;
    this.#classifier.gateway = Atomics.load(this.#state.words, AGENT.gatewayPeer) - 1;
    Atomics.store(this.#state.words, AGENT.gatewayFrames, this.#classifier.gatewayFrames | 0);
    // The probes of all pairs fall into step: one waking serves for all, however many peers there are.
    const oneIsDue = this.links.some((link) => link.dueInMs(nowMs) === 0);
    let onStorage = 0;
    for (const link of this.links) {
      link.offersGateway = offers;
      link.tick(nowMs, available, oneIsDue);
      if (link.judge.path !== 'network') onStorage++;
    }
    // A reader that sleeps its idle sleep would let the first packets by storage wait for the rest of it.
    if (onStorage > this.#onStorage) this.#state.wake(AGENT.readerWake);
    this.#onStorage = onStorage;
    // Behind the links' own words: the head block that is asked for must already say it.
    if (offers !== this.#offers) this.#ports.wantHead();
    this.#offers = offers;
  }

  /** Nothing of ours is kept for a peer that any way leads to: all was sent, and what can be confirmed is. */
  get isDrained(): boolean {
    return this.links.every(({ judge, outgoing }) => judge.path === 'isolated' || outgoing.frames === 0);
  }

  /** How long this agent has not looked at the interface: what lies there may be this old. */
  standstillMs(nowMs: number): number {
    return nowMs - this.#tickMs;
  }

  /** The interface's queue was thrown away after a standstill longer than maxAgeMs. */
  countStale(frames: number): void {
    this.counters.stale += frames;
  }
}
