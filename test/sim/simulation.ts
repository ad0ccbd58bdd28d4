/**
 * A whole cluster in one object: two nodes, their network, their volume, their applications and the checkers over all of
 * it. Scenarios and the swarm speak to this; every fault goes through it, so that the checkers know what to excuse.
 */
import { toHex } from '../../agent/base/bytes.ts';
import type { Override } from '../../agent/base/paths.ts';
import { PEER } from '../../agent/queue/shared-state.ts';
import { SLOT_BYTES_MIN, SLOTS_OFFSET } from '../../agent/volume/layout.ts';
import { READ_COUNTERS } from '../../agent/volume/slot-reader.ts';
import { sharedState } from '../../agent/threads.ts';
import { Account, type Violation } from './checkers/account.ts';
import { Conditions } from './checkers/conditions.ts';
import { Marks } from './checkers/marks.ts';
import { NodeDisk, Volume, type DiskFaults } from './disk.ts';
import { GOOD_NETWORK, Network, type Direction, type NodeIndex } from './network.ts';
import { Node } from './node.ts';
import type { Observer } from './observer.ts';
import { SIM_SETTINGS, type SimSettings } from './settings.ts';
import { readId, Workload } from './workload.ts';
import { World } from './world.ts';

/** The network is good while it carries everything within this time. */
const GOOD_DELAY_MS = 25;
const BOTH = [0, 1] as const;
/** A reader whose beacons come counts as live, however long its reads take: it must have been so for this long. */
const LIVE_READER_MS = 6500;
/** A cut is known to both sides after this, whatever delays and losses the words about it suffer. */
const CUT_KNOWN_MS = 1500;

export class Simulation {
  readonly world: World;
  readonly settings: SimSettings;
  readonly conditions: Conditions;
  readonly account: Account;
  readonly network: Network;
  readonly nodes: readonly [Node, Node];
  readonly workload: Workload;
  readonly #volume: Volume;
  readonly #marks = new Marks();
  /** By receiver: the messages that its agent has taken, by incarnation and counter. */
  readonly #heard: readonly [Set<string>, Set<string>] = [new Set(), new Set()];
  readonly #disks: readonly [NodeDisk, NodeDisk];
  readonly #overruns: [number, number] = [0, 0];

