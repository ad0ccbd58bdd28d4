/**
 * One agent of a simulated node, all that a crash takes away: its switch, its flush thread and a reader for each receive
 * volume, made of the production parts and joined as the workers join them.
 */
import { FlushLoop } from '../../agent/flush/flush-loop.ts';
import { slotWriter } from '../../agent/flush/wiring.ts';
import { timesOf } from '../../agent/platform/clock.ts';
import { AGENT } from '../../agent/queue/shared-state.ts';
import {
  clusterKeys,
  flushSettings,
  sharedState,
  slotGeometry,
  volumeSeals,
  writeBuffer,
  type ThreadContext,
} from '../../agent/threads.ts';
import { BATCH_BYTES_MAX, SLOTS_OFFSET } from '../../agent/volume/layout.ts';
import { findStart, initialiseState } from '../../agent/volume/slot-start.ts';
import { makeContext } from './context.ts';
import type { Node } from './node.ts';
import { ReaderThread } from './reader-thread.ts';
import { SwitchThread } from './switch-thread.ts';
import { Actor } from './world.ts';

const SLEEP_MS_MAX = 100;

export class Agent {
  readonly context: ThreadContext;
  readonly switchThread: SwitchThread;
  readonly actors: readonly [theSwitch: Actor, flush: Actor, ...readers: Actor[]];
  readonly #node: Node;
  readonly #flushLoop: FlushLoop;
  readonly #words: Int32Array;
  #flushSeen = 0;
  #readerSeen = 0;
  /** The end of the write under way. */
  #writing: { endMs: number; result: number } | null = null;

  constructor(node: Node, incarnation: Uint8Array) {
    this.#node = node;
    const { world } = node;
    this.context = makeContext(node, incarnation);
    const state = sharedState(this.context);
    this.#words = state.words;
    this.#flushLoop = this.#makeFlushLoop();
    this.switchThread = new SwitchThread(this.context, node, () => this.#afterRound());
    const readers = this.context.receive.map(
      (_, i) =>
        new ReaderThread(this.context, node, i, {
          bell: () => this.#bell(),
          afterRound: () => this.#afterRound(),
        }),
    );
    const isHeld = () => node.isFrozen;
    this.actors = [
      new Actor(world, () => this.#switchRound(), isHeld),
      new Actor(world, () => this.#flushRound(), isHeld),
      ...readers.map((reader) => new Actor(world, () => reader.round(), isHeld)),
    ];
  }

  #makeFlushLoop(): FlushLoop {
    const { context } = this;
    const { send, memory } = context;
    const { clock } = this.#node;
    const disk = this.#node.disks.own;
    const blocks = new Uint8Array(memory.writerBlocks);
    const seals = volumeSeals(clusterKeys(context), send.clusterUuid);
    const scratch = blocks.subarray(0, BATCH_BYTES_MAX);
    const geometry = slotGeometry(send, send.ownTenant);
    const start = findStart(disk, geometry, send.ownTenant, send.clusterUuid, seals, scratch);
    initialiseState(new Float64Array(memory.writer), start);
    const state = sharedState(context);
    const writer = slotWriter(context, disk, blocks, 1);
    const buffer = writeBuffer(context, state);
    const loop = new FlushLoop(writer, buffer, state, flushSettings(context), () => timesOf(clock));
    loop.onRoom = () => this.#bell();
    return loop;
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
      for (const reader of this.actors.slice(2)) reader.wake();
    }
  }

  #switchRound(): number {
    const sleepMs = this.switchThread.round();
    this.#afterRound();
    return Math.ceil(sleepMs);
  }

  #flushRound(): number {
    const { world, disks, observer, index } = this.#node;
    const disk = disks.own;
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

  end(): void {
    for (const actor of this.actors) actor.end();
  }
}
