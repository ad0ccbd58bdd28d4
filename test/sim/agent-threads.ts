/**
 * One agent of a simulated node, all that a crash takes away: its three threads, made of the production parts and joined
 * as the workers join them.
 */
import { FlushLoop } from '../../agent/flush/flush-loop.ts';
import { HEAD_RECORD, inboundWord } from '../../agent/queue/inbound.ts';
import type { Ring } from '../../agent/queue/ring.ts';
import { AGENT, AGENT_TIME } from '../../agent/queue/shared-state.ts';
import { ReaderLoop, type ReaderPeer } from '../../agent/reader/reader-loop.ts';
import {
  flushSettings,
  inboundRing,
  sharedState,
  slotGeometry,
  volumeSeals,
  writeBuffer,
  type ReceiveFacts,
  type ThreadContext,
} from '../../agent/threads.ts';
import { BATCH_BYTES_MAX, SLOTS_OFFSET } from '../../agent/volume/layout.ts';
import { READER_MEMORY_BYTES } from '../../agent/volume/slot-reader.ts';
import { findStart, initialiseState } from '../../agent/volume/slot-start.ts';
import { SlotWriter } from '../../agent/volume/slot-writer.ts';
import { makeContext } from './context.ts';
import type { Node } from './node.ts';
import { SwitchThread } from './switch-thread.ts';
import { Actor } from './world.ts';

const SLEEP_MS_MAX = 100;
const PATIENCE_MS = 500;
/** A reader that sees an unchanged volume would see nothing: these polls are passed over, up to this long. */
const SKIP_MS_MAX = 45;
const SKIP_STEP_MS = 1;

export class Agent {
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
    const { send, memory } = context;
    const { clock } = this.#node;
    const disk = this.#node.disk.own;
    const geometry = slotGeometry(send, send.ownTenant);
    const identity = {
      nodeIndex: send.ownTenant,
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
    const start = findStart(
      disk,
      geometry,
      send.ownTenant,
      send.clusterUuid,
      seals,
      blocks.subarray(0, BATCH_BYTES_MAX),
    );
    initialiseState(writerState, start);
    const state = sharedState(context);
    const loop = new FlushLoop(
      new SlotWriter(disk, geometry, identity, seals, writerState, blocks),
      writeBuffer(context, state),
      state,
      flushSettings(context),
      () => clock.times(),
    );
    loop.onRoom = () => this.#bell();
    return loop;
  }

  #makeReaderLoop(): ReaderLoop {
    const { context } = this;
    const { settings, send } = context;
    const node = this.#node;
    const receive = context.receive[0] as ReceiveFacts;
    const inbound = inboundRing(receive);
    return new ReaderLoop(
      node.disk,
      sharedState(context),
      {
        pace: settings.storage.pollMs,
        maxAgeMs: settings.storage.maxAgeMs,
        clusterUuid: send.clusterUuid,
        ownTenant: send.ownTenant,
        ownIncarnation: context.incarnation,
        slotCount: send.slotCount,
        slotBytes: send.slotBytes,
        slotsOffset: send.slotsOffset,
        peers: receive.peers,
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
  #passHead(inbound: Ring, { seat, since }: ReaderPeer, block: Uint8Array): void {
    const offset = inbound.reserve(block.length);
    if (offset < 0) return;
    inbound.bytes.set(block, offset);
    inbound.commit(block.length, since, inboundWord(seat, HEAD_RECORD, 0), 0);
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
