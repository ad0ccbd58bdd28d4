/**
 * Everything this node knows and does about one peer: handshake, clock, judgement, lanes in both directions. Lives in
 * the switch thread; pure but for its ports.
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
import { PATHS } from '../base/paths.ts';
import { EPOCH_MASK } from '../queue/inbound.ts';
import { PEER, PEER_TIME, type PeerWords } from '../queue/shared-state.ts';
import {
  AGAIN_MAX,
  HELLO_BYTES,
  HELLO_FLAG,
  KIND,
  PREFIX_BYTES,
  readAgain,
  readHello,
  readPrefix,
  writeAgain,
  writeHello,
  type Hello,
  type Prefix,
} from '../wire/message.ts';
import { walkRecords } from '../wire/record.ts';
import type { TunnelReceiver, TunnelSender } from '../wire/tunnel.ts';
import { dataView } from '../base/bytes.ts';
import { BypassJudge } from './bypass-judge.ts';
import { Acquaintance, isSameIncarnation } from './acquaintance.ts';
import { ClockOffset } from './clock-offset.ts';
import { FrameMessages } from './frame-messages.ts';
import { FramePieces } from './frame-pieces.ts';
import { Gate, GATE_WORDS } from './gate.ts';
import { HeadConfirmation } from './head-confirmation.ts';
import { Judge } from './judge.ts';
import { mayEnterWriteBuffer, POLICY } from './policy.ts';
import { beginsAt, leaveSeat, type PastLink } from './past-link.ts';
import type { HeadWord, LinkCounters, LinkSettings, StorageRecord } from './link-words.ts';
import { PeerClaims } from './peer-claims.ts';
import { BothLane, FailoverLane, type LaneWays, type Way } from './lane-sender.ts';
import type { CorePorts } from './ports.ts';
import { Resequencer } from './resequencer.ts';
import { publishClock, publishFloors, startReading } from './seat-words.ts';
import { StorageWatch } from './storage-watch.ts';
import { TURN_BYTES, type Turn } from './turns.ts';
import { PeerVersions } from './version-watch.ts';

export type { HeadWord, LinkSettings, StorageRecord } from './link-words.ts';

const HEARTBEAT_WAITING_BYTES = 1024 * 1024;
/** A word is sent after this many bytes received without one, so that the sender may forget them. */
const CONFIRM_EVERY_BYTES = 256 * 1024;
/** A peer's beacon is fresh for this many beacons. */
const FRESH_BEACONS = 3;
/** A word older than this is not a sign of life now: probes come every 50 ms. */
const HEARING_AGE_MS = 1000;
/** A gap in the heartbeats waits for the other way: for what storage usually takes, but a late heartbeat helps nobody. */
const HEARTBEAT_PATIENCE_MS = 60;
const HEARTBEAT_PATIENCE_MS_MAX = 400;
const AGAIN_EVERY_MS = 5;

export class PeerLink {
  settings: LinkSettings;
  readonly #words: PeerWords;
  readonly #ports: CorePorts;
  readonly judge: Judge;
  /** Null where packets to the peer cannot go past the agents. */
  bypass: BypassJudge | null = null;
  readonly storage: StorageWatch;
  readonly clock: ClockOffset = new ClockOffset();
  readonly heartbeat: BothLane;
  readonly data: FailoverLane;
  readonly bulk: FailoverLane;
  readonly receive: ReadonlyMap<TypeIndex, Resequencer>;
  readonly claims: PeerClaims = new PeerClaims();
  readonly counters: LinkCounters = { tooOld: 0, refused: 0, receivedNetwork: 0, receivedStorage: 0 };

  #sender: TunnelSender | null = null;
  #receiver: TunnelReceiver | null = null;
  #messages: FrameMessages | null = null;
  readonly #pieces = new FramePieces();

  /** What we say of our way to the outside. */
  offersGateway = false;

