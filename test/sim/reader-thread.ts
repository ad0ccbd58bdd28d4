/** A reader of a simulated agent: polls one receive volume, as its worker does. A read takes its time. */
import { HEAD_RECORD, inboundWord } from '../../agent/queue/inbound.ts';
import type { Ring } from '../../agent/queue/ring.ts';
import { READER_TIME, type ReaderWords } from '../../agent/queue/reader-words.ts';
import { ReaderLoop } from '../../agent/reader/reader-loop.ts';
import type { ReaderPeer } from '../../agent/reader/source.ts';
import { clusterKeys, inboundRing, sharedState, volumeSeals, type ThreadContext } from '../../agent/threads.ts';
import { READER_MEMORY_BYTES } from '../../agent/volume/slot-reader.ts';
import type { Node } from './node.ts';
import { at } from './pairs.ts';
import type { ReadDisk } from './read-disk.ts';

const SLEEP_MS_MAX = 100;
const PATIENCE_MS = 500;
/** A reader that sees an unchanged volume would see nothing: these polls are passed over, up to this long. */
const SKIP_MS_MAX = 45;
const SKIP_STEP_MS = 1;

export interface ReaderThreadPorts {
  /** Wakes the switch. */
  readonly bell: () => void;
  /** Wakes whom the round has raised a word for. */
  readonly afterRound: () => void;
}

export class ReaderThread {
  readonly #node: Node;
  readonly #disk: ReadDisk;
  readonly #words: ReaderWords;
  readonly #loop: ReaderLoop;
  readonly #ports: ReaderThreadPorts;
  #readFromMs = -1;
  #seenVersion = 0;
  #seenMs = -Infinity;
  #lastPauseMs = 0;

  constructor(context: ThreadContext, node: Node, receiveIndex: number, ports: ReaderThreadPorts) {
    this.#node = node;
    this.#disk = at(node.disks.reads, receiveIndex);
    this.#ports = ports;
    const state = sharedState(context);
    const { settings } = context;
    const receive = at(context.receive, receiveIndex);
    const { reader, volume, peers } = receive;
    this.#words = at(state.readers, reader);
    const inbound = inboundRing(receive);
    this.#loop = new ReaderLoop(
      this.#disk,
      state,
      {
        reader,
        pace: settings.storage.pollMs,
        maxAgeMs: settings.storage.maxAgeMs,
        clusterUuid: volume.clusterUuid,
        ownTenant: volume.ownTenant,
        ownIncarnation: context.incarnation,
        beganMs: -Infinity,
        slotCount: volume.slotCount,
        slotBytes: volume.slotBytes,
        slotsOffset: volume.slotsOffset,
        peers,
        patienceMs: PATIENCE_MS,
      },
      inbound,
      volumeSeals(clusterKeys(context), volume.clusterUuid),
      {
        deliver: (frame) => node.deliver(frame, 'reader'),
        head: (peer, _head, block) => passHead(inbound, peer, block),
        bell: ports.bell,
      },
      new Uint8Array(ReaderLoop.memoryBytes(volume.slotCount, READER_MEMORY_BYTES)),
      () => node.clock.monotonicMs(),
    );
  }

  /** A read takes its time before it shows what is there then. */
  round(): number {
    const { world, clock } = this.#node;
    if (this.#readFromMs < 0) {
      if (this.#maySkip()) return SKIP_STEP_MS;
      const takesMs = this.#disk.readMs();
      if (takesMs > 0) {
        this.#readFromMs = world.nowMs;
        this.#words.times[READER_TIME.beganMs] = clock.monotonicMs();
        return takesMs;
      }
    }
    this.#readFromMs = -1;
    this.#seenVersion = this.#disk.version;
    this.#seenMs = world.nowMs;
    this.#lastPauseMs = this.#loop.step();
    this.#ports.afterRound();
    return Math.min(SLEEP_MS_MAX, Math.max(0.05, this.#lastPauseMs));
  }

  #maySkip(): boolean {
    const { world } = this.#node;
    const { faults, version } = this.#disk;
    if (this.#lastPauseMs >= SKIP_MS_MAX || faults.past || faults.readErrno !== 0) return false;
    return version === this.#seenVersion && world.nowMs - this.#seenMs < SKIP_MS_MAX - SKIP_STEP_MS;
  }
}

/** As the reader's worker does: a full ring loses the head, the next beacon comes. */
function passHead(inbound: Ring, { seat, since }: ReaderPeer, block: Uint8Array): void {
  const offset = inbound.reserve(block.length);
  if (offset < 0) return;
  inbound.bytes.set(block, offset);
  inbound.commit(block.length, since, inboundWord(seat, HEAD_RECORD, 0), 0);
}
