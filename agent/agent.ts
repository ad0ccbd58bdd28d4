/**
 * The one file that joins the parts: order of start, supervision, order of stop. It decides nothing about packets.
 *
 * Start: volumes, interface, memory, switch, flush, readers. Stop: the reverse, with the closing head block last.
 * A flush or reader thread that dies is started again and goes on from shared memory. The switch thread's state is its
 * own: when it dies the process ends with its own exit status, and the persistent interface waits for the next one.
 */
import { randomBytes } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads';
import { removeInterface, setUpInterface } from '../vnic/interface-linux.ts';
import { AgentError } from './base/errors.ts';
import type { Override } from './base/paths.ts';
import { Gate, GATE_WORDS } from './core/gate.ts';
import type { CoreEvent } from './core/ports.ts';
import { Gateway, type GatewayEvent } from './gateway/gateway.ts';
import { interfaceMtu, interfaceOf } from './platform/interface-mtu.ts';
import { tuneEngine } from './platform/engine.ts';
import { sys } from './platform/native.ts';
import { systemClock } from './platform/clock.ts';
import { AGENT, PEER, type SharedState } from './queue/shared-state.ts';
import { readKeyFile } from './settings/key.ts';
import type { Settings } from './settings/settings.ts';
import { Supervisor, type SupervisorEvent } from './supervisor.ts';
import type { SwitchCommand } from './switch/worker.ts';
import type { SwitchSnapshot } from './switch/snapshot.ts';
import { allocate, sharedState, type ThreadContext } from './threads.ts';
import { initialiseState } from './volume/slot-start.ts';
import { nodeNumber, openVolumes, type OpenedVolumes } from './volumes.ts';

const EFD_NONBLOCK_CLOEXEC = 0o4000 | 0o2000000;
const TX_QUEUE_LENGTH = 4000;
const CLOSE_MS_MAX = 2000;
const READY_MS_MAX = 10_000;
const ANSWER_MS_MAX = 2000;

export type AgentEvent = CoreEvent | SupervisorEvent | GatewayEvent;

const workerUrl = (name: string): URL => new URL(`./${name}/worker.js`, import.meta.url);

export class Agent extends EventEmitter<{ event: [AgentEvent]; fatal: [AgentError] }> {
  readonly settings: Settings;
  readonly volumes: OpenedVolumes;
  readonly state: SharedState;
  readonly incarnation: Uint8Array;
  readonly #context: ThreadContext;
  readonly #supervisor: Supervisor;
  readonly #commandPort: MessagePort;
  readonly #answers = new Map<number, (snapshot: SwitchSnapshot) => void>();
  /** The way to the outside through a peer; null where the settings ask for none. */
  readonly gateway: Gateway | null;
  #nextAnswer = 1;
  #closed = false;

  private constructor(
    context: ThreadContext,
    volumes: OpenedVolumes,
    commandPort: MessagePort,
    supervisor: Supervisor,
    isNew: boolean,
  ) {
    super();
    this.settings = context.settings;
    this.volumes = volumes;
    this.incarnation = context.incarnation;
    this.#context = context;
    this.#commandPort = commandPort;
    this.#supervisor = supervisor;
    this.state = supervisor.state;
    commandPort.on('message', ({ id, snapshot }: { id: number; snapshot: SwitchSnapshot }) => {
      this.#answers.get(id)?.(snapshot);
      this.#answers.delete(id);
    });
    supervisor.on('event', (event) => this.emit('event', event));
    supervisor.on('fatal', (error) => this.emit('fatal', error));
    this.gateway = Gateway.open(context.settings, this.state, isNew, (event) => this.emit('event', event));
  }

  /** Starts everything; what was started is stopped again when a later part fails. */
  static async start(settings: Settings): Promise<Agent> {
    const clusterKey = settings.keyFile === null ? null : readKeyFile(settings.keyFile);
    const volumes = await openVolumes(settings, clusterKey);
    let supervisor: Supervisor | undefined;
    let isNew = false;
    tuneEngine();
    try {
      const { name, addresses, mtu } = settings.vnic;
      isNew = setUpInterface({ name, addresses, mtu, txQueueLength: TX_QUEUE_LENGTH });
      const context = makeContext(settings, volumes, clusterKey);
      initialiseState(new Float64Array(context.memory.writer), volumes.start);
      supervisor = new Supervisor(sharedState(context), settings.storage.writeDeadlineMs);
      const commands = new MessageChannel();
      await startThreads(supervisor, context, commands.port2);
      return new Agent(context, volumes, commands.port1, supervisor, isNew);
    } catch (error) {
      await supervisor?.stop(0);
      volumes.lock.close();
      if (isNew) removeInterface(settings.vnic.name);
      throw error;
    }
  }

