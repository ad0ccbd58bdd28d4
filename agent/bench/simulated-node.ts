/**
 * A node for benchmarks: the agent's own parts without interface, threads and ring readers, so that one process can be
 * dozens of nodes. It takes part in the handshake over network and volume, writes its head block for each beacon, and
 * sends heartbeats when it is told to. What is sent to it is not read.
 */
import { randomBytes } from 'node:crypto';
import { HEARTBEAT } from '../base/packet-type.ts';
import { Classifier } from '../core/classify.ts';
import { NodeCore } from '../core/node-core.ts';
import { FlushLoop } from '../flush/flush-loop.ts';
import { slotWriter } from '../flush/wiring.ts';
import { systemClock, timesOf } from '../platform/clock.ts';
import { alignedMemory } from '../platform/memory.ts';
import { UdpSocket } from '../platform/udp-socket.ts';
import { AGENT } from '../queue/shared-state.ts';
import type { WriteBuffer } from '../queue/write-buffer.ts';
import { HeadTable } from '../reader/head-table.ts';
import { Source } from '../reader/source.ts';
import { readKeyFile } from '../settings/key.ts';
import type { Settings } from '../settings/settings.ts';
import { toHeadWord } from '../switch/link-settings.ts';
import { TunnelEdge } from '../switch/tunnel-edge.ts';
import { coreSettings } from '../switch/wiring.ts';
import { nextPlan, NO_PLAN } from '../plan.ts';
import { SharedKeys } from '../queue/shared-keys.ts';
import {
  allocate,
  clusterKeys,
  flushSettings,
  sharedState,
  slotGeometry,
  volumeSeals,
  writeBuffer,
  type ThreadContext,
} from '../threads.ts';
import { READER_MEMORY_BYTES, SlotReader } from '../volume/slot-reader.ts';
import { initialiseState } from '../volume/slot-start.ts';
import { SlotWriter } from '../volume/slot-writer.ts';
import { nodeNumber, openVolumes, type OpenedVolumes } from '../volumes.ts';

const MTU = 1500;
/** A step of the flush loop may be followed by another at once; more in one turn would hold up the other nodes. */
const STEPS_PER_TURN = 8;

export class SimulatedNode {
  readonly #context: ThreadContext;
  readonly #core: NodeCore;
  readonly #edge: TunnelEdge | null;
  readonly #flush: FlushLoop;
  readonly #heads: HeadTable;
  readonly #sources: readonly Source[];
  readonly #frame: Uint8Array;
  readonly #buffer: WriteBuffer;

  private constructor(context: ThreadContext, volumes: OpenedVolumes, table: Uint8Array, frame: Uint8Array) {
    this.#context = context;
    this.#frame = frame;
    const { settings } = context;
    const state = sharedState(context);
    this.#buffer = writeBuffer(context, state);
    this.#core = new NodeCore(
      coreSettings(context),
      new Classifier(settings.types, settings.peers),
      context.incarnation,
      state,
      {
        submit: (...packet) => this.#buffer.submit(...packet),
        deliver: () => true,
        event: () => {},
        wantHead: () => Atomics.store(state.words, AGENT.headWanted, 1),
      },
      systemClock.monotonicMs(),
    );
    const { listen } = settings.primary;
    const socket = listen && UdpSocket.open(listen.host, listen.port);
    this.#edge = socket && new TunnelEdge(socket, MTU);
    for (const seat of context.seats) {
      const link = this.#core.at(seat.seat);
      if (link) this.#edge?.attach(context, seat, link);
    }
    const blocks = new Uint8Array(alignedMemory(SlotWriter.memoryBytes));
    const writer = slotWriter(context, volumes.lock, blocks, process.pid);
    this.#flush = new FlushLoop(writer, this.#buffer, state, flushSettings(context), () => timesOf(systemClock));
    const { reader, volume, peers } = context.receive[0] as ThreadContext['receive'][0];
    const seals = volumeSeals(clusterKeys(context), volume.clusterUuid);
    const readerSettings = {
      ...volume,
      reader,
      pace: settings.storage.pollMs,
      maxAgeMs: settings.storage.maxAgeMs,
      ownIncarnation: context.incarnation,
      beganMs: context.beganMs,
      peers,
      patienceMs: 0,
    };
    this.#heads = new HeadTable(
      readerSettings,
      state,
      {
        deliver: () => true,
        head: (peer, theirs) =>
          this.#core.at(peer.seat)?.head(toHeadWord(context, peer.seat, theirs), systemClock.monotonicMs()),
        bell: () => {},
      },
      seals,
      table,
    );
    const batchMemory = new Uint8Array(READER_MEMORY_BYTES);
    this.#sources = peers.map((peer) => {
      const geometry = slotGeometry(volume, peer.tenant);
      const ring = new SlotReader(volumes.lock, geometry, peer.tenant, volume.clusterUuid, seals, batchMemory, 0);
      const words = state.peers[peer.seat];
      if (!words) throw new Error('shared state has too few peers');
      return new Source(peer, words, ring);
    });
  }

  /** `table`: memory for a head table, shared by all nodes of this process; `frame`: what it sends as a heartbeat. */
  static async open(settings: Settings, table: Uint8Array, frame: Uint8Array): Promise<SimulatedNode> {
    const keys = settings.keyFile === null ? null : readKeyFile(settings.keyFile);
    const volumes = await openVolumes(settings, keys);
    const memory = allocate();
    new SharedKeys(memory.keys).put(keys ?? []);
    const context: ThreadContext = {
      ...nextPlan(NO_PLAN, settings, volumes),
      incarnation: new Uint8Array(randomBytes(16)),
      beganMs: systemClock.monotonicMs(),
      hostId: volumes.hostId,
      send: volumes.send,
      nodeNumber: nodeNumber(settings.node),
      bellFd: -1,
      memory,
    };
    initialiseState(new Float64Array(context.memory.writer), volumes.start);
    return new SimulatedNode(context, volumes, table, frame);
  }

  /** The head table has been read anew. */
  seeHeads(): void {
    this.#heads.read(
      this.#sources,
      (_, into) => into.length,
      () => systemClock.monotonicMs(),
    );
  }

  /** A heartbeat to every peer that is known. */
  send(): void {
    const nowMs = systemClock.monotonicMs();
    for (const link of this.#core.links) if (link.accepted) link.send(HEARTBEAT, this.#frame, nowMs, nowMs);
    this.#buffer.flushNow();
    this.turn();
  }

  /** Does what is due. */
  turn(): void {
    this.#edge?.receive(systemClock.monotonicMs());
    this.#core.round(systemClock.monotonicMs());
    for (let i = 0; i < STEPS_PER_TURN; i++) if (this.#flush.step() > 0) return;
  }

  get name(): string {
    return this.#context.settings.node;
  }
}
