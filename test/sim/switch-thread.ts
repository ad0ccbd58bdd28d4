/**
 * The switch thread's round on simulated edges, made of the same parts in the same order as `agent/switch/worker.ts`
 * makes it: what the readers handed over, datagrams, frames from the interface, then the core.
 */
import { NodeCore } from '../../agent/core/node-core.ts';
import type { PeerLink } from '../../agent/core/peer-link.ts';
import { AGENT, type SharedState } from '../../agent/queue/shared-state.ts';
import { BufferEdge } from '../../agent/switch/buffer-edge.ts';
import { FrameIntake } from '../../agent/switch/frame-intake.ts';
import { InboundIntake } from '../../agent/switch/inbound-intake.ts';
import { coreSettings, makeClassifier } from '../../agent/switch/wiring.ts';
import { sharedState, tunnelSeal, writeBuffer, type ThreadContext } from '../../agent/threads.ts';
import { datagramSender, TunnelReceiver, TunnelSender } from '../../agent/wire/tunnel.ts';
import type { Seal } from '../../agent/wire/seal.ts';
import type { Node } from './node.ts';
import { peerAt, seatOf, type NodeIndex } from './pairs.ts';

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
  readonly #toFlush: BufferEdge;
  readonly #inbound: InboundIntake;
  readonly #frames: FrameIntake;
  readonly #byNumber = new Map<number, PeerLink>();
  readonly #socket: Uint8Array[] = [];
  readonly #onWake: () => void;
  /** What is read from the interface now is thrown away. */
  #isStale = false;

  constructor(context: ThreadContext, node: Node, onWake: () => void) {
    this.#context = context;
    this.#node = node;
    this.#onWake = onWake;
    this.#state = sharedState(context);
    this.#toFlush = new BufferEdge(writeBuffer(context, this.#state), this.#state);
    const { settings, incarnation } = context;
    this.core = new NodeCore(
      coreSettings(context),
      makeClassifier(context, null),
      incarnation,
      this.#state,
      {
        submit: (...packet) => this.#toFlush.submit(...packet),
        deliver: (frame) => node.deliver(frame, 'switch'),
        event: (event) => node.world.note(`${node.name} ${JSON.stringify({ ...event, atMs: undefined })}`),
        wantHead: () => this.#toFlush.wantHead(),
      },
      node.clock.monotonicMs(),
    );
    this.#inbound = new InboundIntake(context, this.core);
    this.#frames = this.#makeFrameIntake();
    if (settings.primary.mode !== 'none') this.core.links.forEach((link, i) => this.#attachTunnel(link, i));
    for (const link of this.core.links) link.judge.carrier(node.network.port(node.index).carrier);
  }

  /** The product's, with an observer at what it reads and at what becomes of it. */
  #makeFrameIntake(): FrameIntake {
    const { core } = this;
    const { device, observer, index } = this.#node;
    const read = (into: Uint8Array): number => {
      const length = device.read(into);
      const frame = into.subarray(0, Math.max(0, length));
      if (length > 0 && this.#isStale) observer.thrownAway(index, frame);
      else if (length > 0) observer.entered(index, frame);
      return length;
    };
    const watched = {
      frame: (frame: Uint8Array, nowMs: number) => this.#offer(frame, nowMs),
      place: (bytes: number) => core.place(bytes),
      entry: core.entry,
      standstillMs: (nowMs: number) => core.standstillMs(nowMs),
      countStale: (frames: number) => core.countStale(frames),
    };
    return new FrameIntake({ name: device.name, read }, watched, this.#context.settings.storage.maxAgeMs);
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
    this.#isStale = true;
    this.#frames.beginRound(nowMs);
    this.#isStale = false;
    if (this.bellRang) this.#toFlush.roomCame();
    this.bellRang = false;
    this.#toFlush.beginRound();
    let more = this.#inbound.take(nowMs);
    more = this.#takeDatagrams(nowMs) || more;
    more = this.#frames.take(true, nowMs) || more;
    let waitMs = this.core.round(nowMs);
    this.#toFlush.endRound();
    this.#onWake();
    if (more) waitMs = 0;
    return this.#frames.isWaiting ? Math.min(waitMs, 1) : waitMs;
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

  #offer(frame: Uint8Array, nowMs: number): boolean {
    const dropped = ({ outgoing: { data, bulk } }: PeerLink): number => data.counters.dropped + bulk.counters.dropped;
    const before = this.core.links.map(dropped);
    const taken = this.core.frame(frame, nowMs);
    this.core.links.forEach((link, place) => {
      const { observer, index } = this.#node;
      if (dropped(link) !== before[place]) observer.dropped(index, peerAt(index, place), frame);
    });
    return taken;
  }
}
