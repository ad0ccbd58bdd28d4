/**
 * The one file that joins the parts: order of start, supervision, order of stop. It decides nothing about packets.
 *
 * Start: volumes, interface, memory, switch, flush, readers. Stop: the reverse, with the closing head block last.
 * A flush or reader thread that dies is started again and goes on from shared memory. The switch thread's state is its
 * own: when it dies the process ends with its own exit status, and the persistent interface waits for the next one.
 */
import { randomBytes } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads';
import { removeInterface, setUpInterface } from '../vnic/interface-linux.ts';
import { sameBytes } from './base/bytes.ts';
import { AgentError } from './base/errors.ts';
import { type CopyEvent, Copying } from './copy/copying.ts';
import { firstCopies } from './copy/first-copies.ts';
import { type ReadBy, copyAndRead } from './copy/read-by.ts';
import { bypassPlan, removeBypass, setUpBypass } from './bypass/bypass.ts';
import type { Override } from './base/paths.ts';
import { Gate, GATE_WORDS } from './core/gate.ts';
import type { CoreEvent } from './core/ports.ts';
import { FreedPlaces } from './freed-places.ts';
import type { MirrorWrite } from './flush/mirrored-disk.ts';
import { Gateway, type GatewayEvent, type GatewayStatus } from './gateway/gateway.ts';
import { MessageExchange } from './messages/exchange.ts';
import { type KeyEvent, KeyWatch } from './key-watch.ts';
import { interfaceMtu, interfaceOf } from './platform/interface-mtu.ts';
import { tuneEngine } from './platform/engine.ts';
import { sys } from './platform/native.ts';
import { systemClock } from './platform/clock.ts';
import { NO_PLAN, nextPlan, seatChange, type SeatChange } from './plan.ts';
import { SharedKeys } from './queue/shared-keys.ts';
import type { ReaderWords } from './queue/reader-words.ts';
import { AGENT, clearReader, clearSeat, PEER, type PeerWords, type SharedState } from './queue/shared-state.ts';
import { restartKeys } from './settings/change.ts';
import { readKeyFile } from './settings/key.ts';
import type { Settings } from './settings/settings.ts';
import { Supervisor, type SupervisorEvent } from './supervisor.ts';
import { SwitchCommands } from './switch/commands.ts';
import type { SwitchSnapshot } from './switch/snapshot.ts';
import { allocate, sharedState, type ReadPeer, type ReceiveFacts, type ThreadContext } from './threads.ts';
import { initialiseState } from './volume/slot-start.ts';
import type { Keys } from './volume-keys.ts';
import { examineSend, nodeNumber, openVolumes, type OpenedVolumes, type SeenVolumes } from './volumes.ts';

const EFD_NONBLOCK_CLOEXEC = 0o4000 | 0o2000000;
const TX_QUEUE_LENGTH = 4000;
const CLOSE_MS_MAX = 2000;
/** What was handed to the interface before the end is sent, and confirmed where a peer can; no end waits longer. */
const DRAIN_MS_MAX = 1000;
const DRAIN_LOOK_MS = 5;
const READY_MS_MAX = 10_000;
/** Threads take a plan over within a round; one that hangs in its storage is not waited for. */
const PLAN_MS_MAX = 2000;

/** A volume that this node reads. */
export interface ReceiveVolume {
  readonly path: string;
  /** Names of the peers that write there. */
  readonly peers: readonly string[];
  readonly words: ReaderWords;
}

export type AgentEvent = CoreEvent | SupervisorEvent | KeyEvent | GatewayEvent | CopyEvent;

/** What a start tells, and asks, before there is an agent. */
export interface Starting {
  readonly tell: (event: CopyEvent) => void;
  /** False: the program ends, and nothing is waited for any more. */
  readonly isWanted: () => boolean;
}

const workerUrl = (name: string): URL => new URL(`./${name}/worker.js`, import.meta.url);

export class Agent extends EventEmitter<{ event: [AgentEvent]; fatal: [AgentError] }> {
  readonly volumes: OpenedVolumes;
  readonly state: SharedState;
  readonly incarnation: Uint8Array;
  /** The way of programs' messages to and from the switch. */
  readonly messages: MessageExchange;
  #context: ThreadContext;
  readonly #keys: SharedKeys;
  readonly #keyWatch: KeyWatch;
  readonly #supervisor: Supervisor;
  readonly #commands: SwitchCommands;
  readonly #tunFd: number;
  readonly #freed: FreedPlaces;
  readonly #copying: Copying;
  /** The way to the outside through a peer; null where the settings ask for none. */
  #gateway: Gateway | null;
  #closed = false;

