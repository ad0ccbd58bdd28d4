/**
 * The demo of three nodes and more: agents up, heartbeats between all pairs, then one partial partition after the other,
 * each healed and waited for, and the account of every pair at the end.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { AgentError } from '../base/errors.ts';
import { systemClock } from '../platform/clock.ts';
import type { DemoEvent } from './draw.ts';
import type { Lab } from './lab.ts';
import { Mesh, type PairResult } from './mesh.ts';
import {
  assessPartitions,
  type PairInPartition,
  type Partition,
  partitions,
  type PartitionsReport,
} from './partitions.ts';
import type { PartitionsView } from './partitions-draw.ts';
import { longest, type PathChange, wayOf } from './takeovers.ts';
import { PathWatcher } from './watch.ts';

const HEARTBEATS_PER_SECOND = 50;
/** Agents trust a healed network sooner than by default: there are four cuts to see. */
const OVERRIDES = { primary: { probe: { stableForMs: 500, stableForMaxMs: 1000 } } };
const FIRST_PATH_BOUND_MS = 60_000;
const RETURN_BOUND_MS = 30_000;
const SEEN_BOUND_MS = 30_000;
const STEP_MS = 100;

/** A partition that is over: when it was, and which way each pair had taken at its end. */
interface Seen {
  readonly partition: Partition;
  readonly startMs: number;
  readonly endMs: number;
  readonly ways: ReadonlyMap<string, PairInPartition['way']>;
}

export class PartitionsRun {
  readonly events: DemoEvent[] = [];
  readonly #lab: Lab;
  readonly #totalMs: number;
  readonly #signal: AbortSignal;
  readonly #onEvent: (event: DemoEvent) => void;
  readonly #seen: Seen[] = [];
  #startMs = systemClock.monotonicMs();
  #endMs: number | null = null;
  #phase = '';
  #watcher: PathWatcher | null = null;
  #mesh: Mesh | null = null;

  constructor(lab: Lab, seconds: number, signal: AbortSignal, onEvent: (event: DemoEvent) => void) {
    this.#lab = lab;
    this.#totalMs = seconds * 1000;
    this.#signal = signal;
    this.#onEvent = onEvent;
  }

  async run(): Promise<PartitionsReport> {
    try {
      const mesh = await this.#startUp();
      const all = partitions(this.#lab.nodes);
      await this.#pass(this.#totalMs * 0.08);
      for (const partition of all) await this.#goThrough(partition, (this.#totalMs * 0.6) / all.length);
      this.#phase = 'counting what arrived';
      this.#endMs = systemClock.monotonicMs();
      const results = await mesh.stop();
      await this.#watcher?.stop();
      for (const node of this.#lab.nodes) await this.#lab.stopAgent(node);
      return assessPartitions(
        this.#lab.nodes.length,
        results.map((result) => this.#pairReport(result)),
      );
    } finally {
      await this.#watcher?.stop();
    }
  }

  /** The state now, for the picture; null before there is anything to draw. */
  view(): PartitionsView | null {
    const { nodes } = this.#lab;
    const mesh = this.#mesh;
    if (this.#watcher === null || mesh === null) return null;
    return {
      phase: this.#phase,
      elapsedMs: (this.#endMs ?? systemClock.monotonicMs()) - this.#startMs,
      totalMs: this.#totalMs,
      nodes,
      path: (from, to) => this.#watcher?.peer(from, to)?.path ?? 'isolated',
      heartbeats: (from, to) => mesh.progress(from, to),
      events: this.events,
    };
  }

  async #startUp(): Promise<Mesh> {
    const lab = this.#lab;
    await lab.format();
    await Promise.all(lab.nodes.map(async (node) => lab.startAgent(node, OVERRIDES)));
    this.#signal.throwIfAborted();
    this.#watcher = await PathWatcher.start(lab, (change) => this.#pathChanged(change));
    if (!(await this.#watcher.allOn('network', FIRST_PATH_BOUND_MS, this.#signal))) {
      throw new AgentError('failed', `the agents did not find each other within ${FIRST_PATH_BOUND_MS / 1000} s`);
    }
    this.#startMs = systemClock.monotonicMs();
    this.#phase = 'healthy: every pair takes the network';
    if (lab.volume.note !== '') this.#say(lab.volume.note);
    this.#mesh = await Mesh.start(lab, HEARTBEATS_PER_SECOND);
    this.#say(`all ${lab.nodes.length} agents are up; ${HEARTBEATS_PER_SECOND} heartbeats a second from each to each`);
    return this.#mesh;
  }

  async #goThrough(partition: Partition, ms: number): Promise<void> {
    const { nodes } = this.#lab;
    const startMs = systemClock.monotonicMs();
    this.#phase = partition.title;
    this.#say(partition.title, 'bad');
    await partition.cut(this.#lab);
    await this.#pass(ms);
    // On a busy host an agent may answer late: what it says has to be about this partition.
    await this.#watcher?.allSeen(SEEN_BOUND_MS, this.#signal);
    const pairs = nodes.flatMap((from) => nodes.filter((to) => to !== from).map((to) => [from, to] as const));
    const ways = new Map(
      pairs.map(([from, to]) => [`${from} ${to}`, wayOf(this.#watcher?.peer(from, to)?.path ?? 'isolated')]),
    );
    this.#seen.push({ partition, startMs, endMs: systemClock.monotonicMs(), ways });
    this.#phase = 'healed: the network has to prove itself first';
    this.#say('the network is healed');
    await this.#lab.heal();
    const returned = await this.#watcher?.allOn('network', RETURN_BOUND_MS, this.#signal);
    if (returned !== true) this.#say(`not every pair returned within ${RETURN_BOUND_MS / 1000} s`, 'bad');
    await this.#pass(this.#totalMs * 0.03);
  }

  #pairReport({ from, to, sent, received, lost, duplicated, silences }: PairResult) {
    const seen = this.#seen.map(({ partition, startMs, endMs, ways }): PairInPartition => ({
      kind: partition.kind,
      way: ways.get(`${from} ${to}`) ?? 'isolated',
      expected: partition.parts(from, to) ? 'storage' : 'network',
      blackoutMs: longest(silences, startMs, endMs),
    }));
    return { from, to, sent, received, lost, duplicated, partitions: seen };
  }

  /** Lets time go by; an agent that dies, or an interruption, ends the wait with an error. */
  async #pass(ms: number): Promise<void> {
    const deadline = performance.now() + ms;
    while (performance.now() < deadline) {
      this.#watcher?.refuseDead();
      await delay(Math.min(STEP_MS, Math.max(1, deadline - performance.now())), undefined, { signal: this.#signal });
    }
  }

  #pathChanged({ node, peer = '', from, to }: PathChange): void {
    // Before the account begins the agents are still finding each other; a late probe changes no way.
    if (this.#mesh === null || wayOf(from) === wayOf(to)) return;
    this.#say(`${node} → ${peer}: ${from} → ${to}`, to === 'isolated' ? 'bad' : 'good');
  }

  #say(text: string, tone: DemoEvent['tone'] = 'plain'): void {
    const event = { atMs: systemClock.monotonicMs() - this.#startMs, text, tone };
    this.events.push(event);
    this.#onEvent(event);
  }
}
