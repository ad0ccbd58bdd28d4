/** A whole cluster in one object: nodes, their network, their volumes, their applications and the checkers over all of it. */
import { toHex } from '../../agent/base/bytes.ts';
import { PEER } from '../../agent/queue/shared-state.ts';
import { sharedState } from '../../agent/threads.ts';
import { SLOT_BYTES_MIN } from '../../agent/volume/layout.ts';
import { READ_COUNTERS } from '../../agent/volume/slot-reader.ts';
import { Account, type Violation } from './checkers/account.ts';
import { Conditions } from './checkers/conditions.ts';
import { Marks } from './checkers/marks.ts';
import { Paths } from './checkers/paths.ts';
import { NodeDisks } from './disk.ts';
import { Network } from './network.ts';
import { Node } from './node.ts';
import type { Observer } from './observer.ts';
import { at, other, others, pair, seatOf, type NodeIndex } from './pairs.ts';
import { SIM_SETTINGS, type SimSettings } from './settings.ts';
import { Volumes } from './volumes.ts';
import { readId, Workload } from './workload.ts';
import { World } from './world.ts';

/** A reader whose beacons come counts as live, however long its reads take: it must have been so for this long. */
const LIVE_READER_MS = 6500;
const SAMPLE_MS = 50;

export class SimCluster {
  readonly world: World;
  readonly settings: SimSettings;
  readonly conditions: Conditions;
  readonly account: Account;
  readonly network: Network;
  readonly nodes: readonly Node[];
  readonly workload: Workload;
  /** All nodes by number. */
  readonly each: readonly NodeIndex[];
  readonly #marks = new Marks();
  readonly #paths: Paths;
  /** By receiver: the messages that its agent has taken, by incarnation and counter. */
  readonly #heard: readonly Set<string>[];
  readonly #overruns = new Map<string, number>();

  constructor(seed: number, settings: Partial<SimSettings> = {}, print: ((line: string) => void) | null = null) {
    this.world = new World(seed, print);
    this.settings = { ...SIM_SETTINGS, ...settings };
    const count = this.settings.nodes;
    this.each = Array.from({ length: count }, (_, i) => i);
    this.conditions = new Conditions(count, this.settings.slotBytes < SLOT_BYTES_MIN);
    this.account = new Account(this.conditions, this.settings);
    this.#paths = new Paths(this.conditions);
    this.#heard = this.each.map(() => new Set());
    const volumes = new Volumes(this.settings);
    this.network = new Network(
      this.world,
      count,
      (to, datagram) => at(this.nodes, to).arrive(datagram),
      (node) => at(this.nodes, node).agent?.actors[0].wake(),
    );
    this.workload = new Workload(this.world, this.account.sent);
    const observer = this.#observer();
    this.nodes = this.each.map((i) => {
      const disks = new NodeDisks(this.world, volumes, i);
      return new Node(this.world, i, this.settings, this.network, volumes, disks, observer);
    });
    for (const spells of this.conditions.down) spells.begin(0);
    if (this.settings.mode === 'none') this.everyPair((a, b) => pair(this.conditions.network, a, b).begin(0));
    this.#sample();
  }

  everyPair(act: (from: NodeIndex, to: NodeIndex) => void): void {
    for (const from of this.each) for (const to of others(this.settings.nodes, from)) act(from, to);
  }

  #observer(): Observer {
    const { account, world } = this;
    const drop = (node: NodeIndex, peer: NodeIndex | null, frame: Uint8Array): void => {
      world.note(`${node} drops ${readId(frame)}`);
      account.dropped(node, peer, frame);
    };
    return {
      entered: (node, frame) => {
        world.note(`${node} takes ${readId(frame)}`);
        account.entered(node, frame, world.nowMs);
      },
      dropped: drop,
      thrownAway: (node, frame) => drop(node, null, frame),
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
        const heard = at(this.#heard, node);
        if (heard.has(name)) account.violation(world.nowMs, 'replay', `node ${node} hears message ${name} again`);
        heard.add(name);
      },
      started: (node) => at(this.#heard, node).clear(),
      slotTaken: (node) => account.violation(world.nowMs, 'taken', `node ${node} says that its slot is another's`),
    };
  }

  /** Looks at paths and at the readers' counters now and then. */
  #sample(): void {
    this.world.after(SAMPLE_MS, () => this.#sample());
    this.everyPair((node, peer) => {
      const wrong = this.#paths.look(node, peer, this.path(node, peer), this.nowMs);
      if (wrong !== null) this.account.violation(this.nowMs, 'path', `node ${node} to ${peer} ${wrong}`);
      this.#checkOverruns(node, peer);
    });
  }

  /** [RING1] */
  #checkOverruns(node: NodeIndex, peer: NodeIndex): void {
    const { agent } = at(this.nodes, node);
    const words = agent && sharedState(agent.context).peers[seatOf(node, peer)]?.words;
    const overruns = words?.[PEER.readCounters + READ_COUNTERS.indexOf('overruns')] ?? 0;
    const key = `${node} ${peer}`;
    if (overruns > (this.#overruns.get(key) ?? 0) && this.#wasLiveReader(node, peer)) {
      this.account.violation(this.nowMs, 'overrun', `node ${node} was overrun while it was reading ${peer}`);
    }
    this.#overruns.set(key, overruns);
  }

  #wasLiveReader(node: NodeIndex, peer: NodeIndex): boolean {
    const { nowMs, conditions } = this;
    const sinceMs = nowMs - LIVE_READER_MS;
    return (
      conditions.carries(node, peer, sinceMs, nowMs) &&
      conditions.acquainted(node, peer, sinceMs) &&
      conditions.bothUp(node, peer, sinceMs, nowMs)
    );
  }

  // --- running -------------------------------------------------------------------------------------------------------

  /** Starts all agents and their applications, and waits until the peers know each other. */
  begin(settleMs = 2500): void {
    for (const i of this.each) this.start(i);
    for (const node of this.nodes) this.workload.begin(node);
    this.run(settleMs);
  }

  /** Starts an agent; tries again until its volume lets it. */
  start(node: NodeIndex): void {
    if (at(this.nodes, node).agent) return;
    if (at(this.nodes, node).start()) at(this.conditions.down, node).set(false, this.nowMs);
    else this.world.after(200, () => this.start(node));
  }

  run(ms: number): void {
    this.world.runUntil(this.world.nowMs + ms);
  }

  get nowMs(): number {
    return this.world.nowMs;
  }

  /** What `node` calls the way to `peer`. */
  path(node: NodeIndex, peer: NodeIndex = other(node)): string {
    return at(this.nodes, node).agent?.switchThread.linkTo(peer).judge.path ?? 'down';
  }

  /** Everything that has gone wrong, after the last frames have had their time. */
  finish(): readonly Violation[] {
    this.account.settle(this.nowMs);
    return this.account.violations;
  }

  /** How many frames of a type from `from` came out since `sinceMs`, at `to` or anywhere. */
  deliveredSince(from: NodeIndex, type: string, sinceMs: number, to?: NodeIndex): number {
    let count = 0;
    for (const sent of this.account.sent.values()) {
      if (sent.from !== from || sent.type !== type) continue;
      for (const copy of sent.copies) {
        if ((to === undefined || copy.to === to) && copy.deliveredMs >= sinceMs) count++;
      }
    }
    return count;
  }
}
