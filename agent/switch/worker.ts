/**
 * The switch thread: sleeps in poll on the interface, the tunnel's socket, the kernel's link announcements and its bell,
 * and drives the core. Commands of `main` come by a port that is looked at when the bell rings.
 */
import { parentPort, receiveMessageOnPort, workerData, type MessagePort } from 'node:worker_threads';
import { FRAME_BYTES_MAX } from '../../vnic/device.ts';
import { attachTun, type TunDevice } from '../../vnic/tun-linux.ts';
import { broadcastAddress } from '../../vnic/ip-address.ts';
import type { Override } from '../base/paths.ts';
import type { TypeIndex } from '../base/packet-type.ts';
import { Classifier } from '../core/classify.ts';
import { NodeCore } from '../core/node-core.ts';
import type { CoreEvent } from '../core/ports.ts';
import { MessageIntake } from '../messages/intake.ts';
import { MessageOutlet } from '../messages/memory.ts';
import { systemClock } from '../platform/clock.ts';
import { LinkWatch } from '../platform/link-watch.ts';
import { alignedMemory } from '../platform/memory.ts';
import { POLLIN, POLLOUT, sys, tuneThread } from '../platform/native.ts';
import { UdpSocket } from '../platform/udp-socket.ts';
import { HEAD_RECORD, inboundEpoch, inboundPeer, inboundType } from '../queue/inbound.ts';
import { emptyRingRecord, type Ring } from '../queue/ring.ts';
import { AGENT, type SharedState } from '../queue/shared-state.ts';
import type { WriteBuffer } from '../queue/write-buffer.ts';
import {
  inboundRing,
  newerPlan,
  sharedState,
  THREAD_NICE,
  writeBuffer,
  type Plan,
  type Seat,
  type ThreadContext,
} from '../threads.ts';
import { seatChange } from '../plan.ts';
import { parseHead } from '../volume/head.ts';
import { isProgramFrame } from '../wire/program-message.ts';
import { BypassEdge } from './bypass-edge.ts';
import { linkSettings, linkSettingsOf, toHeadWord } from './link-settings.ts';
import { snapshot } from './snapshot.ts';
import { TunnelEdge } from './tunnel-edge.ts';

export interface SwitchData extends ThreadContext {
  readonly commandPort: MessagePort;
  readonly mtu: number;
}

export type SwitchCommand =
  | { readonly command: 'snapshot'; readonly id: number }
  | { readonly command: 'path'; readonly id: number; readonly seat: number; readonly override: Override };

const FRAMES_PER_ROUND = 64;
const INBOUND_PER_ROUND = 256;

/** `former`: the one that it replaces. */
function makeClassifier({ settings, seats }: ThreadContext, former: Classifier | null): Classifier {
  const broadcasts = settings.vnic.addresses.flatMap(({ address, prefix }) => broadcastAddress(address, prefix) ?? []);
  const peers = seats.map(({ seat, peer }) => ({ seat, addresses: peer.addresses }));
  return new Classifier(settings.types, peers, broadcasts, former, {
    outside: settings.gateway.use.length > 0 ? settings.gateway.prefixes : [],
    inside: settings.vnic.addresses,
  });
}