  constructor(seed: number, settings: Partial<SimSettings> = {}, print: ((line: string) => void) | null = null) {
    this.world = new World(seed, print);
    this.settings = { ...SIM_SETTINGS, ...settings };
    this.conditions = new Conditions(this.settings.slotBytes < SLOT_BYTES_MIN);
    this.account = new Account(this.conditions, this.settings);
    const { slotBytes } = this.settings;
    this.#volume = new Volume(SLOTS_OFFSET + 2 * slotBytes);
    this.network = new Network(
      this.world,
      (to, datagram) => this.nodes[to].arrive(datagram),
      (node) => this.nodes[node].agent?.actors[0].wake(),
    );
    const disk = (node: NodeIndex) => new NodeDisk(this.world, this.#volume, node, slotBytes);
    this.#disks = [disk(0), disk(1)];
    this.workload = new Workload(this.world, this.account.sent);
    const observer = this.#observer();
    const { versions } = this.#volume;
    const node = (i: NodeIndex) =>
      new Node(this.world, i, this.settings, this.network, this.#disks[i], versions, observer);
    this.nodes = [node(0), node(1)];
    for (const i of BOTH) this.conditions.down[i].begin(0);
    if (this.settings.mode === 'none') for (const i of BOTH) this.conditions.network[i].begin(0);
    this.#sample();
  }

  #observer(): Observer {
    const { account, world } = this;
    return {
      entered: (node, frame) => {
        world.note(`${node} takes ${readId(frame)}`);
        account.entered(node, frame, world.nowMs);
      },
      dropped: (node, frame) => {
        world.note(`${node} drops ${readId(frame)}`);
        account.dropped(frame);
      },
      delivered: (node, frame, way) => {
        world.note(`${node} delivers ${readId(frame)} by the ${way}`);
        account.delivered(node, frame, way, world.nowMs);
      },
      written: (node, bytes) => {
        const wrong = this.#marks.written(node, bytes);
        if (wrong !== null) account.violation(world.nowMs, 'marks', `node ${node}: ${wrong}`);
      },
      heard: (node, incarnation, counter) => {
        const name = `${toHex(incarnation)} ${counter}`;
        if (this.#heard[node].has(name))
          account.violation(world.nowMs, 'replay', `node ${node} hears message ${name} again`);
        this.#heard[node].add(name);
      },
      started: (node) => this.#heard[node].clear(),
      slotTaken: (node) => account.violation(world.nowMs, 'taken', `node ${node} says that its slot is another's`),
    };
  }

  /** [RING1] Looks at the readers' counters now and then. */
  #sample(): void {
    this.world.after(50, () => this.#sample());
    for (const i of BOTH) {
      this.#checkPath(i);
      const { agent } = this.nodes[i];
      if (!agent) {
        this.#overruns[i] = 0;
        continue;
      }
      const words = sharedState(agent.context).peers[0]?.words;
      const overruns = words?.[PEER.readCounters + READ_COUNTERS.indexOf('overruns')] ?? 0;
      if (overruns > this.#overruns[i] && this.#wasLiveReader(i)) {
        this.account.violation(this.world.nowMs, 'overrun', `node ${i} was overrun while it was reading`);
      }
      this.#overruns[i] = overruns;
    }
  }

  /** Neither side of a network that is cut, if only in one direction, may call it the way. */
  #checkPath(node: NodeIndex): void {
    const { nowMs } = this.world;
    const { conditions } = this;
    const sinceMs = nowMs - CUT_KNOWN_MS;
    const isCut = BOTH.some((from) => conditions.cut[from].throughout(sinceMs, nowMs));
    if (!isCut || !conditions.bothUp(sinceMs, nowMs) || !conditions.noOverride(sinceMs, nowMs)) return;
    if (!conditions.replays.none(sinceMs, nowMs) || !['network', 'suspect'].includes(this.path(node))) return;
    this.account.violation(nowMs, 'path', `node ${node} calls a network the way that is cut`);
  }

  #wasLiveReader(node: NodeIndex): boolean {
    const { nowMs } = this.world;
    const { conditions } = this;
    const sinceMs = nowMs - LIVE_READER_MS;
    return (
      conditions.carries(node, sinceMs, nowMs) && conditions.acquainted(sinceMs) && conditions.bothUp(sinceMs, nowMs)
    );
  }

  // --- running -------------------------------------------------------------------------------------------------------

  /** Starts both agents and their applications, and waits until the peers know each other. */
  begin(settleMs = 2500): void {
    for (const i of BOTH) this.start(i);
    for (const node of this.nodes) this.workload.begin(node);
    this.run(settleMs);
  }

  run(ms: number): void {
    this.world.runUntil(this.world.nowMs + ms);
  }

  get nowMs(): number {
    return this.world.nowMs;
  }

  path(node: NodeIndex): string {
    return this.nodes[node].agent?.switchThread.link.judge.path ?? 'down';
  }

  /** Everything that has gone wrong, after the last frames have had their time. */
  finish(): readonly Violation[] {
    this.account.settle(this.nowMs);
    return this.account.violations;
  }

  /** How many frames of a type from `from` came out since `sinceMs`. */
  deliveredSince(from: NodeIndex, type: string, sinceMs: number): number {
    let count = 0;
    for (const sent of this.account.sent.values()) {
      if (sent.from === from && sent.type === type && sent.deliveredMs >= sinceMs) count++;
    }
    return count;
  }

  // --- nodes ---------------------------------------------------------------------------------------------------------

  /** Starts an agent; tries again until its volume lets it. */
  start(node: NodeIndex): void {
    if (this.nodes[node].agent) return;
    if (this.nodes[node].start()) this.conditions.down[node].set(false, this.nowMs);
    else this.world.after(200, () => this.start(node));
  }

  crash(node: NodeIndex, reboot = false): void {
    if (!this.nodes[node].agent) return;
    this.conditions.down[node].set(true, this.nowMs);
    this.nodes[node].crash(reboot);
  }