  /** What the switch thread knows now. Rejects when it does not answer in time: it hangs. */
  async snapshot(): Promise<SwitchSnapshot> {
    return this.#ask({ command: 'snapshot', id: this.#nextAnswer++ });
  }

  /** An operator's override for one peer. */
  async setPath(peer: number, override: Override): Promise<SwitchSnapshot> {
    return this.#ask({ command: 'path', id: this.#nextAnswer++, peer, override });
  }

  async #ask(command: SwitchCommand): Promise<SwitchSnapshot> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#answers.delete(command.id);
        reject(new AgentError('failed', `the switch thread does not answer within ${ANSWER_MS_MAX} ms`));
      }, ANSWER_MS_MAX);
      this.#answers.set(command.id, (snapshot) => {
        clearTimeout(timer);
        resolve(snapshot);
      });
      this.#commandPort.postMessage(command);
      this.#bell();
    });
  }

  #bell(): void {
    sys.write(this.#context.bellFd, new Uint8Array(new BigUint64Array([1n]).buffer), 8);
  }

  /**
   * Ends in order: what is buffered is written, the head says "stopped". `keepInterface` for a restart in place. Answers
   * false when a thread did not end: it hangs in the kernel, and this process may start no other agent.
   */
  async close(keepInterface = false): Promise<boolean> {
    if (this.#closed) return true;
    this.#closed = true;
    this.gateway?.close();
    const { words } = this.state;
    Atomics.store(words, AGENT.stop, 1);
    this.state.wake(AGENT.flushWake);
    this.state.wake(AGENT.readerWake);
    this.#bell();
    const ended = await this.#supervisor.stop(CLOSE_MS_MAX);
    this.#commandPort.close();
    this.volumes.lock.close();
    sys.close(this.#context.bellFd);
    if (!keepInterface) removeInterface(this.settings.vnic.name);
    return ended;
  }
}

function makeContext(settings: Settings, volumes: OpenedVolumes, clusterKey: Uint8Array | null): ThreadContext {
  return {
    settings,
    incarnation: new Uint8Array(randomBytes(16)),
    hostId: volumes.hostId,
    keyId: volumes.keyId,
    clusterKey,
    send: volumes.send,
    receive: volumes.receive,
    peerSlots: volumes.peerSlots,
    nodeNumbers: [settings.node, ...settings.peers.map(({ node }) => node)].map(nodeNumber),
    bellFd: sys.eventfd(0, EFD_NONBLOCK_CLOEXEC),
    memory: allocate(settings.peers.length, volumes.receive.length),
  };
}

async function startThreads(supervisor: Supervisor, context: ThreadContext, commandPort: MessagePort): Promise<void> {
  const { listen, interface: name } = context.settings.primary;
  const primary = name ?? (listen && interfaceOf(listen.host));
  const mtu = primary ? interfaceMtu(primary) : 1500;
  const theSwitch = new Worker(workerUrl('switch'), {
    workerData: { ...context, commandPort, mtu },
    transferList: [commandPort],
  });
  const tunFd = await supervisor.superviseSwitch(theSwitch, READY_MS_MAX);
  supervisor.supervise('flush', () => new Worker(workerUrl('flush'), { workerData: context }));
  context.receive.forEach((_, receiveIndex) => {
    supervisor.supervise('reader', (isRestart) => {
      if (isRestart) breakLocks(sharedState(context));
      return new Worker(workerUrl('reader'), { workerData: { ...context, receiveIndex, tunFd } });
    });
  });
}

/** A reader that died inside a delivery gate would keep it locked for ever. */
function breakLocks(state: SharedState): void {
  for (const { words } of state.peers) {
    for (let type = 0; type < 4; type++) new Gate(words, PEER.gates + type * GATE_WORDS).breakLock();
  }
}

/** Milliseconds since 1970 of a moment on the monotonic clock. */
export const wallOf = (monotonicMs: number): number => systemClock.wallMs() - (systemClock.monotonicMs() - monotonicMs);
