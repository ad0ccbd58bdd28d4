/**
 * One node: an agent's three threads, made of the production parts and joined as the workers join them, on simulated
 * edges. A node outlives its agents: `crash` ends one, `start` begins the next incarnation on what the volume says.
 */
import { MemoryDevice } from '../../vnic/memory-device.ts';
import { BULK } from '../../agent/base/packet-type.ts';
import type { TypeRule } from '../../agent/settings/settings.ts';
import { FlushLoop } from '../../agent/flush/flush-loop.ts';
import { ReaderLoop } from '../../agent/reader/reader-loop.ts';
import { AGENT, AGENT_TIME } from '../../agent/queue/shared-state.ts';
import {
  allocate,
  inboundRing,
  sharedState,
  volumeSeals,
  writeBuffer,
  type ThreadContext,
} from '../../agent/threads.ts';
import { BATCH_BYTES_MAX, SLOTS_OFFSET } from '../../agent/volume/layout.ts';
import { READER_MEMORY_BYTES } from '../../agent/volume/slot-reader.ts';
import { findStart, initialiseState, SlotWriter } from '../../agent/volume/slot-writer.ts';
import { HEAD_RECORD, inboundWord } from '../../agent/queue/inbound.ts';
import type { Ring } from '../../agent/queue/ring.ts';
import { keyId } from '../../agent/wire/keys.ts';
import type { NodeDisk } from './disk.ts';
import { other, type Network, type NodeIndex } from './network.ts';
import { ADDRESSES, CLUSTER_KEY, CLUSTER_UUID, NODE_NAMES, NODE_NUMBERS, PROBE, type SimSettings } from './settings.ts';
import { SwitchThread } from './switch-thread.ts';
import { Actor, type World } from './world.ts';

/** What the checkers are told. */
export interface Observer {
  /** The agent took a frame from the interface. */
  entered(node: NodeIndex, frame: Uint8Array): void;
  /** A lane was full for too long, or the interface was thrown away after a standstill: the newest frame goes. */
  dropped(node: NodeIndex, frame: Uint8Array): void;
  delivered(node: NodeIndex, frame: Uint8Array, way: 'switch' | 'reader'): void;
  /** A write begins: the bytes as they were sealed. */
  written(node: NodeIndex, bytes: Uint8Array): void;
  started(node: NodeIndex): void;
  /** A message of the accepted incarnation was opened and taken. */
  heard(node: NodeIndex, incarnation: Uint8Array, counter: number): void;
  /** The agent says that somebody else writes its slot. */
  slotTaken(node: NodeIndex): void;
}

const BULK_RULES: readonly TypeRule[] = [{ type: BULK, protocol: 'udp', port: [873, 873] }];
const INTERFACE_FRAMES = 500;
const SLEEP_MS_MAX = 100;
const PATIENCE_MS = 500;
/** A reader that sees an unchanged volume would see nothing: these polls are passed over, up to this long. */
const SKIP_MS_MAX = 45;
const SKIP_STEP_MS = 1;

/** One agent: all that a crash takes away. */
class Agent {
  readonly context: ThreadContext;
  readonly switchThread: SwitchThread;
  readonly actors: readonly [theSwitch: Actor, flush: Actor, reader: Actor];
  readonly #node: Node;
  readonly #flushLoop: FlushLoop;
  readonly #readerLoop: ReaderLoop;
  readonly #words: Int32Array;
  #flushSeen = 0;
  #readerSeen = 0;
  /** The end of the write under way. */
  #writing: { endMs: number; result: number } | null = null;
  #readFromMs = -1;
  #seenVersion = 0;
  #seenMs = -Infinity;
  #lastPauseMs = 0;

