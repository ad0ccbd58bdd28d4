/**
 * One peer, and what its words make of it: who it is, what its clock says, which way leads to it. Joins the parts that
 * know the rest: the lanes in both directions, the tunnel, the words in shared memory, what we say. Lives in the switch
 * thread; pure but for its ports.
 *
 * Always true:
 * - [AUTH1] frames are taken from the accepted incarnation only. An incarnation is accepted when a word of it echoes
 *   one of ours that is younger than our first sight of it: a recording, or a volume that shows the past, cannot. While
 *   the accepted one is heard, no other is listened to, and its predecessor never again.
 * - [ORD1] The failover lanes open when the peer says that it accepts us: from then on its floors are behind everything
 *   that a former incarnation of ours may have delivered.
 * - Frames of the failover lanes leave only when the peer has said that it accepts us: nothing is sent to nobody.
 */
import { toHex } from '../base/bytes.ts';
import { BULK, DATA, HEARTBEAT, type TypeIndex } from '../base/packet-type.ts';
import type { PeerWords } from '../queue/shared-state.ts';
import { HELLO_FLAG, KIND, readAgain, readHello, readPrefix, type Hello, type Prefix } from '../wire/message.ts';
import type { TunnelReceiver, TunnelSender } from '../wire/tunnel.ts';
import { Acquaintance } from './acquaintance.ts';
import type { BypassJudge } from './bypass-judge.ts';
import { ClockOffset } from './clock-offset.ts';
import { HeadConfirmation } from './head-confirmation.ts';
import { IncomingLanes } from './incoming-lanes.ts';
import { Judge } from './judge.ts';
import type { LaneWays, Way } from './lane-sender.ts';
import type { HeadWord, LinkCounters, LinkSettings, StorageRecord } from './link-words.ts';
import { OurWord } from './our-word.ts';
import { OutgoingLanes } from './outgoing-lanes.ts';
import { beginsAt, leaveBehind, type PastLink } from './past-link.ts';
import { PeerBypass } from './peer-bypass.ts';
import { PeerClaims } from './peer-claims.ts';
import { PeerTunnel } from './peer-tunnel.ts';
import { mayEnterWriteBuffer, POLICY } from './policy.ts';
import type { CorePorts } from './ports.ts';
import { SeatWords } from './seat-words.ts';
import { StorageWatch } from './storage-watch.ts';
import type { Turn } from './turns.ts';
import { PeerVersions } from './version-watch.ts';

export type { HeadWord, LinkSettings, StorageRecord } from './link-words.ts';

/** A peer's beacon is fresh for this many beacons. */
const FRESH_BEACONS = 3;
/** A word older than this is not a sign of life now: probes come every 50 ms. */
const HEARING_AGE_MS = 1000;

export class PeerLink {
  settings: LinkSettings;
  readonly #words: SeatWords;
  readonly #ports: CorePorts;
  readonly judge: Judge;
  readonly #bypass = new PeerBypass();
  readonly storage: StorageWatch;
  readonly clock: ClockOffset = new ClockOffset();
  readonly outgoing: OutgoingLanes;
  readonly incoming: IncomingLanes;
  readonly claims: PeerClaims = new PeerClaims();
  readonly counters: LinkCounters = { tooOld: 0, receivedNetwork: 0, receivedStorage: 0 };
  #tunnel: PeerTunnel | null = null;
  readonly #ourWord: OurWord;
  readonly #acquaintance: Acquaintance;
  readonly #versions: PeerVersions;
  readonly #headConfirmation = new HeadConfirmation();
  /** The peer's clock in the word by which it accepted us: what it says in older ones is not about us. */
  #openedUs = 0;
  #peerFlags = 0;
  #lastHead: HeadWord | null = null;
  #helloDueMs: number;
  readonly #past: PastLink | null;