  freeze(node: NodeIndex): void {
    if (!this.nodes[node].isRunning) return;
    this.conditions.down[node].set(true, this.nowMs);
    this.nodes[node].freeze();
  }

  thaw(node: NodeIndex): void {
    if (!this.nodes[node].isFrozen) return;
    this.conditions.down[node].set(false, this.nowMs);
    this.nodes[node].thaw();
  }

  override(node: NodeIndex, override: Override): void {
    const { agent } = this.nodes[node];
    if (!agent) return;
    this.conditions.override[node].set(override !== 'auto', this.nowMs);
    agent.switchThread.link.judge.override = override;
    this.world.note(`operator: path of ${this.nodes[node].name} is ${override}`);
  }

  // --- network -------------------------------------------------------------------------------------------------------

  /** Changes what the network does with `from`'s datagrams. */
  net(from: NodeIndex, change: Partial<Direction>): void {
    this.network.set(from, change);
    const { up, lossPerMille, fullPerMille, delayMs, jitterMs } = this.network.from[from];
    const isLossy = lossPerMille > 0 || fullPerMille > 0;
    const isBad = !up || isLossy || delayMs + jitterMs > GOOD_DELAY_MS || this.settings.mode === 'none';
    this.conditions.network[from].set(isBad, this.nowMs);
    this.conditions.cut[from].set(!up, this.nowMs);
    this.conditions.lossy[from].set(up && isLossy, this.nowMs);
    this.conditions.delayed[from].set(up && delayMs + jitterMs > GOOD_DELAY_MS, this.nowMs);
    this.world.note(`network from ${from}: ${JSON.stringify(change)}`);
  }

  /** Somebody sends recorded datagrams of `from` again. */
  replay(from: NodeIndex, count: number): void {
    this.conditions.replays.add(this.nowMs, this.nowMs + 200);
    this.network.replay(from, count);
  }

  cut(which: NodeIndex | 'both' = 'both'): void {
    for (const from of BOTH) if (which === 'both' || which === from) this.net(from, { up: false });
  }

  heal(): void {
    for (const from of BOTH) this.net(from, GOOD_NETWORK);
  }

  // --- storage -------------------------------------------------------------------------------------------------------

  /** Changes how the volume behaves for one node. */
  disk(node: NodeIndex, change: Partial<DiskFaults>): void {
    const { faults } = this.#disks[node];
    Object.assign(faults, change);
    const { nowMs } = this;
    const { writes, reads } = this.conditions;
    writes[node].set(faults.writeErrno !== 0 || faults.slowWriteMs > 0 || faults.misdirect > 0, nowMs);
    reads[node].set(faults.readErrno !== 0 || faults.slowReadMs > 0 || faults.past !== null, nowMs);
    this.world.note(`disk of ${node}: ${JSON.stringify({ ...change, past: undefined })}`);
  }

  /** The storage does not answer `node` for `ms`. */
  hang(node: NodeIndex, ms: number, which: 'reads' | 'writes' | 'both' = 'both'): void {
    const untilMs = this.nowMs + ms;
    if (which !== 'reads') {
      this.disk(node, { writesHangUntilMs: untilMs });
      this.conditions.writes[node].add(this.nowMs, untilMs);
    }
    if (which !== 'writes') {
      this.disk(node, { readsHangUntilMs: untilMs });
      this.conditions.reads[node].add(this.nowMs, untilMs);
    }
  }

  /** From now on half of `node`'s reads show the volume as it is now. */
  showPast(node: NodeIndex): void {
    this.disk(node, { past: this.#volume.bytes.slice() });
  }

  /** The next write of `node` lands in the other node's place. What that damages may be lost for a while. */
  misdirect(node: NodeIndex, damageMs = 3000): void {
    this.disk(node, { misdirect: 1 });
    for (const i of BOTH) this.conditions.writes[i].add(this.nowMs, this.nowMs + damageMs);
  }

  healDisks(): void {
    for (const i of BOTH) {
      this.#disks[i].heal();
      this.disk(i, {});
    }
  }
}