class Switch {
  #context = workerData as SwitchData;
  readonly #state: SharedState = sharedState(this.#context);
  readonly #buffer: WriteBuffer = writeBuffer(this.#context, this.#state);
  #inbound: readonly Ring[] = this.#context.receive.map((receive) => inboundRing(receive));
  readonly #tun: TunDevice = attachTun(this.#context.settings.vnic.name);
  readonly #frame = new Uint8Array(alignedMemory(FRAME_BYTES_MAX));
  readonly #core: NodeCore;
  readonly #edge: TunnelEdge | null;
  readonly #carrier: LinkWatch | null;
  readonly #bypass: BypassEdge | null;
  readonly #polls = new Uint8Array(alignedMemory(64)).subarray(0, 32);
  readonly #programs: MessageIntake = new MessageIntake(this.#context.memory.messages);
  readonly #toPrograms = new MessageOutlet(
    this.#context.memory.messages.fromSwitch,
    this.#context.memory.messages.wake,
  );
  readonly #record = emptyRingRecord();
  readonly #bell = new Uint8Array(8);
  #classifier = makeClassifier(this.#context, null);
  /** A frame that its lane had no room for. */
  #waiting: Uint8Array | null = null;
  #submitted = false;

  constructor() {
    const { settings, incarnation } = this.#context;
    const now = systemClock.monotonicMs();
    this.#core = new NodeCore(
      {
        links: linkSettings(this.#context),
        beaconMs: settings.storage.beaconMs,
        maxAgeMs: settings.storage.maxAgeMs,
        writeDeadlineMs: settings.storage.writeDeadlineMs,
      },
      this.#classifier,
      incarnation,
      this.#state,
      {
        submit: (type, slot, sequence, frame, enteredMs) => this.#submit(type, slot, sequence, frame, enteredMs),
        deliver: (frame, bornMs) =>
          isProgramFrame(frame) ? this.#toPrograms.deliver(frame, bornMs) : this.#tun.write(frame),
        event: (event: CoreEvent) => parentPort?.postMessage({ event }),
        wantHead: () => this.#wantHead(),
      },
      now,
    );
    const { mode, listen, interface: name } = settings.primary;
    const socket = mode === 'none' || !listen ? null : this.#orGiveBack(() => UdpSocket.open(listen.host, listen.port));
    this.#edge = socket && new TunnelEdge(socket, this.#context.mtu);
    for (const seat of this.#context.seats) this.#attach(seat);
    this.#carrier = mode === 'none' || name === null ? null : this.#orGiveBack(() => new LinkWatch(name), socket);
    const { bypass } = this.#context;
    const event = (event: CoreEvent) => parentPort?.postMessage({ event });
    this.#bypass = bypass ? new BypassEdge(bypass, this.#state, this.#context.nodeNumber, event) : null;
    for (const link of this.#core.links) this.#bypass?.attach(link);
    this.#tellCarrier();
    this.#preparePoll();
    Atomics.store(this.#state.words, AGENT.switchPlan, this.#context.number);
    parentPort?.postMessage({ ready: { tunFd: this.#tun.descriptor } });
  }

  #attach(seat: Seat): void {
    const link = this.#core.at(seat.seat);
    if (link) this.#edge?.attach(this.#context, seat, link);
  }

  /** Takes over a plan between two rounds: who stays notices nothing. */
  #apply(plan: Plan, nowMs: number): void {
    const former = this.#context;
    this.#context = { ...former, ...plan };
    const change = seatChange(former.seats, plan.seats);
    for (const { seat } of change.gone) {
      this.#edge?.detach(seat);
      this.#bypass?.detach(seat);
      this.#core.removePeer(seat);
    }
    for (const seat of change.kept) {
      this.#core.at(seat.seat)?.apply(linkSettingsOf(this.#context, seat));
      this.#edge?.readdress(seat);
    }
    for (const seat of change.come) {
      this.#core.addPeer(linkSettingsOf(this.#context, seat), nowMs);
      this.#attach(seat);
    }
    if (plan.bypass) this.#bypass?.apply(plan.bypass, this.#core.links);
    this.#classifier = makeClassifier(this.#context, this.#classifier);
    this.#core.classifier = this.#classifier;
    this.#inbound = plan.receive.map((receive) => inboundRing(receive));
    this.#buffer.thresholdBytes = plan.settings.storage.flush.thresholdBytes;
    this.#tellCarrier();
    Atomics.store(this.#state.words, AGENT.switchPlan, plan.number);
  }

  /** A descriptor outlives the thread that opened it: a switch that cannot start lets go of interface and port. */
  #orGiveBack<T>(open: () => T, socket: UdpSocket | null = null): T {
    try {
      return open();
    } catch (error) {
      socket?.close();
      this.#tun.close();
      throw error;
    }
  }

  #submit(type: TypeIndex, slot: number, sequence: number, frame: Uint8Array, enteredMs: number): boolean {
    const taken = this.#buffer.submit(type, slot, sequence, frame, enteredMs);
    if (taken) this.#submitted = true;
    else Atomics.store(this.#state.words, AGENT.roomWanted, 1);
    return taken;
  }

  #wantHead(): void {
    Atomics.store(this.#state.words, AGENT.headWanted, 1);
    this.#state.wake(AGENT.flushWake);
  }

  #preparePoll(): void {
    const view = new DataView(this.#polls.buffer, this.#polls.byteOffset, 32);
    const descriptors = [
      this.#tun.descriptor,
      this.#context.bellFd,
      this.#edge?.socket.fd ?? -1,
      this.#carrier?.fd ?? -1,
    ];
    descriptors.forEach((fd, i) => {
      view.setInt32(i * 8, fd, true);
      view.setInt16(i * 8 + 4, POLLIN, true);
    });
  }

  #ready(index: number): boolean {
    return this.#polls[index * 8 + 6] !== 0;
  }

  run(): void {
    let waitMs = 0;
    while (!this.#state.stopping) {
      // A frame that waits for its lane keeps the interface from being read, not the rest from going on.
      this.#polls[4] = this.#waiting === null ? POLLIN : 0;
      if (this.#edge) this.#polls[20] = this.#edge.isBlocked ? POLLIN | POLLOUT : POLLIN;
      sys.poll(this.#polls, 4, Math.ceil(waitMs));
      const nowMs = systemClock.monotonicMs();
      Atomics.add(this.#state.words, AGENT.switchBeat, 1);
      this.#dropAfterStandstill(nowMs);
      if (this.#ready(1)) this.#onBell(nowMs);
      if (this.#ready(3)) this.#tellCarrier();
      this.#buffer.isRound = true;
      let more = this.#takeInbound(nowMs);
      if (this.#edge && this.#ready(2)) {
        this.#edge.unblock();
        more = this.#edge.receive(nowMs) || more;
      }
      more = this.#takeMessages(nowMs) || more;
      more = this.#takeFrames(nowMs) || more;
      waitMs = this.#core.round(nowMs);
      this.#bypass?.round(nowMs);
      if (this.#submitted) this.#buffer.endRound();
      this.#submitted = false;
      this.#tellDrained(more);
      if (more) waitMs = 0;
      if (this.#waiting !== null || this.#programs.isWaiting) waitMs = Math.min(waitMs, 1);
    }
    this.#tun.close();
    this.#edge?.socket.close();
    this.#bypass?.close();
  }

  /** Who ends the agent waits for this: the interface is empty, and so are the lanes. */
  #tellDrained(more: boolean): void {
    const { words } = this.#state;
    const isBusy = more || this.#waiting !== null || this.#programs.isWaiting || this.#ready(0);
    if (isBusy || Atomics.load(words, AGENT.drain) === 0) return;
    if (this.#core.isDrained) Atomics.store(words, AGENT.drained, 1);
  }

  /**
   * [AGE1] After a standstill (SIGSTOP, a starved host) the interface's queue may hold packets of any age, and nothing
   * tells which: those that were there are thrown away. After a short one they are sent, as old as it lasted.
   */
  #dropAfterStandstill(nowMs: number): void {
    const standstillMs = this.#core.standstillMs(nowMs);
    this.#core.entry.roundBegins(standstillMs, nowMs);
    if (standstillMs <= this.#context.settings.storage.maxAgeMs) return;
    let dropped = this.#waiting === null ? 0 : 1;
    this.#waiting = null;
    for (let i = 0; i < 100_000 && this.#tun.read(this.#frame) > 0; i++) dropped++;
    this.#core.entry.queueEmpty();
    this.#core.countStale(dropped);
  }

  #takeFrames(nowMs: number): boolean {
    if (this.#waiting !== null) {
      if (!this.#core.frame(this.#waiting, nowMs)) return false;
      this.#waiting = null;
    } else if (!this.#ready(0)) {
      this.#core.entry.queueEmpty();
      return false;
    }
    for (let i = 0; i < FRAMES_PER_ROUND; i++) {
      const into = this.#core.place(FRAME_BYTES_MAX) ?? this.#frame;
      const length = this.#tun.read(into);
      if (length === 0) {
        this.#core.entry.queueEmpty();
        return false;
      }
      if (length < 0) throw new Error(`the interface ${this.#tun.name} is gone`);
      const frame = into.subarray(0, length);
      if (!this.#core.frame(frame, nowMs)) {
        this.#waiting = frame;
        return false;
      }
    }
    return true;
  }

  /** Programs' messages go into the lanes between frames, as frames do. */
  #takeMessages(nowMs: number): boolean {
    return this.#programs.pump(nowMs, (peer, type, frame, enteredMs) => {
      const link = this.#core.at(peer);
      this.#keepWaiting();
      return link === undefined || link.send(type, frame, nowMs, enteredMs);
    });
  }

  /** A frame that waits may lie where its lane keeps the next one, which would be written over it. */
  #keepWaiting(): void {
    const waiting = this.#waiting;
    if (waiting === null || waiting.buffer === this.#frame.buffer) return;
    this.#frame.set(waiting);
    this.#waiting = this.#frame.subarray(0, waiting.length);
  }

  #takeInbound(nowMs: number): boolean {
    let taken = 0;
    for (const ring of this.#inbound) {
      while (taken < INBOUND_PER_ROUND && ring.peek(this.#record)) {
        const { offset, length, a, b, time } = this.#record;
        const [peer, type] = [inboundPeer(b), inboundType(b)];
        const link = this.#core.at(peer);
        const bytes = ring.bytes.subarray(offset, offset + length);
        if (type === HEAD_RECORD) {
          // One that was read of the seat's last holder says nothing about this one.
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

  #tellCarrier(): void {
    if (!this.#carrier) return;
    if (this.#carrier.poll() && this.#carrier.up) this.#bypass?.linkIsBack();
    for (const link of this.#core.links) link.judge.carrier(this.#carrier.up);
    this.#core.hurry();
  }

  #onBell(nowMs: number): void {
    sys.read(this.#context.bellFd, this.#bell, 8);
    Atomics.store(this.#state.words, AGENT.roomWanted, 0);
    const plan = newerPlan(parentPort, this.#state.words, this.#context.number);
    if (plan) this.#apply(plan, nowMs);
    for (let got = receiveMessageOnPort(this.#context.commandPort); got;) {
      this.#command(got.message as SwitchCommand, nowMs);
      got = receiveMessageOnPort(this.#context.commandPort);
    }
  }

  #command(command: SwitchCommand, nowMs: number): void {
    if (command.command === 'path') {
      const link = this.#core.at(command.seat);
      if (link) link.judge.override = command.override;
    }
    const answer = snapshot(this.#core, this.#edge, this.#carrier, this.#state, this.#buffer, this.#bypass, nowMs);
    this.#context.commandPort.postMessage({ id: command.id, snapshot: answer });
  }
}

tuneThread('sb-switch', THREAD_NICE);
new Switch().run();