  /** `past`: what an earlier link to this node has left. */
  constructor(
    settings: LinkSettings,
    ourIncarnation: Uint8Array,
    words: PeerWords,
    ports: CorePorts,
    nowMs: number,
    past: PastLink | null = null,
  ) {
    this.settings = settings;
    this.#past = past;
    this.#ports = ports;
    this.#acquaintance = new Acquaintance(ourIncarnation);
    this.#versions = new PeerVersions(settings.name, settings.volumeVersion, words, ports.event);
    this.storage = new StorageWatch(FRESH_BEACONS * settings.beaconMs + (settings.copyMs ?? 0));
    this.judge = new Judge(settings.judge, nowMs);
    this.#bypass.apply(settings.hasBypass === true, settings.judge.intervalMs);
    this.#helloDueMs = nowMs;
    const ways = (type: TypeIndex): LaneWays => ({
      network: (sequence, frame, enteredMs, nowMs) =>
        this.#tunnel?.add(type, sequence, frame, nowMs - enteredMs, nowMs) ?? false,
      storage: (sequence, frame, enteredMs) =>
        this.#mayBuffer(type) && this.#ports.submit(type, settings.sendTenant, sequence, frame, enteredMs),
    });
    const { hasNetwork } = settings.judge;
    this.outgoing = new OutgoingLanes({ ...settings, hasNetwork }, ways, past?.sent);
    this.incoming = new IncomingLanes(words.words, settings.maxAgeMs, ports.deliver);
    this.#words = new SeatWords(words, this.outgoing);
    this.#ourWord = new OurWord({
      acquaintance: this.#acquaintance,
      judge: this.judge,
      storage: this.storage,
      bypass: this.#bypass,
      outgoing: this.outgoing,
      incoming: this.incoming,
      words: this.#words,
    });
  }

  /** Other settings for the same seat. */
  apply(settings: LinkSettings): void {
    this.settings = settings;
    this.judge.apply(settings.judge);
    this.#bypass.apply(settings.hasBypass === true, settings.judge.intervalMs);
    this.outgoing.retain(settings.retainBytes);
  }

  /**
   * The peer is no longer in the settings: from now on nobody delivers for it, whatever a reader still has in hand. What
   * is left is for a later link to the same node in this incarnation of ours.
   */
  retire(): PastLink {
    this.#words.leave();
    return leaveBehind(this.outgoing.next, this.incoming.close(), this.accepted, this.#past);
  }

  /** The tunnel's two ends for this peer; without them (`mode: none`) storage is the only way. */
  attachTunnel(sender: TunnelSender, receiver: TunnelReceiver): void {
    this.#tunnel = new PeerTunnel(sender, receiver, (nowMs) => this.#ourWord.prefix(KIND.frames, nowMs));
  }

  /** Null where packets to the peer cannot go past the agents. */
  get bypass(): BypassJudge | null {
    return this.#bypass.judge;
  }

  get receiver(): TunnelReceiver | null {
    return this.#tunnel?.receiver ?? null;
  }

  get accepted(): Uint8Array | null {
    return this.#acquaintance.accepted;
  }

  get peerAccepts(): boolean {
    return this.#acquaintance.peerAccepts;
  }

  /** What we say of our way to the outside. */
  set offersGateway(offers: boolean) {
    this.#ourWord.offersGateway = offers;
  }

  get peerFlags(): number {
    return this.#peerFlags;
  }

  // --- outgoing frames -------------------------------------------------------------------------------------------

  /** Takes a frame that came into the interface at `enteredMs`; false when its lane is full. */
  send(type: TypeIndex, frame: Uint8Array, nowMs: number, enteredMs: number): boolean {
    return this.outgoing.enqueue(type, frame, nowMs, enteredMs);
  }

  /** [AG2] The three conditions; an operator's override to storage counts as "network not available". */
  #mayBuffer(type: TypeIndex): boolean {
    const { path } = this.judge;
    return mayEnterWriteBuffer({
      networkAvailable: path === 'network' || path === 'suspect',
      storageAvailable: this.#ourWord.ownStorage,
      kind: 'write',
      policy: POLICY[type],
    });
  }

  /** The socket has room again. */
  unblock(): void {
    this.#tunnel?.unblock();
  }

  get isSendBlocked(): boolean {
    return this.#tunnel?.isBlocked ?? false;
  }

  #sendHello(nowMs: number): void {
    this.#helloDueMs = nowMs + this.settings.judge.intervalMs;
    this.#tunnel?.sendHello(this.#ourWord.hello(nowMs));
  }

  // --- incoming words --------------------------------------------------------------------------------------------

  /** A message of the peer over the network, opened. `incarnation`: whose; the bytes are valid during the call only. */
  message(incarnation: Uint8Array, bytes: Uint8Array, nowMs: number): void {
    const prefix = readPrefix(bytes);
    if (!prefix) return;
    const isAccepted = this.#acquaintance.isAccepted(incarnation);
    if (prefix.kind === KIND.hello) {
      const hello = readHello(bytes, prefix);
      if (hello) this.#onHello(incarnation, hello, 'network', nowMs);
      return;
    }
    if (!isAccepted || !this.clock.known) return;
    if (this.clock.ageMs(prefix.monotonicUs, nowMs * 1000) > this.settings.maxAgeMs) {
      if (prefix.kind === KIND.frames) this.counters.tooOld++;
      return;
    }
    this.judge.heard(nowMs);
    this.#confirmed(prefix, nowMs);
    if (prefix.kind === KIND.again) this.#onAgain(bytes, nowMs);
    const ageMs = Math.max(0, this.clock.ageMs(prefix.monotonicUs, nowMs * 1000));
    this.#tunnel?.takeFrames(prefix.kind, bytes, (type, sequence, frame, frameAgeMs) => {
      this.#onFrame(type, sequence, frame, nowMs - ageMs - frameAgeMs, nowMs);
    });
    if (prefix.kind === KIND.frames && this.#tunnel?.owesWord === true) this.#sendHello(nowMs);
  }

  #onFrame(type: number, sequence: number, frame: Uint8Array, bornMs: number, nowMs: number): void {
    const lane = this.incoming.of(type);
    if (!lane || (!this.#acquaintance.isOpen && type !== HEARTBEAT)) return;
    this.counters.receivedNetwork++;
    lane.offer(sequence, frame, bornMs, nowMs);
  }

  #onAgain(bytes: Uint8Array, nowMs: number): void {
    const again = readAgain(bytes);
    if (again) this.#inSmallMessages(nowMs, () => this.outgoing.failover(again.lane).again(again.missing, nowMs));
  }

  /** Over the network in short messages; over storage the size of a message does not matter. */
  #inSmallMessages(nowMs: number, send: () => void): void {
    if (this.#tunnel) this.#tunnel.inSmallMessages(nowMs, send);
    else send();
  }

  /** A frame that the reader could not deliver in turn came by storage. `epoch`: when it was read. */
  storageRecord(record: StorageRecord, bytes: Uint8Array, nowMs: number): void {
    const { type, sequence, bornMs } = record;
    if (!this.#words.isPresent(record.epoch)) return;
    this.counters.receivedStorage++;
    this.incoming.of(type)?.offer(sequence, bytes, bornMs, nowMs, true);
  }

  /** The peer's head block changed. `fresh` words only: the reader hands on each head mark once, in order. */
  head(head: HeadWord, nowMs: number): void {
    this.#lastHead = head;
    const { name, addresses } = this.settings;
    for (const news of this.claims.look(head, addresses)) this.#ports.event({ ...news, peer: name, atMs: nowMs });
    this.#onHello(head.incarnation, head, 'storage', nowMs);
    if (this.#acquaintance.isAccepted(head.incarnation)) this.#startReading();
    else this.receiver?.expect(head.incarnation);
  }

  #onHello(incarnation: Uint8Array, hello: Hello, way: 'network' | 'storage', nowMs: number): void {
    const standing = this.#acquaintance.standing(incarnation, hello, this.judge.hears(nowMs), nowMs);
    if (standing === 'ignored') return;
    if (standing === 'stranger') {
      this.#words.echo(incarnation, hello.monotonicUs, nowMs);
      this.#helloDueMs = nowMs;
      this.#ports.wantHead();
      return;
    }
    if (standing === 'newcomer') this.#accept(incarnation, hello, nowMs);
    const echoesUs = this.#acquaintance.echoesUs(hello);
    if (echoesUs) this.clock.exchange(hello.echoMonotonicUs, hello.echoDelayUs, hello.monotonicUs, nowMs * 1000);
    const age = this.clock.known ? this.clock.ageMs(hello.monotonicUs, nowMs * 1000) : 0;
    this.#words.publishClock(this.clock, nowMs);
    if (age > HEARING_AGE_MS && way === 'network') return;
    this.#words.echo(incarnation, hello.monotonicUs, nowMs);
    const accepts = echoesUs && (hello.flags & HELLO_FLAG.accepts) !== 0;
    // The peer waits for our echo, or we for its acceptance: the next beacon would be a second away.
    if (!accepts || accepts !== this.#acquaintance.peerAccepts) this.#ports.wantHead();
    this.#acquaintance.peerAccepts = accepts;
    this.#peerFlags = hello.flags;
    this.#bypass.hear(hello);
    if (accepts) this.#open(hello);
    if (way === 'network') this.judge.heard(nowMs, echoesUs && (hello.flags & HELLO_FLAG.hearsNetwork) !== 0);
    // Both sides' probes fall into step, and one waking serves for theirs and ours.
    if (way === 'network' && this.#helloDueMs - nowMs < this.settings.judge.intervalMs / 2) this.#helloDueMs = nowMs;
    if (accepts) {
      this.#confirmed(hello, nowMs);
      const roundTripMs = this.clock.roundTripUs / 1000;
      const { nextData, nextBulk } = hello;
      this.#inSmallMessages(nowMs, () => this.outgoing.stillWaitsFor(nextData, nextBulk, nowMs, roundTripMs));
    }
  }

  /** The peer has accepted us: what it sends from now on was never delivered by a former incarnation of ours. */
  #open(hello: Hello): void {
    if (this.#acquaintance.isOpen) return;
    this.#acquaintance.isOpen = true;
    this.#openedUs = hello.monotonicUs;
    this.#begin(DATA, hello.floorData);
    this.#begin(BULK, hello.floorBulk);
    this.#startReading();
  }

  /** [ORD1] A lane begins at the peer's floor, and behind what an earlier link has delivered of the same incarnation. */
  #begin(type: TypeIndex, floor: number): void {
    const { accepted } = this;
    this.incoming.begin(type, accepted === null ? floor : beginsAt(this.#past, accepted, type, floor));
  }

  #accept(incarnation: Uint8Array, hello: Hello, nowMs: number): void {
    const isSuccessor = this.#acquaintance.accept(incarnation);
    this.clock.reset();
    this.#bypass.forget();
    this.#tunnel?.accept(incarnation);
    // The reader is told first: what it still has of the predecessor finds no gate open.
    this.#words.endReading();
    this.#begin(HEARTBEAT, hello.floorHeartbeat);
    this.#begin(DATA, hello.floorData);
    this.#begin(BULK, hello.floorBulk);
    if (isSuccessor) {
      this.judge.forget();
      this.outgoing.peerBeganAnew();
    }
    this.#words.accept(incarnation);
    this.#helloDueMs = nowMs;
    this.#ports.event({
      kind: 'incarnation',
      peer: this.settings.name,
      atMs: nowMs,
      incarnation: toHex(incarnation.subarray(0, 4)),
      reason: isSuccessor ? 'the peer began anew' : 'the peer is known now',
    });
  }

  #startReading(): void {
    const head = this.#lastHead;
    if (!head || !this.#acquaintance.isOpen || !this.#acquaintance.isAccepted(head.incarnation)) return;
    this.#words.startReading(head, this.settings.readAgainBytes);
  }

  /** Before the peer accepted us its confirmations were for our predecessor's numbers. */
  #confirmed(prefix: Prefix, nowMs: number): void {
    if (!this.#acquaintance.isOpen || prefix.monotonicUs < this.#openedUs) return;
    this.outgoing.confirm(prefix.nextData, prefix.nextBulk);
    this.incoming.floors(prefix.floorData, prefix.floorBulk, nowMs);
  }

  // --- time ------------------------------------------------------------------------------------------------------

  /**
   * Judges, probes, gives up what lasts too long. `ownStorage`: our own writes to storage succeed. `othersAreDue`: a probe
   * to another peer leaves now, and ours may go with it when it is due soon.
   */
  tick(nowMs: number, ownStorage: boolean, othersAreDue = false): void {
    this.#ourWord.ownStorage = ownStorage;
    const news = this.storage.look(nowMs, this.#words.storageSeenMs);
    if (news) this.#ports.event({ ...news, peer: this.settings.name, atMs: nowMs });
    this.#versions.look(this.receiver, nowMs);
    const transition = this.judge.tick(nowMs, ownStorage && this.storage.fresh && this.#canStore);
    const bypassChanged = this.#bypass.tick(this.judge, nowMs);
    const isSilent = this.#helloDueMs - nowMs <= (othersAreDue ? this.settings.judge.intervalMs / 2 : 0);
    if (transition) this.#ports.event({ kind: 'path', peer: this.settings.name, atMs: nowMs, ...transition });
    if (transition || bypassChanged) {
      // The shared words first: the head block that is asked for here must say it already.
      this.#publish(nowMs);
      this.#ports.wantHead();
    }
    if (isSilent || transition || bypassChanged) this.#sendHello(nowMs);
    this.incoming.expire(nowMs, this.storage.fresh, this.settings.copyStepMs);
    this.#confirmByHead(nowMs);
    this.#publish(nowMs);
  }

  /** A peer that does not have us among its own reads nothing of ours, however fresh its beacon is. */
  get #canStore(): boolean {
    return this.accepted !== null && this.claims.knowsUs !== false;
  }

  #confirmByHead(nowMs: number): void {
    if (this.judge.hears(nowMs)) return;
    const next = this.incoming.next(DATA) + this.incoming.next(BULK);
    const { skips } = this.#words;
    if (this.#headConfirmation.isWanted(nowMs, next, skips, this.incoming.isHeld)) this.#ports.wantHead();
  }

  /** What the flush thread needs for the head block, and the reader for pacing. */
  #publish(nowMs: number): void {
    const isLive = this.#canStore && this.storage.fresh;
    this.#words.publish(this.#ourWord.flags(nowMs), this.#ourWord.path, this.#peerFlags, isLive);
  }

  /** Which way the failover lanes take. */
  get way(): Way {
    if (!this.#acquaintance.peerAccepts) return 'none';
    const path = this.judge.path;
    if (path === 'network' || path === 'suspect') return 'network';
    return path === 'isolated' ? 'none' : 'storage';
  }

  /** Moves what is due but for the failover lanes by storage, after every round of the switch. */
  pump(nowMs: number): void {
    const { confirmedData, confirmedBulk } = this.#words;
    if (this.accepted) {
      if (confirmedData !== 0) this.outgoing.data.confirm(confirmedData);
      if (confirmedBulk !== 0) this.outgoing.bulk.confirm(confirmedBulk);
    }
    this.outgoing.pump(this.way, nowMs);
    this.incoming.drain(nowMs);
    this.#askAgain(nowMs);
    this.#tunnel?.flush(nowMs);
  }

  /** One turn of a failover lane at the write buffer, behind `pump`. */
  pumpStorage(type: typeof DATA | typeof BULK, nowMs: number): Turn {
    // Refused for want of storage is not refused for want of room: it must not end the others' turns.
    if (this.way !== 'storage' || !this.#ourWord.ownStorage) return 'done';
    return this.outgoing.pumpStorage(type, nowMs);
  }

  /**
   * Asks over the network for what is missing below a frame that is held. Over storage nothing is asked for (AG2: no such
   * request enters the write buffer): the confirmations in heads and batches tell the sender what to send again.
   */
  #askAgain(nowMs: number): void {
    if (this.judge.hears(nowMs)) this.#tunnel?.askAgain(this.incoming, this.clock.roundTripUs / 1000, nowMs);
  }

  /** Milliseconds until `tick` has something to do. */
  dueInMs(nowMs: number): number {
    return Math.max(0, this.#helloDueMs - nowMs);
  }
}
