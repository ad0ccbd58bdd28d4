/**
 * The switch thread's round on simulated edges, step for step as `agent/switch/worker.ts` makes it: heads, what the
 * reader handed over, datagrams, frames from the interface, then the core.
 */
import { FRAME_BYTES_MAX } from '../../vnic/device.ts';
import type { TypeIndex } from '../../agent/base/packet-type.ts';
import { Classifier } from '../../agent/core/classify.ts';
import { NodeCore } from '../../agent/core/node-core.ts';
import type { PeerLink } from '../../agent/core/peer-link.ts';
import { HEAD_RECORD, inboundEpoch, inboundPeer, inboundType } from '../../agent/queue/inbound.ts';
import { emptyRingRecord, type Ring } from '../../agent/queue/ring.ts';
import { AGENT, type SharedState } from '../../agent/queue/shared-state.ts';
import type { WriteBuffer } from '../../agent/queue/write-buffer.ts';
import { linkSettings, toHeadWord } from '../../agent/switch/link-settings.ts';
import { inboundRing, sharedState, tunnelSeal, writeBuffer, type ThreadContext } from '../../agent/threads.ts';
import { parseHead } from '../../agent/volume/head.ts';
import { datagramSender, TunnelReceiver, TunnelSender } from '../../agent/wire/tunnel.ts';
import type { Seal } from '../../agent/wire/seal.ts';
import type { Node } from './node.ts';
import { peerAt, seatOf, type NodeIndex } from './pairs.ts';
import { BROADCAST_ADDRESS } from './settings.ts';

const FRAMES_PER_ROUND = 64;
const INBOUND_PER_ROUND = 256;
const DATAGRAMS_PER_ROUND = 64;
/** The kernel's receive buffer: what comes when it is full is lost. */
const SOCKET_DATAGRAMS = 2000;

const sendMemory = new Uint8Array(64 * 1024);

export class SwitchThread {
  readonly core: NodeCore;
  bellRang = false;
  socketOverflows = 0;
  readonly #context: ThreadContext;
  readonly #node: Node;
  readonly #state: SharedState;
  readonly #buffer: WriteBuffer;
  readonly #inbound: readonly Ring[];
  readonly #byNumber = new Map<number, PeerLink>();
  readonly #record = emptyRingRecord();
  readonly #frame = new Uint8Array(FRAME_BYTES_MAX);
  readonly #socket: Uint8Array[] = [];
  readonly #onWake: () => void;
  /** A frame that its lane had no room for; it may lie in the lane's own memory. */
  #waiting: Uint8Array | null = null;
  #submitted = false;