  constructor(node: Node, incarnation: Uint8Array) {
    this.#node = node;
    const { world } = node;
    this.context = makeContext(node, incarnation);
    const state = sharedState(this.context);
    this.#words = state.words;
    this.#flushLoop = this.#makeFlushLoop();
    this.switchThread = new SwitchThread(this.context, node, () => this.#afterRound());
    this.#readerLoop = this.#makeReaderLoop();
    const isHeld = () => node.isFrozen;
    this.actors = [
      new Actor(world, () => this.#switchRound(), isHeld),
      new Actor(world, () => this.#flushRound(), isHeld),
      new Actor(world, () => this.#readerRound(), isHeld),
    ];
  }

  #makeFlushLoop(): FlushLoop {
    const { context } = this;
    const { send, memory, settings } = context;
    const { clock } = this.#node;
    const disk = this.#node.disk.own;
    const geometry = { slotOffset: send.slotsOffset + send.ownSlot * send.slotBytes, slotBytes: send.slotBytes };
    const identity = {
      nodeIndex: send.ownSlot,
      clusterUuid: send.clusterUuid,
      incarnation: context.incarnation,
      hostId: context.hostId,
      pid: 1,
      sealed: true,
      keyId: context.keyId,
    };
    const blocks = new Uint8Array(memory.writerBlocks);
    const seals = volumeSeals(context.clusterKey, send.clusterUuid);
    const writerState = new Float64Array(memory.writer);
    const start = findStart(disk, geometry, send.ownSlot, send.clusterUuid, seals, blocks.subarray(0, BATCH_BYTES_MAX));
    initialiseState(writerState, start);
    const state = sharedState(context);
    const loop = new FlushLoop(
      new SlotWriter(disk, geometry, identity, seals, writerState, blocks),
      writeBuffer(context, state),
      state,
      {
        deadlineMs: settings.storage.flush.deadlineMs,
        beaconMs: settings.storage.beaconMs,
        maxAgeMs: settings.storage.maxAgeMs,
        slotBytes: send.slotBytes,
        limits: settings.storage.limits,
        peerSlots: context.peerSlots,
      },
      () => clock.times(),
    );
    loop.onRoom = () => this.#bell();
    return loop;
  }

  #makeReaderLoop(): ReaderLoop {
    const { context } = this;
    const { settings, send } = context;
    const node = this.#node;
    const inbound = inboundRing(context, 0);
    return new ReaderLoop(
      node.disk,
      sharedState(context),
      {
        pace: settings.storage.pollMs,
        maxAgeMs: settings.storage.maxAgeMs,
        clusterUuid: send.clusterUuid,
        ownSlot: send.ownSlot,
        ownIncarnation: context.incarnation,
        slotCount: send.slotCount,
        slotBytes: send.slotBytes,
        slotsOffset: send.slotsOffset,
        peers: [{ index: 0, slot: other(node.index) }],
        patienceMs: PATIENCE_MS,
      },
      inbound,
      volumeSeals(context.clusterKey, send.clusterUuid),
      {
        deliver: (frame) => node.deliver(frame, 'reader'),
        head: (peer, _head, block) => this.#passHead(inbound, peer, block),
        bell: () => this.#bell(),
      },
      new Uint8Array(ReaderLoop.memoryBytes(send.slotCount, READER_MEMORY_BYTES)),
      () => node.clock.monotonicMs(),
    );
  }

  /** As the reader's worker does: a full ring loses the head, the next beacon comes. */
  #passHead(inbound: Ring, peer: number, block: Uint8Array): void {
    const offset = inbound.reserve(block.length);
    if (offset < 0) return;
    inbound.bytes.set(block, offset);
    inbound.commit(block.length, 0, inboundWord(peer, HEAD_RECORD, 0), 0);
  }

  #bell(): void {
    this.switchThread.bellRang = true;
    this.actors[0].wake();
  }

  /** Wakes the threads whose words were raised, as Atomics.notify does. */
  #afterRound(): void {
    const flush = Atomics.load(this.#words, AGENT.flushWake);
    if (flush !== this.#flushSeen) {
      this.#flushSeen = flush;
      this.actors[1].wake();
    }
    const reader = Atomics.load(this.#words, AGENT.readerWake);
    if (reader !== this.#readerSeen) {
      this.#readerSeen = reader;
      this.actors[2].wake();
    }
  }

  #switchRound(): number {
    const sleepMs = this.switchThread.round();
    this.#afterRound();
    return Math.ceil(sleepMs);
  }