  private constructor(
    context: ThreadContext,
    volumes: OpenedVolumes,
    copying: Copying,
    commandPort: MessagePort,
    supervisor: Supervisor,
    tunFd: number,
    isNew: boolean,
  ) {
    super();
    this.#tunFd = tunFd;
    this.volumes = volumes;
    this.#copying = copying;
    this.incarnation = context.incarnation;
    this.#context = context;
    this.#keys = new SharedKeys(context.memory.keys);
    this.#commands = new SwitchCommands(commandPort, () => this.#bell());
    this.#supervisor = supervisor;
    this.state = supervisor.state;
    this.#freed = new FreedPlaces(this.state);
    this.messages = new MessageExchange(context.memory.messages, () => this.#bell());
    this.messages.hear(context.receive.map(({ messages }) => messages));
    Atomics.store(this.state.words, AGENT.plan, context.number);
    supervisor.supervise({ thread: 'flush' }, () => this.#startFlush());
    this.#keyWatch = new KeyWatch(
      this.state,
      () => this.#context.seats,
      (event) => this.emit('event', event),
    );
    for (const receive of context.receive) this.#startReader(receive);
    supervisor.on('event', (event) => this.emit('event', event));
    supervisor.on('fatal', (error) => this.emit('fatal', error));
    void copying.died.then((error) => this.emit('fatal', error));
    this.#gateway = this.#openGateway(isNew);
  }

  get settings(): Settings {
    return this.#context.settings;
  }

  get gateway(): GatewayStatus | null {
    return this.#gateway?.status ?? null;
  }

  #openGateway(isNew: boolean): Gateway | null {
    const { settings, seats } = this.#context;
    return Gateway.open(settings, seats, this.state, isNew, (event) => this.emit('event', event));
  }

