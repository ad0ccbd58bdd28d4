/**
 * The switch thread: sleeps in poll on the interface, the tunnel's socket, the kernel's link announcements and its bell,
 * and drives the core. Commands of `main` come by a port that is looked at when the bell rings.
 */
import { parentPort, receiveMessageOnPort, workerData, type MessagePort } from 'node:worker_threads';
import { attachTun, type TunDevice } from '../../vnic/tun-linux.ts';
import { NodeCore } from '../core/node-core.ts';
import type { CoreEvent } from '../core/ports.ts';
import { MessageIntake } from '../messages/intake.ts';
import { MessageOutlet } from '../messages/memory.ts';
import { systemClock } from '../platform/clock.ts';
import { LinkWatch } from '../platform/link-watch.ts';
import { alignedMemory } from '../platform/memory.ts';
import { POLLIN, POLLOUT, sys, tuneThread } from '../platform/native.ts';
import { UdpSocket } from '../platform/udp-socket.ts';
import { AGENT, type SharedState } from '../queue/shared-state.ts';
import type { WriteBuffer } from '../queue/write-buffer.ts';
import {
  newerPlan,
  sharedState,
  THREAD_NICE,
  writeBuffer,
  type Plan,
  type Seat,
  type ThreadContext,
} from '../threads.ts';
import { seatChange } from '../plan.ts';
import { isProgramFrame } from '../wire/program-message.ts';
import { BypassEdge } from './bypass-edge.ts';
import { BufferEdge } from './buffer-edge.ts';
import type { SwitchAnswer, SwitchCommand } from './commands.ts';
import { FrameIntake } from './frame-intake.ts';
import { InboundIntake } from './inbound-intake.ts';
import { linkSettingsOf } from './link-settings.ts';
import { snapshot } from './snapshot.ts';
import { TunnelEdge } from './tunnel-edge.ts';
import { coreSettings, makeClassifier } from './wiring.ts';

export interface SwitchData extends ThreadContext {
  readonly commandPort: MessagePort;
  readonly mtu: number;
}

class Switch {
  #context = workerData as SwitchData;
  readonly #state: SharedState = sharedState(this.#context);
  readonly #buffer: WriteBuffer = writeBuffer(this.#context, this.#state);
  readonly #toFlush = new BufferEdge(this.#buffer, this.#state);
  readonly #tun: TunDevice = attachTun(this.#context.settings.vnic.name);
  readonly #core: NodeCore;
  readonly #inbound: InboundIntake;
  readonly #frames: FrameIntake;
  readonly #edge: TunnelEdge | null;
  readonly #carrier: LinkWatch | null;
  readonly #bypass: BypassEdge | null;
  readonly #polls = new Uint8Array(alignedMemory(64)).subarray(0, 32);
  readonly #programs: MessageIntake = new MessageIntake(this.#context.memory.messages);
  readonly #toPrograms = new MessageOutlet(
    this.#context.memory.messages.fromSwitch,
    this.#context.memory.messages.words,
  );
  readonly #bell = new Uint8Array(8);
  #classifier = makeClassifier(this.#context, null);

  constructor() {
    const { settings, incarnation } = this.#context;
    const now = systemClock.monotonicMs();
    this.#core = new NodeCore(
      coreSettings(this.#context),
      this.#classifier,
      incarnation,
      this.#state,
      {
        submit: (...packet) => this.#toFlush.submit(...packet),
        deliver: (frame, bornMs) =>
          isProgramFrame(frame) ? this.#toPrograms.deliver(frame, bornMs) : this.#tun.write(frame),
        event: (event: CoreEvent) => parentPort?.postMessage({ event }),
        wantHead: () => this.#toFlush.wantHead(),
      },
      now,
    );
    this.#inbound = new InboundIntake(this.#context, this.#core);
    this.#frames = new FrameIntake(this.#tun, this.#core, settings.storage.maxAgeMs);
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
    this.#inbound.apply(this.#context);
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
      this.#polls[4] = this.#frames.isWaiting ? 0 : POLLIN;
      if (this.#edge) this.#polls[20] = this.#edge.isBlocked ? POLLIN | POLLOUT : POLLIN;
      sys.poll(this.#polls, 4, Math.ceil(waitMs));
      const nowMs = systemClock.monotonicMs();
      Atomics.add(this.#state.words, AGENT.switchBeat, 1);
      this.#frames.beginRound(nowMs);
      if (this.#ready(1)) this.#onBell(nowMs);
      if (this.#ready(3)) this.#tellCarrier();
      this.#toFlush.beginRound();
      let more = this.#inbound.take(nowMs);
      if (this.#edge && this.#ready(2)) {
        this.#edge.unblock();
        more = this.#edge.receive(nowMs) || more;
      }
      more = this.#takeMessages(nowMs) || more;
      more = this.#frames.take(this.#ready(0), nowMs) || more;
      waitMs = this.#core.round(nowMs);
      this.#bypass?.round(nowMs);
      this.#toFlush.endRound();
      this.#tellDrained(more);
      if (more) waitMs = 0;
      if (this.#frames.isWaiting || this.#programs.isWaiting) waitMs = Math.min(waitMs, 1);
    }
    this.#tun.close();
    this.#edge?.socket.close();
    this.#bypass?.close();
  }

  /** Who ends the agent waits for this: the interface is empty, and so are the lanes. */
  #tellDrained(more: boolean): void {
    const { words } = this.#state;
    const isBusy = more || this.#frames.isWaiting || this.#programs.isWaiting || this.#ready(0);
    if (isBusy || Atomics.load(words, AGENT.drain) === 0) return;
    if (this.#core.isDrained) Atomics.store(words, AGENT.drained, 1);
  }

  /** Programs' messages go into the lanes between frames, as frames do. */
  #takeMessages(nowMs: number): boolean {
    return this.#programs.pump(nowMs, (peer, type, frame, enteredMs) => {
      const link = this.#core.at(peer);
      this.#frames.keepWaiting();
      return link === undefined || link.send(type, frame, nowMs, enteredMs);
    });
  }

  #tellCarrier(): void {
    if (!this.#carrier) return;
    if (this.#carrier.poll() && this.#carrier.up) this.#bypass?.linkIsBack();
    for (const link of this.#core.links) link.judge.carrier(this.#carrier.up);
    this.#core.hurry();
  }

  #onBell(nowMs: number): void {
    sys.read(this.#context.bellFd, this.#bell, 8);
    this.#toFlush.roomCame();
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
    const answer: SwitchAnswer = {
      id: command.id,
      snapshot: snapshot(this.#core, this.#edge, this.#carrier, this.#state, this.#buffer, this.#bypass, nowMs),
    };
    this.#context.commandPort.postMessage(answer);
  }
}

tuneThread('sb-switch', THREAD_NICE);
new Switch().run();