  #flushRound(): number {
    const { world, disk, observer, index } = this.#node;
    if (this.#writing) {
      const { endMs, result } = this.#writing;
      if (world.nowMs < endMs) return endMs - world.nowMs;
      this.#writing = null;
      this.#flushLoop.end(result);
      this.#afterRound();
      return 0;
    }
    const next = this.#flushLoop.begin();
    this.#afterRound();
    if (typeof next === 'number') {
      if (Atomics.load(this.#words, AGENT.slotTaken) === 1) observer.slotTaken(index);
      return Math.min(SLEEP_MS_MAX, next);
    }
    const result = next();
    const endMs = world.nowMs + disk.writeMs();
    this.#writing = { endMs, result };
    const captured = disk.takeCaptured();
    for (const { offset, bytes } of captured) if (offset >= SLOTS_OFFSET) observer.written(index, bytes);
    disk.putBy(endMs, captured);
    return endMs - world.nowMs;
  }

  /** A read takes its time before it shows what is there then. */
  #readerRound(): number {
    const { world, disk } = this.#node;
    const { times } = sharedState(this.context);
    if (this.#readFromMs < 0) {
      if (this.#maySkip()) return SKIP_STEP_MS;
      const takesMs = disk.readMs();
      if (takesMs > 0) {
        this.#readFromMs = world.nowMs;
        times[AGENT_TIME.readBeganMs] = this.#node.clock.monotonicMs();
        return takesMs;
      }
    }
    this.#readFromMs = -1;
    this.#seenVersion = this.#node.peerVersion;
    this.#seenMs = world.nowMs;
    this.#lastPauseMs = this.#readerLoop.step();
    this.#afterRound();
    return Math.min(SLEEP_MS_MAX, Math.max(0.05, this.#lastPauseMs));
  }

  #maySkip(): boolean {
    const { world, disk, peerVersion } = this.#node;
    if (this.#lastPauseMs >= SKIP_MS_MAX || disk.faults.past || disk.faults.readErrno !== 0) return false;
    return peerVersion === this.#seenVersion && world.nowMs - this.#seenMs < SKIP_MS_MAX - SKIP_STEP_MS;
  }

  end(): void {
    for (const actor of this.actors) actor.end();
  }
}

/** A host's clocks: its monotonic one began at its boot and drifts, its wall clock is whatever somebody set. */
export class NodeClock {
  readonly #world: World;
  readonly #offsetMs: number;
  readonly #driftPpm: number;
  readonly #wallMs: number;

  constructor(world: World, driftPpm: number) {
    this.#world = world;
    this.#offsetMs = world.within(1000, 1e9);
    this.#driftPpm = driftPpm;
    this.#wallMs = 1.7e12 + world.within(-1, 1) * 5 * 3_600_000;
  }

  monotonicMs(): number {
    return this.#offsetMs + this.#world.nowMs * (1 + this.#driftPpm / 1e6);
  }

  times(): { nowMs: number; monotonicUs: number; wallUs: number } {
    const nowMs = this.monotonicMs();
    return {
      nowMs,
      monotonicUs: Math.round(nowMs * 1000),
      wallUs: Math.round((this.#wallMs + this.#world.nowMs) * 1000),
    };
  }
}

export class Node {
  readonly world: World;
  readonly index: NodeIndex;
  readonly settings: SimSettings;
  readonly network: Network;
  readonly disk: NodeDisk;
  readonly observer: Observer;
  readonly device: MemoryDevice;
  readonly #versions: readonly [number, number];
  clock: NodeClock;
  agent: Agent | null = null;
  isFrozen = false;

  constructor(
    world: World,
    index: NodeIndex,
    settings: SimSettings,
    network: Network,
    disk: NodeDisk,
    versions: readonly [number, number],
    observer: Observer,
  ) {
    this.world = world;
    this.index = index;
    this.settings = settings;
    this.network = network;
    this.disk = disk;
    this.observer = observer;
    this.#versions = versions;
    this.clock = new NodeClock(world, world.within(-45, 45));
    this.device = new MemoryDevice({
      name: `sb-${NODE_NAMES[index]}`,
      queueFrames: INTERFACE_FRAMES,
      onWrite: () => {},
    });
  }

  get isRunning(): boolean {
    return this.agent !== null && !this.isFrozen;
  }

  get peerVersion(): number {
    return this.#versions[other(this.index)];
  }

  deliver(frame: Uint8Array, way: 'switch' | 'reader'): boolean {
    if (!this.device.write(frame)) return false;
    this.observer.delivered(this.index, frame.slice(), way);
    return true;
  }

  /** An application sends a frame; it is the kernel's until the agent takes it. */
  push(frame: Uint8Array): boolean {
    if (!this.agent || !this.device.push(frame)) return false;
    this.agent.actors[0].wake();
    return true;
  }

  /** A datagram came in. */
  arrive(datagram: Uint8Array): void {
    if (!this.agent) return;
    this.agent.switchThread.datagram(datagram);
    this.agent.actors[0].wake();
  }

  /** A new incarnation. Answers false when the volume could not be read: an agent would not start. */
  start(): boolean {
    if (this.disk.hangs) return false;
    const incarnation = new Uint8Array(16);
    this.world.prng.fill(incarnation);
    try {
      this.agent = new Agent(this, incarnation);
    } catch (error) {
      this.world.note(`${this.name} does not start: ${error instanceof Error ? error.message : String(error)}`);
      return false;
    }
    for (const actor of this.agent.actors) actor.wake();
    this.world.note(`${this.name} starts`);
    this.observer.started(this.index);
    return true;
  }

  get name(): string {
    return NODE_NAMES[this.index];
  }

  /** `reboot`: the host restarts too, and its clocks begin anew. */
  crash(reboot: boolean): void {
    this.agent?.end();
    this.agent = null;
    this.isFrozen = false;
    this.disk.crash();
    // The kernel throws away what waits in an interface when its only reader is gone.
    for (let length = 1; length > 0;) length = this.device.read(this.#scratch);
    if (reboot) this.clock = new NodeClock(this.world, this.world.within(-45, 45));
    this.world.note(`${this.name} ${reboot ? 'reboots' : 'crashes'}`);
  }
  readonly #scratch = new Uint8Array(70_000);

  /** SIGSTOP: no thread runs; what the kernel and the devices do goes on. */
  freeze(): void {
    this.isFrozen = true;
    this.world.note(`${this.name} is stopped`);
  }

  /** SIGCONT. */
  thaw(): void {
    if (!this.isFrozen) return;
    this.isFrozen = false;
    this.world.note(`${this.name} goes on`);
    for (const actor of this.agent?.actors ?? []) actor.wake();
  }
}

function makeContext(node: Node, incarnation: Uint8Array): ThreadContext {
  const { index, settings, world } = node;
  const peer = other(index);
  const hostId = new Uint8Array(16);
  world.prng.fill(hostId);
  const volume = {
    path: 'shared',
    clusterUuid: CLUSTER_UUID,
    slotBytes: settings.slotBytes,
    slotCount: 2,
    slotsOffset: SLOTS_OFFSET,
    ownSlot: index,
  };
  const { maxAgeMs, beaconMs, writeDeadlineMs, retainBytes, mode, idleMs, stableForMs, stableForMsMax } = settings;
  return {
    settings: {
      cluster: 'sim',
      node: NODE_NAMES[index],
      peers: [{ node: NODE_NAMES[peer], addresses: [ADDRESSES[peer]] }],
      types: BULK_RULES,
      storage: {
        maxAgeMs,
        beaconMs,
        writeDeadlineMs,
        pollMs: { idle: idleMs, active: 0.5 },
        flush: { thresholdBytes: 65_536, deadlineMs: 0.2 },
        limits: { bytesPerSecond: 0, operationsPerSecond: 0 },
      },
      primary: { mode, probe: { ...PROBE, stableForMs, stableForMsMax } },
      queues: { retainBytes },
    } as unknown as ThreadContext['settings'],
    incarnation,
    hostId,
    keyId: keyId(CLUSTER_KEY, CLUSTER_UUID),
    clusterKey: CLUSTER_KEY,
    send: volume,
    receive: [{ volume, peers: [{ index: 0, slot: peer }] }],
    peerSlots: [peer],
    nodeNumbers: [NODE_NUMBERS[index], NODE_NUMBERS[peer]],
    bellFd: -1,
    memory: allocate(1, 1),
  };
}