  /** Without a gateway where the host refuses it; the next change of the settings tries again. */
  #exchangeGateway(): void {
    const former = this.#gateway;
    this.#gateway = null;
    this.#tryGateway(() => former?.close());
    this.#tryGateway(() => (this.#gateway = this.#openGateway(former === null)));
  }

  /** A host that refuses `ip` or `nft` must not keep the agent from the rest of what it does. */
  #tryGateway(act: () => void): void {
    try {
      act();
    } catch (error) {
      this.emit('event', { kind: 'gateway-failed', reason: error instanceof Error ? error.message : String(error) });
    }
  }

  /** Starts everything; what was started is stopped again when a later part fails. */
  static async start(settings: Settings, starting: Starting): Promise<Agent> {
    const keys = settings.keyFile === null ? null : readKeyFile(settings.keyFile);
    const memory = allocate();
    tuneEngine();
    const copying = await Copying.open(settings, examineSend(settings), memory.copy, starting.tell);
    let volumes: OpenedVolumes;
    try {
      await firstCopies(settings, { ...starting, hasCopyOf: (peer) => copying.hasCopyOf(peer) });
      volumes = await openVolumes(settings, keys);
    } catch (error) {
      await copying.close();
      throw error;
    }
    return Agent.#start(settings, volumes, copying, memory, keys);
  }

  static async #start(
    settings: Settings,
    volumes: OpenedVolumes,
    copying: Copying,
    memory: ThreadContext['memory'],
    keys: Keys,
  ): Promise<Agent> {
    let supervisor: Supervisor | undefined;
    let isNew = false;
    try {
      const { name, addresses, mtu } = settings.vnic;
      isNew = setUpInterface({ name, addresses, mtu, txQueueLength: TX_QUEUE_LENGTH });
      setUpBypass(settings);
      const context = makeContext(settings, volumes, memory, keys);
      initialiseState(new Float64Array(context.memory.writer), volumes.start);
      copying.begin(volumes.start.position);
      supervisor = new Supervisor(sharedState(context), settings.storage);
      const commands = new MessageChannel();
      const tunFd = await startSwitch(supervisor, context, commands.port2);
      return new Agent(context, volumes, copying, commands.port1, supervisor, tunFd, isNew);
    } catch (error) {
      await supervisor?.stop(0);
      await copying.close();
      volumes.lock.close();
      removeQuietly(settings);
      if (isNew) removeInterface(settings.vnic.name);
      throw error;
    }
  }

  /** The keys in use: the first seals. None: unauthenticated. */
  get keys(): readonly Uint8Array[] {
    return this.#keys.read();
  }

  /** Where the peer of this name sits; -1: nowhere. */
  seatOf(node: string): number {
    return this.#context.seats.find(({ peer }) => peer.node === node)?.seat ?? -1;
  }

  /** Other keys from now on; what is sealed says with which. The head block says so at once. */
  #useKeys(keys: readonly Uint8Array[]): void {
    const isSame = Buffer.compare(Buffer.concat(this.keys), Buffer.concat(keys)) === 0;
    if (isSame) return;
    this.#keys.put(keys);
    Atomics.store(this.state.words, AGENT.headWanted, 1);
    this.state.wake(AGENT.flushWake);
  }

  /** Whether the threads do their work: what systemd's watchdog is told. */
  get isMoving(): boolean {
    return this.#supervisor.isMoving;
  }

  /** What the switch thread knows now. Rejects when it does not answer in time: it hangs. */
  async snapshot(): Promise<SwitchSnapshot> {
    return this.#commands.snapshot();
  }

  /** How the send volume becomes the peers' receive volume, for the status document. */
  get copy(): Readonly<Record<string, unknown>> {
    return this.#copying.document;
  }

  /**
   * Until a ring position (null: all that is written now) is on the copy, and read by the peers that read here or by the
   * one that is named. Throws an AgentError that tells the miss.
   */
  async copyNow(position: number | null, peer: string | null, deadlineMs: number): Promise<ReadBy> {
    return copyAndRead(this.#copying, this.state, this.#context.seats, { position, peer, deadlineMs });
  }

  /** An operator's override for one peer, by its place in the settings. */
  async setPath(peer: number, override: Override): Promise<SwitchSnapshot> {
    return this.#commands.setPath(this.#context.seats[peer]?.seat ?? -1, override);
  }

  /** What of these settings this agent cannot take over while it runs; empty when it can. */
  restartReasons(settings: Settings, keys: Keys, seen: SeenVolumes): string[] {
    const { send } = this.#context;
    const reasons = restartKeys(this.settings, settings);
    if ((keys === null) !== (this.keys.length === 0)) reasons.push('the key');
    const isSame =
      sameBytes(send.clusterUuid, 0, seen.send.clusterUuid, 0, 16) && send.ownTenant === seen.send.ownTenant;
    if (!isSame) reasons.push('the send volume, which was formatted anew');
    else if (send.device !== seen.send.device) reasons.push('the send volume, which is another device now');
    return reasons;
  }

  /**
   * Takes other settings over without a new incarnation. Throws, and changes nothing, when there is no seat for a peer.
   * Answers who came and went, and whether all threads have it: one that hangs in its storage has it when that answers.
   */
  async takeOver(
    settings: Settings,
    keys: Keys,
    seen: SeenVolumes,
  ): Promise<SeatChange & { readonly isComplete: boolean }> {
    const former = this.#context;
    const busy = this.#freed.busy(former.receive.map(({ reader }) => reader));
    const plan = { ...nextPlan(former, settings, seen, busy), bypass: bypassPlan(settings) };
    // May throw, so before anything changes.
    if (plan.bypass) setUpBypass(settings);
    this.#useKeys(keys ?? []);
    const change = seatChange(former.seats, plan.seats);
    for (const { seat } of change.come) clearSeat(this.state.peers[seat] as PeerWords);
    this.#context = { ...former, ...plan };
    this.messages.hear(plan.receive.map(({ messages }) => messages));
    const isRead =
      (wanted: number) =>
      ({ reader }: ReceiveFacts) =>
        reader === wanted;
    const readers = former.receive.map(({ reader }) => reader).filter((reader) => !plan.receive.some(isRead(reader)));
    this.#freed.add({ plan: plan.number, seats: change.gone.map(({ seat }) => seat), readers });
    for (const receive of plan.receive) if (!former.receive.some(isRead(receive.reader))) this.#startReader(receive);
    this.#supervisor.post({ plan });
    const { words } = this.state;
    Atomics.store(words, AGENT.plan, plan.number);
    this.state.wake(AGENT.flushWake);
    this.state.wake(AGENT.readerWake);
    this.#bell();
    if (this.#gateway?.keeps(settings, plan.seats) !== true) this.#exchangeGateway();
    const watched = [...new Set([...plan.receive.map(({ reader }) => reader), ...readers])];
    const isComplete = () => this.#freed.newestOfAll(watched) >= plan.number;
    for (let waitedMs = 0; waitedMs < PLAN_MS_MAX && !isComplete(); waitedMs += 2) await delay(2);
    return { ...change, isComplete: isComplete() };
  }

  /** The volumes that peers are read from: their readers' words, and who writes there. */
  get receiveVolumes(): readonly ReceiveVolume[] {
    const { receive, seats } = this.#context;
    return receive.map(({ reader, volume, peers }) => ({
      path: volume.path,
      peers: seats.filter(({ seat }) => peers.some((peer) => peer.seat === seat)).map(({ peer }) => peer.node),
      words: this.state.reader(reader),
    }));
  }

  #startFlush(): Worker {
    const worker = new Worker(workerUrl('flush'), { workerData: this.#context });
    worker.on('message', ({ mirrorWrite }: { readonly mirrorWrite?: MirrorWrite }) => {
      if (mirrorWrite) this.#copying.write(mirrorWrite);
    });
    return worker;
  }

  #startReader({ reader, volume }: ReceiveFacts): void {
    const peersOf = (isOurs: boolean) =>
      this.#context.receive.filter((receive) => (receive.reader === reader) === isOurs).flatMap(({ peers }) => peers);
    const isWanted = () => this.#context.receive.some((receive) => receive.reader === reader);
    // Those of its last start too: it may have died before it knew that one was gone.
    let given: readonly ReadPeer[] = [];
    clearReader(this.state, reader);
    this.#supervisor.supervise(
      { thread: 'reader', reader, volume: volume.path },
      (isRestart) => {
        const others = new Set(peersOf(false).map(({ seat }) => seat));
        if (isRestart)
          breakLocks(
            this.state,
            [...given, ...peersOf(true)].filter(({ seat }) => !others.has(seat)),
          );
        given = peersOf(true);
        return new Worker(workerUrl('reader'), { workerData: { ...this.#context, reader, tunFd: this.#tunFd } });
      },
      isWanted,
    );
  }

  #bell(): void {
    sys.write(this.#context.bellFd, new Uint8Array(new BigUint64Array([1n]).buffer), 8);
  }

  /**
   * Ends in order: what is buffered is sent and written, the head says "stopped". `keepInterface` for a restart in place;
   * `drain` false when there is something wrong with the agent. Answers false when a thread did not end: it hangs in the
   * kernel, and this process may start no other agent.
   */
  async close(keepInterface = false, drain = true): Promise<boolean> {
    if (this.#closed) return true;
    this.#closed = true;
    this.#tryGateway(() => this.#gateway?.close());
    this.#keyWatch.close();
    const { words } = this.state;
    if (drain) await this.#drain();
    Atomics.store(words, AGENT.stop, 1);
    this.state.wake(AGENT.flushWake);
    this.state.wake(AGENT.readerWake);
    this.#bell();
    const ended = await this.#supervisor.stop(CLOSE_MS_MAX);
    await this.#copying.close();
    this.#commands.close();
    this.messages.close();
    this.volumes.lock.close();
    sys.close(this.#context.bellFd);
    if (!keepInterface) {
      if (this.settings.primary.mode === 'route') removeBypass(this.settings);
      removeInterface(this.settings.vnic.name);
    }
    return ended;
  }

  async #drain(): Promise<void> {
    const { words } = this.state;
    const deadlineMs = systemClock.monotonicMs() + DRAIN_MS_MAX;
    Atomics.store(words, AGENT.drain, 1);
    this.#bell();
    while (Atomics.load(words, AGENT.drained) === 0 && systemClock.monotonicMs() < deadlineMs)
      await delay(DRAIN_LOOK_MS);
  }
}

/** After a failure that is told already. */
function removeQuietly(settings: Settings): void {
  try {
    removeBypass(settings);
  } catch {
    // What could not be set up cannot be removed either.
  }
}

function makeContext(
  settings: Settings,
  volumes: OpenedVolumes,
  memory: ThreadContext['memory'],
  keys: Keys,
): ThreadContext {
  new SharedKeys(memory.keys).put(keys ?? []);
  return {
    ...nextPlan(NO_PLAN, settings, volumes),
    bypass: bypassPlan(settings),
    incarnation: new Uint8Array(randomBytes(16)),
    beganMs: systemClock.monotonicMs(),
    hostId: volumes.hostId,
    send: volumes.send,
    nodeNumber: nodeNumber(settings.node),
    bellFd: sys.eventfd(0, EFD_NONBLOCK_CLOEXEC),
    memory,
  };
}

/** Answers the interface's descriptor, for the readers. */
async function startSwitch(supervisor: Supervisor, context: ThreadContext, commandPort: MessagePort): Promise<number> {
  const { listen, interface: name } = context.settings.primary;
  const primary = name ?? (listen && interfaceOf(listen.host));
  const mtu = primary ? interfaceMtu(primary) : 1500;
  const theSwitch = new Worker(workerUrl('switch'), {
    workerData: { ...context, commandPort, mtu },
    transferList: [commandPort],
  });
  return supervisor.superviseSwitch(theSwitch, READY_MS_MAX);
}

/** A reader that died inside a delivery gate would keep it locked for ever. Other readers' gates may be in use. */
function breakLocks(state: SharedState, peers: readonly ReadPeer[]): void {
  for (const { seat } of peers) {
    const words = state.peers[seat]?.words;
    if (!words) continue;
    for (let type = 0; type < 4; type++) new Gate(words, PEER.gates + type * GATE_WORDS).breakLock();
  }
}

/** Milliseconds since 1970 of a moment on the monotonic clock. */
export const wallOf = (monotonicMs: number): number => systemClock.wallMs() - (systemClock.monotonicMs() - monotonicMs);