  readonly #acquaintance: Acquaintance;
  readonly #versions: PeerVersions;
  /** The peer's clock in the word by which it accepted us: what it says in older ones is not about us. */
  #openedUs = 0;
  #peerFlags = 0;
  /** The peer's clock in its newest word about the bypass: one from storage may be older than one from the network. */
  #bypassSaidUs = 0;
  #lastHead: HeadWord | null = null;
  #ownStorage = false;
  #unconfirmedBytes = 0;
  readonly #helloBytes = new Uint8Array(HELLO_BYTES);
  #helloDueMs: number;
  #againMs = -Infinity;

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
    this.#words = words;
    this.#ports = ports;
    this.#acquaintance = new Acquaintance(ourIncarnation);
    this.#versions = new PeerVersions(settings.name, settings.volumeVersion, words, ports.event);
    this.storage = new StorageWatch(FRESH_BEACONS * settings.beaconMs);
    this.judge = new Judge(settings.judge, nowMs);
    this.#applyBypass();
    this.#helloDueMs = nowMs;
    const ways = (type: TypeIndex): LaneWays => ({
      network: (sequence, frame, enteredMs, nowMs) => this.#overNetwork(type, sequence, frame, enteredMs, nowMs),
      storage: (sequence, frame, enteredMs) =>
        this.#mayBuffer(type) && this.#ports.submit(type, settings.sendTenant, sequence, frame, enteredMs),
    });
    const { retainBytes, maxAgeMs, storageWindowBytes } = settings;
    const { hasNetwork } = settings.judge;
    this.heartbeat = new BothLane(HEARTBEAT_WAITING_BYTES, maxAgeMs, hasNetwork, ways(HEARTBEAT), past?.sent.heartbeat);
    this.data = new FailoverLane(retainBytes, maxAgeMs, storageWindowBytes, ways(DATA), past?.sent.data);
    this.bulk = new FailoverLane(retainBytes, maxAgeMs, storageWindowBytes, ways(BULK), past?.sent.bulk);
    const lane = (type: TypeIndex): [TypeIndex, Resequencer] => [
      type,
      new Resequencer(new Gate(words.words, PEER.gates + type * GATE_WORDS), maxAgeMs, (frame, bornMs) => {
        if (!this.#ports.deliver(frame, bornMs)) this.counters.refused++;
      }),
    ];
    this.receive = new Map([lane(HEARTBEAT), lane(DATA), lane(BULK)]);
    for (const resequencer of this.receive.values()) resequencer.reset(1);
  }

  /** Other settings for the same seat. */
  apply(settings: LinkSettings): void {
    this.settings = settings;
    this.judge.apply(settings.judge);
    this.#applyBypass();
    this.data.retain(settings.retainBytes);
    this.bulk.retain(settings.retainBytes);
  }

  /**
   * The peer is no longer in the settings: from now on nobody delivers for it, whatever a reader still has in hand. What
   * is left is for a later link to the same node in this incarnation of ours.
   */
  retire(): PastLink {
    return leaveSeat(this.#words, this, this.accepted !== null, this.#past);
  }

  /** The tunnel's two ends for this peer; without them (`mode: none`) storage is the only way. */
  attachTunnel(sender: TunnelSender, receiver: TunnelReceiver): void {
    this.#sender = sender;
    this.#receiver = receiver;
    this.#messages = new FrameMessages(sender, (nowMs) => this.#prefix(KIND.frames, nowMs));
  }

  get receiver(): TunnelReceiver | null {
    return this.#receiver;
  }

  get accepted(): Uint8Array | null {
    return this.#acquaintance.accepted;
  }

  get peerAccepts(): boolean {
    return this.#acquaintance.peerAccepts;
  }

  get peerFlags(): number {
    return this.#peerFlags;
  }

  #lane(type: TypeIndex): Resequencer | undefined {
    return this.receive.get(type);
  }

