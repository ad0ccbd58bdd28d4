/**
 * What befalls a simulated cluster. Scenarios and the swarm speak to this; every fault goes through it, so that the
 * checkers know what to excuse.
 */
import type { Override } from '../../agent/base/paths.ts';
import { SimCluster } from './cluster.ts';
import type { DiskFaults } from './disk.ts';
import { GOOD_NETWORK, type Direction } from './network.ts';
import { at, others, pair, type NodeIndex } from './pairs.ts';
import type { ReadFaults } from './read-disk.ts';

/** The network is good while it carries everything within this time. */
const GOOD_DELAY_MS = 25;
const READ_FAULTS = ['readErrno', 'slowReadMs', 'readsHangUntilMs', 'past'] as const;

export class Simulation extends SimCluster {
  // --- nodes ---------------------------------------------------------------------------------------------------------

  crash(node: NodeIndex, reboot = false): void {
    if (!at(this.nodes, node).agent) return;
    at(this.conditions.down, node).set(true, this.nowMs);
    at(this.nodes, node).crash(reboot);
  }

  freeze(node: NodeIndex): void {
    if (!at(this.nodes, node).isRunning) return;
    at(this.conditions.down, node).set(true, this.nowMs);
    at(this.nodes, node).freeze();
  }

  thaw(node: NodeIndex): void {
    if (!at(this.nodes, node).isFrozen) return;
    at(this.conditions.down, node).set(false, this.nowMs);
    at(this.nodes, node).thaw();
  }

  /** An operator's word on the ways of a node: to one peer, or to all. */
  override(node: NodeIndex, override: Override, peer?: NodeIndex): void {
    const { agent, name } = at(this.nodes, node);
    if (!agent) return;
    for (const to of peer === undefined ? others(this.settings.nodes, node) : [peer]) {
      pair(this.conditions.override, node, to).set(override !== 'auto', this.nowMs);
      agent.switchThread.linkTo(to).judge.override = override;
    }
    this.world.note(`operator: path of ${name} is ${override}`);
  }

  /** Somebody sets the wall clock of a node. */
  stepWall(node: NodeIndex, byMs: number): void {
    at(this.nodes, node).clock.stepWall(byMs);
    this.world.note(`wall clock of ${node}: ${byMs.toFixed(0)} ms`);
  }

  // --- network -------------------------------------------------------------------------------------------------------

  /** Changes what the network does with `from`'s datagrams, to one peer or to all. */
  net(from: NodeIndex, change: Partial<Direction>, to?: NodeIndex): void {
    for (const target of to === undefined ? others(this.settings.nodes, from) : [to]) {
      Object.assign(this.network.way(from, target), change);
      this.#noteNetwork(from, target);
    }
    this.world.note(`network from ${from}${to === undefined ? '' : ` to ${to}`}: ${JSON.stringify(change)}`);
  }