  constructor(context: ThreadContext, node: Node, onWake: () => void) {
    this.#context = context;
    this.#node = node;
    this.#onWake = onWake;
    this.#state = sharedState(context);
    this.#buffer = writeBuffer(context, this.#state);
    this.#inbound = context.receive.map(inboundRing);
    const { settings, incarnation } = context;
    this.core = new NodeCore(
      {
        links: linkSettings(context),
        beaconMs: settings.storage.beaconMs,
        maxAgeMs: settings.storage.maxAgeMs,
        writeDeadlineMs: settings.storage.writeDeadlineMs,
      },
      new Classifier(
        settings.types,
        context.seats.map(({ seat, peer }) => ({ seat, addresses: peer.addresses })),
        [BROADCAST_ADDRESS],
      ),
      incarnation,
      this.#state,
      {
        submit: (type, slot, sequence, frame, enteredMs) => {
          const taken = this.#buffer.submit(type, slot, sequence, frame, enteredMs);
          if (taken) this.#submitted = true;
          else Atomics.store(this.#state.words, AGENT.roomWanted, 1);
          return taken;
        },
        deliver: (frame) => node.deliver(frame, 'switch'),
        event: (event) => node.world.note(`${node.name} ${JSON.stringify({ ...event, atMs: undefined })}`),
        wantHead: () => {
          Atomics.store(this.#state.words, AGENT.headWanted, 1);
          this.#state.wake(AGENT.flushWake);
        },
      },
      node.clock.monotonicMs(),
    );
    if (settings.primary.mode !== 'none') this.core.links.forEach((link, i) => this.#attachTunnel(link, i));
    for (const link of this.core.links) link.judge.carrier(node.network.port(node.index).carrier);
  }

  /** What this agent knows of one peer. */
  linkTo(peer: NodeIndex): PeerLink {
    return this.core.at(seatOf(this.#node.index, peer)) as PeerLink;
  }

  #attachTunnel(link: PeerLink, place: number): void {
    const { settings, incarnation, nodeNumber, seats } = this.#context;
    const peer = settings.peers[place]?.node ?? '';
    const { network, index, clock } = this.#node;
    const to = peerAt(index, place);
    const sender = new TunnelSender(
      tunnelSeal(this.#context, incarnation, settings.node, peer),
      nodeNumber,
      incarnation,
      this.#node.settings.datagramBytes,
      sendMemory,
      (bytes, length, segmentBytes) => network.send(index, to, bytes, length, segmentBytes),
    );
    let openedCounter = 0;
    const watched = (seal: Seal): Seal => ({
      seal: (...sealed) => seal.seal(...sealed),
      open: (counter, ...opened) => {
        openedCounter = counter;
        return seal.open(counter, ...opened);
      },
    });
    const receiver = new TunnelReceiver(
      (theirs) => watched(tunnelSeal(this.#context, theirs, peer, settings.node)),
      (session, message) => {
        // What strangers and predecessors say is heard as often as it is said, and believed never.
        const { accepted } = link;
        if (accepted && Buffer.compare(accepted, session.incarnation) === 0) {
          this.#node.observer.heard(index, accepted, openedCounter);
        }
        link.message(session.incarnation, message, clock.monotonicMs());
      },
    );
    link.attachTunnel(sender, receiver);
    this.#byNumber.set(seats[place]?.nodeNumber ?? 0, link);
  }

  /** The kernel has received a datagram. */
  datagram(datagram: Uint8Array): void {
    if (this.#socket.length < SOCKET_DATAGRAMS) this.#socket.push(datagram);
    else this.socketOverflows++;
  }

  /** One round; answers how many milliseconds to sleep. */
  round(): number {
    const nowMs = this.#node.clock.monotonicMs();
    Atomics.add(this.#state.words, AGENT.switchBeat, 1);
    this.#dropAfterStandstill(nowMs);
    if (this.bellRang) this.#onBell();
    this.#buffer.isRound = true;
    let more = this.#takeInbound(nowMs);
    more = this.#takeDatagrams(nowMs) || more;
    more = this.#takeFrames(nowMs) || more;
    let waitMs = this.core.round(nowMs);
    if (this.#submitted) {
      this.#submitted = false;
      this.#buffer.endRound();
    }
    this.#onWake();
    if (more) waitMs = 0;
    return this.#waiting !== null ? Math.min(waitMs, 1) : waitMs;
  }

  #dropAfterStandstill(nowMs: number): void {
    const standstillMs = this.core.standstillMs(nowMs);
    this.core.entry.roundBegins(standstillMs, nowMs);
    if (standstillMs <= this.#context.settings.storage.maxAgeMs) return;
    let dropped = this.#waiting === null ? 0 : 1;
    this.#waiting = null;
    for (let length = 1; length > 0;) {
      length = this.#node.device.read(this.#frame);
      if (length <= 0) break;
      this.#node.observer.thrownAway(this.#node.index, this.#frame.subarray(0, length));
      dropped++;
    }
    this.core.entry.queueEmpty();
    this.core.countStale(dropped);
  }

  #onBell(): void {
    this.bellRang = false;
    Atomics.store(this.#state.words, AGENT.roomWanted, 0);
  }

  #takeInbound(nowMs: number): boolean {
    let taken = 0;
    for (const ring of this.#inbound) {
      while (taken < INBOUND_PER_ROUND && ring.peek(this.#record)) {
        const { offset, length, a, b, time } = this.#record;
        const [peer, type] = [inboundPeer(b), inboundType(b)];
        const link = this.core.at(peer);
        const bytes = ring.bytes.subarray(offset, offset + length);
        if (type === HEAD_RECORD) {
          if (link?.settings.since === a) link.head(toHeadWord(this.#context, peer, parseHead(bytes)), nowMs);
        } else {
          const record = { type: type as TypeIndex, sequence: a, bornMs: time, epoch: inboundEpoch(b) };
          link?.storageRecord(record, bytes, nowMs);
        }
        ring.release(this.#record);
        taken++;
      }
    }
    return taken >= INBOUND_PER_ROUND;
  }

  #takeDatagrams(nowMs: number): boolean {
    // The socket is looked at when something came in, or when it takes more again.
    const isBlocked = this.core.links.some((link) => link.isSendBlocked);
    const canSend = isBlocked && this.#node.network.hasRoom(this.#node.index);
    if (canSend || this.#socket.length > 0) for (const link of this.core.links) link.unblock();
    const taken = this.#socket.splice(0, DATAGRAMS_PER_ROUND);
    for (const datagram of taken) {
      const link = this.#byNumber.get(datagramSender(datagram, 0, datagram.length));
      link?.receiver?.receive(datagram, 0, datagram.length, nowMs);
    }
    return this.#socket.length > 0;
  }

  #takeFrames(nowMs: number): boolean {
    if (this.#waiting !== null && !this.#offer(this.#waiting, nowMs)) return false;
    this.#waiting = null;
    for (let i = 0; i < FRAMES_PER_ROUND; i++) {
      const into = this.core.place(FRAME_BYTES_MAX) ?? this.#frame;
      const length = this.#node.device.read(into);
      if (length <= 0) {
        this.core.entry.queueEmpty();
        return false;
      }
      const frame = into.subarray(0, length);
      this.#node.observer.entered(this.#node.index, frame);
      if (!this.#offer(frame, nowMs)) {
        this.#waiting = frame;
        return false;
      }
    }
    return true;
  }

  #offer(frame: Uint8Array, nowMs: number): boolean {
    const dropped = (link: PeerLink): number => link.data.counters.dropped + link.bulk.counters.dropped;
    const before = this.core.links.map(dropped);
    const taken = this.core.frame(frame, nowMs);
    this.core.links.forEach((link, place) => {
      const { observer, index } = this.#node;
      if (dropped(link) !== before[place]) observer.dropped(index, peerAt(index, place), frame);
    });
    return taken;
  }
}