  #laneNext(type: TypeIndex): number {
    return this.#lane(type)?.gate.next ?? 1;
  }

  // --- outgoing frames -------------------------------------------------------------------------------------------

  /** Takes a frame that came into the interface at `enteredMs`; false when its lane is full. */
  send(type: TypeIndex, frame: Uint8Array, nowMs: number, enteredMs: number): boolean {
    if (type === HEARTBEAT) {
      this.heartbeat.enqueue(frame, nowMs, enteredMs);
      return true;
    }
    return (type === BULK ? this.bulk : this.data).enqueue(frame, enteredMs);
  }

  /** [AG2] The three conditions; an operator's override to storage counts as "network not available". */
  #mayBuffer(type: TypeIndex): boolean {
    const { path } = this.judge;
    return mayEnterWriteBuffer({
      networkAvailable: path === 'network' || path === 'suspect',
      storageAvailable: this.#ownStorage,
      kind: 'write',
      policy: POLICY[type],
    });
  }

  #overNetwork(type: TypeIndex, sequence: number, frame: Uint8Array, enteredMs: number, nowMs: number): boolean {
    return this.#messages?.add(type, sequence, frame, nowMs - enteredMs, nowMs) ?? false;
  }

  /** Sends the message of frames that has been put together; at the end of each round of the switch. */
  flush(nowMs: number): void {
    if (this.#messages?.flush(nowMs) === true) this.#unconfirmedBytes = 0;
  }

  /** The socket has room again. */
  unblock(): void {
    if (this.#messages) this.#messages.isBlocked = false;
  }

  get isSendBlocked(): boolean {
    return this.#messages?.isBlocked ?? false;
  }

  #prefix(kind: number, nowMs: number): Prefix {
    return {
      kind,
      nextData: this.#laneNext(DATA),
      nextBulk: this.#laneNext(BULK),
      floorData: this.data.floor,
      floorBulk: this.bulk.floor,
      monotonicUs: nowMs * 1000,
    };
  }

  #hello(nowMs: number): Hello {
    const { times, echoIncarnation } = this.#words;
    const seenMs = times[PEER_TIME.echoSeenMs] ?? 0;
    const prefix = this.#prefix(KIND.hello, nowMs);
    return {
      kind: prefix.kind,
      nextData: prefix.nextData,
      nextBulk: prefix.nextBulk,
      floorData: prefix.floorData,
      floorBulk: prefix.floorBulk,
      monotonicUs: prefix.monotonicUs,
      flags: this.#flags(nowMs),
      path: PATHS.indexOf(this.judge.path),
      floorHeartbeat: this.heartbeat.next,
      echoIncarnation,
      echoMonotonicUs: times[PEER_TIME.echoMonotonicUs] ?? 0,
      echoDelayUs: seenMs === 0 ? 0 : (nowMs - seenMs) * 1000,
    };
  }

  #flags(nowMs: number): number {
    const { words, times, echoIncarnation } = this.#words;
    const echoesAccepted = this.#acquaintance.isAccepted(echoIncarnation);
    return (
      (this.judge.hears(nowMs) ? HELLO_FLAG.hearsNetwork : 0) |
      (this.storage.fresh ? HELLO_FLAG.hearsStorage : 0) |
      (this.#ownStorage ? HELLO_FLAG.storageAvailable : 0) |
      (times[PEER_TIME.echoSeenMs] === 0 ? 0 : HELLO_FLAG.echoes) |
      (words[PEER.accepted] === 1 && echoesAccepted ? HELLO_FLAG.accepts : 0) |
      (this.offersGateway ? HELLO_FLAG.offersGateway : 0) |
      (this.bypass?.willing === true ? HELLO_FLAG.bypass : 0)
    );
  }

  #sendHello(nowMs: number): void {
    this.#helloDueMs = nowMs + this.settings.judge.intervalMs;
    this.#unconfirmedBytes = 0;
    if (!this.#sender) return;
    writeHello(this.#helloBytes, this.#hello(nowMs));
    this.#sender.send(this.#helloBytes, HELLO_BYTES);
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
    if (!isAccepted || this.#isTooOld(prefix.monotonicUs, nowMs)) return;
    this.judge.heard(nowMs);
    this.#confirmed(prefix, nowMs);
    if (prefix.kind === KIND.again) this.#onAgain(bytes, nowMs);
    const ageMs = Math.max(0, this.clock.ageMs(prefix.monotonicUs, nowMs * 1000));
    if (prefix.kind === KIND.frames) this.#onFrames(bytes, ageMs, nowMs);
    if (prefix.kind === KIND.piece) {
      this.#pieces.take(bytes, (piece, frame) => {
        this.#onFrame(piece.lane, piece.sequence, frame, nowMs - ageMs - piece.ageMs, nowMs);
      });
    }
  }

  #isTooOld(peerUs: number, nowMs: number): boolean {
    const tooOld = !this.clock.known || this.clock.ageMs(peerUs, nowMs * 1000) > this.settings.maxAgeMs;
    if (tooOld) this.counters.tooOld++;
    return tooOld;
  }

  #onFrames(bytes: Uint8Array, ageMs: number, nowMs: number): void {
    this.#unconfirmedBytes += bytes.length;
    walkRecords(bytes, PREFIX_BYTES, bytes.length, (header, offset) => {
      const frame = bytes.subarray(offset, offset + header.frameBytes);
      this.#onFrame(header.type, header.sequence, frame, nowMs - ageMs - header.ageMs, nowMs);
    });
    if (this.#unconfirmedBytes > CONFIRM_EVERY_BYTES) this.#sendHello(nowMs);
  }

  #onFrame(type: number, sequence: number, frame: Uint8Array, bornMs: number, nowMs: number): void {
    const lane = this.#lane(type as TypeIndex);
    if (!lane || (!this.#acquaintance.isOpen && type !== HEARTBEAT)) return;
    this.counters.receivedNetwork++;
    lane.offer(sequence, frame, bornMs, nowMs);
  }

  #onAgain(bytes: Uint8Array, nowMs: number): void {
    const again = readAgain(bytes);
    if (again)
      this.#inSmallMessages(nowMs, () => (again.lane === BULK ? this.bulk : this.data).again(again.missing, nowMs));
  }

  /** Over the network in short messages; over storage the size of a message does not matter. */
  #inSmallMessages(nowMs: number, send: () => void): void {
    if (this.#messages) this.#messages.inSmallMessages(nowMs, send);
    else send();
  }

  /** A frame that the reader could not deliver in turn came by storage. `epoch`: when it was read. */
  storageRecord(record: StorageRecord, bytes: Uint8Array, nowMs: number): void {
    const { type, sequence, bornMs } = record;
    if (record.epoch !== (Atomics.load(this.#words.words, PEER.epoch) & EPOCH_MASK)) return;
    this.counters.receivedStorage++;
    this.#lane(type)?.offer(sequence, bytes, bornMs, nowMs);
  }

  /** The peer's head block changed. `fresh` words only: the reader hands on each head mark once, in order. */
  head(head: HeadWord, nowMs: number): void {
    this.#lastHead = head;
    const { name, addresses } = this.settings;
    for (const news of this.claims.look(head, addresses)) this.#ports.event({ ...news, peer: name, atMs: nowMs });
    this.#onHello(head.incarnation, head, 'storage', nowMs);
    if (this.#acquaintance.isAccepted(head.incarnation)) this.#startReading();
    else this.#receiver?.expect(head.incarnation);
  }

  #onHello(incarnation: Uint8Array, hello: Hello, way: 'network' | 'storage', nowMs: number): void {
    const standing = this.#acquaintance.standing(incarnation, hello, this.judge.hears(nowMs), nowMs);
    if (standing === 'ignored') return;
    if (standing === 'stranger') {
      this.#remember(incarnation, hello, nowMs);
      this.#helloDueMs = nowMs;
      this.#ports.wantHead();
      return;
    }
    if (standing === 'newcomer') this.#accept(incarnation, hello, nowMs);
    const echoesUs = this.#acquaintance.echoesUs(hello);
    if (echoesUs) this.clock.exchange(hello.echoMonotonicUs, hello.echoDelayUs, hello.monotonicUs, nowMs * 1000);
    const age = this.clock.known ? this.clock.ageMs(hello.monotonicUs, nowMs * 1000) : 0;
    publishClock(this.#words, this.clock, nowMs);
    if (age > HEARING_AGE_MS && way === 'network') {
      this.counters.tooOld++;
      return;
    }
    this.#remember(incarnation, hello, nowMs);
    const accepts = echoesUs && (hello.flags & HELLO_FLAG.accepts) !== 0;
    // The peer waits for our echo, or we for its acceptance: the next beacon would be a second away.
    if (!accepts || accepts !== this.#acquaintance.peerAccepts) this.#ports.wantHead();
    this.#acquaintance.peerAccepts = accepts;
    this.#peerFlags = hello.flags;
    this.#hearOfBypass(hello);
    if (accepts) this.#open(hello);
    if (way === 'network') this.judge.heard(nowMs, echoesUs && (hello.flags & HELLO_FLAG.hearsNetwork) !== 0);
    // Both sides' probes fall into step, and one waking serves for theirs and ours.
    if (way === 'network' && this.#helloDueMs - nowMs < this.settings.judge.intervalMs / 2) this.#helloDueMs = nowMs;
    if (accepts) {
      this.#confirmed(hello, nowMs);
      const roundTripMs = this.clock.roundTripUs / 1000;
      this.#inSmallMessages(nowMs, () => {
        this.data.stillWaitsFor(hello.nextData, nowMs, roundTripMs);
        this.bulk.stillWaitsFor(hello.nextBulk, nowMs, roundTripMs);
      });
    }
  }

  #applyBypass(): void {
    const { hasBypass, judge } = this.settings;
    if (hasBypass !== true) this.bypass = null;
    else {
      this.bypass ??= new BypassJudge(judge.intervalMs);
      this.bypass.intervalMs = judge.intervalMs;
    }
  }

  #hearOfBypass(hello: Hello): void {
    if (hello.monotonicUs < this.#bypassSaidUs) return;
    this.#bypassSaidUs = hello.monotonicUs;
    this.bypass?.peerSays((hello.flags & HELLO_FLAG.bypass) !== 0);
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
    this.#lane(type)?.reset(accepted === null ? floor : beginsAt(this.#past, accepted, type, floor));
  }

  #remember(incarnation: Uint8Array, hello: Hello, nowMs: number): void {
    const { times, echoIncarnation } = this.#words;
    // A newcomer begins to listen at our floors: they must not be older than its first word.
    if (!isSameIncarnation(incarnation, echoIncarnation)) this.#publishFloors();
    echoIncarnation.set(incarnation);
    times[PEER_TIME.echoMonotonicUs] = hello.monotonicUs;
    times[PEER_TIME.echoSeenMs] = nowMs;
  }

  #accept(incarnation: Uint8Array, hello: Hello, nowMs: number): void {
    const { words, times, incarnation: shared } = this.#words;
    const isSuccessor = this.#acquaintance.accept(incarnation);
    this.clock.reset();
    this.#bypassSaidUs = 0;
    this.#pieces.clear();
    this.#receiver?.accept(incarnation);
    // The reader is told first: what it still has of the predecessor finds no gate open.
    times[PEER_TIME.startPosition] = -1;
    times[PEER_TIME.headPosition] = 0; // also for a reader that is only now begun and knows no predecessor
    Atomics.add(words, PEER.epoch, 1);
    this.#begin(HEARTBEAT, hello.floorHeartbeat);
    this.#begin(DATA, hello.floorData);
    this.#begin(BULK, hello.floorBulk);
    if (isSuccessor) {
      this.judge.forget();
      this.data.peerBeganAnew();
      this.bulk.peerBeganAnew();
    }
    // Floors first: whoever reads the accepted incarnation and then the floors finds none of the predecessor's time.
    this.#publishFloors();
    shared.set(incarnation);
    words[PEER.tag] = dataView(incarnation).getUint32(0, true) | 0;
    words[PEER.accepted] = 1;
    words[PEER.confirmedData] = 0;
    words[PEER.confirmedBulk] = 0;
    this.#helloDueMs = nowMs;
    this.#ports.event({
      kind: 'incarnation',
      peer: this.settings.name,
      atMs: nowMs,
      incarnation: toHex(incarnation.subarray(0, 4)),
    });
  }

  #startReading(): void {
    const head = this.#lastHead;
    if (!head || !this.#acquaintance.isOpen || !this.#acquaintance.isAccepted(head.incarnation)) return;
    startReading(this.#words, head, this.settings.readAgainBytes);
  }

  /** Before the peer accepted us its confirmations were for our predecessor's numbers. */
  #confirmed(prefix: Prefix, nowMs: number): void {
    if (!this.#acquaintance.isOpen || prefix.monotonicUs < this.#openedUs) return;
    this.data.confirm(prefix.nextData);
    this.bulk.confirm(prefix.nextBulk);
    this.#lane(DATA)?.floor(prefix.floorData, nowMs);
    this.#lane(BULK)?.floor(prefix.floorBulk, nowMs);
  }

  // --- time ------------------------------------------------------------------------------------------------------

  /** Judges, probes, gives up what lasts too long. `ownStorage`: our own writes to storage succeed. */
  /** `othersAreDue`: a probe to another peer leaves now, and ours may go with it when it is due soon. */
  tick(nowMs: number, ownStorage: boolean, othersAreDue = false): void {
    this.#ownStorage = ownStorage;
    const news = this.storage.look(nowMs, this.#words.times[PEER_TIME.storageSeenMs] ?? 0);
    if (news) this.#ports.event({ ...news, peer: this.settings.name, atMs: nowMs });
    this.#versions.look(this.#receiver, nowMs);
    const transition = this.judge.tick(nowMs, ownStorage && this.storage.fresh && this.#canStore);
    const { path, override, hasCarrier } = this.judge;
    const bypassChanged = this.bypass?.tick(path, override, hasCarrier, nowMs) === true;
    const isSilent = this.#helloDueMs - nowMs <= (othersAreDue ? this.settings.judge.intervalMs / 2 : 0);
    if (transition) this.#ports.event({ kind: 'path', peer: this.settings.name, atMs: nowMs, ...transition });
    if (transition || bypassChanged) {
      // The shared words first: the head block that is asked for here must say it already.
      this.#publish(nowMs);
      this.#ports.wantHead();
    }
    if (isSilent || transition || bypassChanged) this.#sendHello(nowMs);
    this.#giveUpOldGaps(nowMs);
    this.#confirmByHead(nowMs);
    this.#publish(nowMs);
  }

  /** A peer that does not have us among its own reads nothing of ours, however fresh its beacon is. */
  get #canStore(): boolean {
    return this.accepted !== null && this.claims.knowsUs !== false;
  }

  #confirmByHead(nowMs: number): void {
    if (this.judge.hears(nowMs)) return;
    const next = this.#laneNext(DATA) + this.#laneNext(BULK);
    const isHeld = (this.#lane(DATA)?.heldCount ?? 0) + (this.#lane(BULK)?.heldCount ?? 0) > 0;
    const skips = Atomics.load(this.#words.words, PEER.skips);
    if (this.#headConfirmation.isWanted(nowMs, next, skips, isHeld)) this.#ports.wantHead();
  }
  readonly #headConfirmation = new HeadConfirmation();

  #giveUpOldGaps(nowMs: number): void {
    const lagMs = this.#words.times[PEER_TIME.lagMs] ?? 0;
    const patience = this.storage.fresh
      ? Math.min(HEARTBEAT_PATIENCE_MS_MAX, Math.max(HEARTBEAT_PATIENCE_MS, 2 * lagMs + 40))
      : HEARTBEAT_PATIENCE_MS;
    this.#lane(HEARTBEAT)?.expire(nowMs, patience);
    this.#lane(DATA)?.expire(nowMs, this.settings.maxAgeMs);
    this.#lane(BULK)?.expire(nowMs, this.settings.maxAgeMs);
  }

  /** What the flush thread needs for the head block, and the reader for pacing. */
  #publish(nowMs: number): void {
    const { words } = this.#words;
    words[PEER.flags] = this.#flags(nowMs);
    words[PEER.path] = PATHS.indexOf(this.judge.path);
    words[PEER.peerFlags] = this.#peerFlags;
    this.#publishFloors();
    words[PEER.live] = this.#canStore && this.storage.fresh ? 1 : 0;
  }

  #publishFloors(): void {
    publishFloors(this.#words, this.heartbeat.next, this.data.floor, this.bulk.floor);
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
    const { words } = this.#words;
    if (this.accepted) {
      const confirmedData = Atomics.load(words, PEER.confirmedData) >>> 0;
      const confirmedBulk = Atomics.load(words, PEER.confirmedBulk) >>> 0;
      if (confirmedData !== 0) this.data.confirm(confirmedData);
      if (confirmedBulk !== 0) this.bulk.confirm(confirmedBulk);
    }
    const { way } = this;
    this.data.setWay(way);
    this.bulk.setWay(way);
    this.heartbeat.pump(nowMs);
    for (const lane of [this.data, this.bulk]) {
      if (way === 'storage') lane.expire(nowMs);
      else lane.pump(nowMs);
    }
    for (const lane of this.receive.values()) if (lane.heldCount > 0) lane.drain(nowMs);
    this.#askAgain(nowMs);
    this.flush(nowMs);
  }

  /** One turn of a failover lane at the write buffer, behind `pump`. */
  pumpStorage(type: typeof DATA | typeof BULK, nowMs: number): Turn {
    // Refused for want of storage is not refused for want of room: it must not end the others' turns.
    if (this.way !== 'storage' || !this.#ownStorage) return 'done';
    return (type === BULK ? this.bulk : this.data).pump(nowMs, TURN_BYTES);
  }

  /**
   * Asks over the network for what is missing below a frame that is held. Over storage nothing is asked for (AG2: no such
   * request enters the write buffer): the confirmations in heads and batches tell the sender what to send again.
   */
  #askAgain(nowMs: number): void {
    const pauseMs = Math.max(AGAIN_EVERY_MS, this.clock.roundTripUs / 1000);
    if (!this.#sender || !this.judge.hears(nowMs) || nowMs - this.#againMs < pauseMs) return;
    for (const type of [DATA, BULK] as const) {
      const missing = this.#lane(type)?.missing(AGAIN_MAX) ?? [];
      if (missing.length === 0) continue;
      this.#againMs = nowMs;
      const bytes = new Uint8Array(PREFIX_BYTES + 4 + missing.length * 4);
      const length = writeAgain(bytes, this.#prefix(KIND.again, nowMs), type, missing);
      this.#sender.send(bytes, length);
    }
  }

  /** Milliseconds until `tick` has something to do. */
  dueInMs(nowMs: number): number {
    return Math.max(0, this.#helloDueMs - nowMs);
  }
}