  #noteNetwork(from: NodeIndex, to: NodeIndex): void {
    const { conditions, network, nowMs } = this;
    const { lossPerMille, delayMs, jitterMs } = network.way(from, to);
    const isUp = network.isUp(from, to);
    const isLossy = lossPerMille > 0 || network.port(from).fullPerMille > 0;
    const isSlow = delayMs + jitterMs > GOOD_DELAY_MS;
    pair(conditions.network, from, to).set(!isUp || isLossy || isSlow || this.settings.mode === 'none', nowMs);
    pair(conditions.cut, from, to).set(!isUp, nowMs);
    pair(conditions.lossy, from, to).set(isUp && isLossy, nowMs);
    pair(conditions.delayed, from, to).set(isUp && isSlow, nowMs);
  }

  /** How often a node's socket takes no more. */
  socketFull(node: NodeIndex, fullPerMille: number): void {
    this.network.port(node).fullPerMille = fullPerMille;
    for (const to of others(this.settings.nodes, node)) this.#noteNetwork(node, to);
    this.world.note(`socket of ${node}: ${fullPerMille}`);
  }

  /** The cable of a node is pulled or put back, and its kernel says so. */
  carrier(node: NodeIndex, carrier: boolean): void {
    this.network.port(node).carrier = carrier;
    this.everyPair((from, to) => this.#noteNetwork(from, to));
    this.world.note(`carrier of ${node}: ${carrier}`);
    at(this.nodes, node).tellCarrier();
  }

  /** Somebody sends recorded datagrams of `from` again. */
  replay(from: NodeIndex, count: number): void {
    this.conditions.replays.add(this.nowMs, this.nowMs + 200);
    this.network.replay(from, count);
  }

  /** Everything is cut, or what one node sends. */
  cut(which: NodeIndex | 'both' = 'both'): void {
    for (const from of this.each) if (which === 'both' || which === from) this.net(from, { up: false });
  }

  /** One pair alone, in both directions. */
  cutPair(a: NodeIndex, b: NodeIndex): void {
    this.net(a, { up: false }, b);
    this.net(b, { up: false }, a);
  }

  healPair(a: NodeIndex, b: NodeIndex): void {
    this.net(a, GOOD_NETWORK, b);
    this.net(b, GOOD_NETWORK, a);
  }

  /** Silently: the carrier stays. */
  isolate(node: NodeIndex): void {
    for (const peer of others(this.settings.nodes, node)) this.cutPair(node, peer);
  }

  heal(): void {
    for (const node of this.each) {
      if (!this.network.port(node).carrier) this.carrier(node, true);
      if (this.network.port(node).fullPerMille > 0) this.socketFull(node, 0);
      this.net(node, GOOD_NETWORK);
    }
  }

  // --- storage -------------------------------------------------------------------------------------------------------

  /** Changes how the storage behaves for one node; with `writer`, its reads of what that one writes. */
  disk(node: NodeIndex, change: Partial<DiskFaults>, writer?: NodeIndex): void {
    const { disks } = at(this.nodes, node);
    const { conditions, nowMs } = this;
    const readChange = Object.fromEntries(
      READ_FAULTS.flatMap((name) => (name in change ? [[name, change[name]]] : [])),
    );
    for (const disk of disks.reads) {
      if (writer !== undefined && !disk.writers.includes(writer)) continue;
      Object.assign(disk.faults, readChange as Partial<ReadFaults>);
      const { readErrno, slowReadMs, past } = disk.faults;
      const isBad = readErrno !== 0 || slowReadMs > 0 || past !== null;
      for (const from of disk.writers) pair(conditions.reads, from, node).set(isBad, nowMs);
    }
    if (writer === undefined) {
      const writeChange = Object.entries(change).filter(([name]) => !(READ_FAULTS as readonly string[]).includes(name));
      const { faults } = disks.own;
      Object.assign(faults, Object.fromEntries(writeChange));
      const isBad = faults.writeErrno !== 0 || faults.slowWriteMs > 0 || faults.misdirect > 0;
      at(conditions.writes, node).set(isBad, nowMs);
    }
    const whose = writer === undefined ? '' : ` reading ${writer}`;
    this.world.note(`disk of ${node}${whose}: ${JSON.stringify({ ...change, past: undefined })}`);
  }

  /** The storage does not answer `node` for `ms`; with `writer`, no reads of what that one writes. */
  hang(node: NodeIndex, ms: number, which: 'reads' | 'writes' | 'both' = 'both', writer?: NodeIndex): void {
    const untilMs = this.nowMs + ms;
    if (which !== 'reads') {
      this.disk(node, { writesHangUntilMs: untilMs });
      at(this.conditions.writes, node).add(this.nowMs, untilMs);
    }
    if (which !== 'writes') {
      this.disk(node, { readsHangUntilMs: untilMs }, writer);
      for (const disk of at(this.nodes, node).disks.reads) {
        if (writer !== undefined && !disk.writers.includes(writer)) continue;
        for (const from of disk.writers) pair(this.conditions.reads, from, node).add(this.nowMs, untilMs);
      }
    }
  }

  /** From now on half of `node`'s reads show the volumes as they are now. */
  showPast(node: NodeIndex): void {
    for (const disk of at(this.nodes, node).disks.reads) disk.remember();
    this.disk(node, {});
  }

  /** The next write of `node` lands in another node's place. What that damages may be lost for a while. */
  misdirect(node: NodeIndex, damageMs = 3000): void {
    this.disk(node, { misdirect: 1 });
    for (const spells of this.conditions.writes) spells.add(this.nowMs, this.nowMs + damageMs);
  }

  healDisks(): void {
    for (const node of this.each) {
      at(this.nodes, node).disks.heal();
      this.disk(node, {});
    }
  }
}
