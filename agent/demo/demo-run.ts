/**
 * One run of the demo: agents up, traffic up, then the phases of the plan, and the account at the end.
 *
 *     healthy | silent cut | heal, wait for the network | carrier down | heal, wait for the network | finish
 */
import { setTimeout as delay } from 'node:timers/promises';
import { AgentError } from '../base/errors.ts';
import { systemClock } from '../platform/clock.ts';
import type { DemoEvent, DemoView, DirectionView } from './draw.ts';
import { spread } from './figures.ts';
import type { Lab } from './lab.ts';
import { copySettings, type LabCopy, prepareCopies } from './lab-copies.ts';
import { type Overrides, overlay } from './lab-settings.ts';
import { type DemoReport, assess } from './report.ts';
import { type PathChange, type Phase, type PhaseKind, roundTripsByWay, takeovers } from './takeovers.ts';
import { PathWatcher } from './watch.ts';
import { type PingRun, type TcpTransfer, type UdpStream, heartbeatStream, startPing, tcpTransfer } from './workload.ts';

const HEARTBEATS_PER_SECOND = 100;
const PING_INTERVAL_SECONDS = 0.02;
/** A busy connection that still leaves the machine to its other work. */
const TCP_BYTES_PER_SECOND = 25e6;
/** What a copy carries on a busy machine, beside heartbeats that may not wait for it. */
const COPIED_BYTES_PER_SECOND = { local: 10e6, command: 500e3, mirror: 2e6 } as const;
/** How long the agents may take to find each other, and to trust the network again. */
const FIRST_PATH_BOUND_MS = 60_000;
const RETURN_BOUND_MS = 30_000;
const STEP_MS = 100;
/** One figure for the picture's bars. */
const RATE_MS = 500;
const RECENT = 60;

export interface DemoPlan {
  readonly totalMs: number;
  readonly healthyMs: number;
  readonly cutMs: number;
  /** How long to go on after each return. */
  readonly settleMs: number;
  /** Laid over the agents' settings. */
  readonly overrides: Overrides;
}

/** Divides the time; a short run asks the agents to trust a healed network sooner. */
export function planDemo(seconds: number): DemoPlan {
  const totalMs = seconds * 1000;
  const overrides = seconds < 35 ? { primary: { probe: { stableForMs: 1000 } } } : {};
  return { totalMs, healthyMs: totalMs * 0.12, cutMs: totalMs * 0.2, settleMs: totalMs * 0.06, overrides };
}

interface Traffic {
  readonly heartbeats: readonly [UdpStream, UdpStream];
  readonly ping: PingRun;
  readonly tcp: TcpTransfer;
}

export class DemoRun {
  readonly events: DemoEvent[] = [];
  readonly #lab: Lab;
  readonly #copy: 'shared' | LabCopy;
  readonly #plan: DemoPlan;
  readonly #signal: AbortSignal;
  readonly #onEvent: (event: DemoEvent) => void;
  readonly #phases: Phase[] = [];
  readonly #rates: number[] = [];
  #rateAt = { ms: 0, bytes: 0 };
  #startMs = systemClock.monotonicMs();
  #endMs: number | null = null;
  #phase = 'starting two agents';
  #network: DemoView['network'] = 'up';
  #watcher: PathWatcher | null = null;
  #traffic: Traffic | null = null;

  constructor(
    lab: Lab,
    copy: 'shared' | LabCopy,
    plan: DemoPlan,
    signal: AbortSignal,
    onEvent: (event: DemoEvent) => void,
  ) {
    this.#lab = lab;
    this.#copy = copy;
    this.#plan = plan;
    this.#signal = signal;
    this.#onEvent = onEvent;
  }

  async run(): Promise<DemoReport> {
    try {
      await this.#startUp();
      await this.#goThroughPhases();
      return await this.#account();
    } finally {
      await this.#watcher?.stop();
    }
  }

  get #tcpBytesPerSecond(): number {
    return this.#copy === 'shared' ? TCP_BYTES_PER_SECOND : COPIED_BYTES_PER_SECOND[this.#copy];
  }

  /** The state now, for the picture; null before there is anything to draw. */
  view(): DemoView | null {
    const [a = '', b = ''] = this.#lab.nodes;
    if (this.#watcher === null || this.#traffic === null) return null;
    const { ping, tcp } = this.#traffic;
    this.#noteRate(tcp.progress.bytes);
    return {
      copy: this.#copy,
      phase: this.#phase,
      elapsedMs: (this.#endMs ?? systemClock.monotonicMs()) - this.#startMs,
      totalMs: this.#plan.totalMs,
      network: this.#network,
      addresses: [this.#lab.vnicAddress(a), this.#lab.vnicAddress(b)],
      directions: [this.#direction(a, b, 0), this.#direction(b, a, 1)],
      ping: { received: ping.samples.length, recentMs: ping.samples.slice(-RECENT).map(({ rttMs }) => rttMs) },
      tcp: { ...tcp.progress, recentRates: this.#rates.slice(-RECENT) },
      events: this.events,
    };
  }

  async #startUp(): Promise<void> {
    const lab = this.#lab;
    const [a = '', b = ''] = lab.nodes;
    await this.#startAgents();
    this.#signal.throwIfAborted();
    this.#watcher = await PathWatcher.start(lab, (change) => this.#pathChanged(change));
    if (!(await this.#watcher.allOn('network', FIRST_PATH_BOUND_MS, this.#signal))) {
      throw new AgentError('failed', `the agents did not find each other within ${FIRST_PATH_BOUND_MS / 1000} s`);
    }
    // Changes up to here were the start; the account begins now.
    this.#watcher.changes.length = 0;
    this.#startMs = systemClock.monotonicMs();
    this.#begin('healthy', 'healthy: data takes the network, heartbeats take both ways');
    if (lab.volume.note !== '') this.#say(lab.volume.note);
    this.#say('both agents are up, the network carries the traffic', 'good');
    const perSecond = HEARTBEATS_PER_SECOND;
    this.#traffic = {
      heartbeats: [
        await heartbeatStream(lab, { from: a, to: b, perSecond }),
        await heartbeatStream(lab, { from: b, to: a, perSecond }),
      ],
      tcp: await tcpTransfer(lab, { from: a, to: b, bytesPerSecond: this.#tcpBytesPerSecond }),
      ping: await startPing(lab, { from: a, to: b, intervalSeconds: PING_INTERVAL_SECONDS }),
    };
    this.#say(`traffic: ${perSecond} heartbeats a second each way, ping, one TCP connection`);
  }

  async #startAgents(): Promise<void> {
    const lab = this.#lab;
    const copy = this.#copy;
    const { overrides } = this.#plan;
    if (copy === 'shared') {
      await lab.format();
      await Promise.all(lab.nodes.map(async (node) => lab.startAgent(node, overrides)));
      return;
    }
    const volumes = await prepareCopies(lab, copy);
    const settings = [...volumes].map(
      ([node, its]) => [node, overlay(copySettings(lab, node, copy, its), overrides)] as const,
    );
    await Promise.all(settings.map(async ([node, its]) => lab.startAgent(node, its)));
  }

  async #goThroughPhases(): Promise<void> {
    const { healthyMs, cutMs, settleMs, totalMs } = this.#plan;
    const [first = ''] = this.#lab.nodes;
    await this.#pass(healthyMs);
    this.#begin('silent', 'silent cut: the switch drops everything');
    await this.#lab.cut('silent');
    this.#network = 'silent';
    this.#say('the network is cut silently: the switch drops every packet', 'bad');
    await this.#pass(cutMs);
    await this.#healAndReturn(settleMs);
    this.#begin('carrier', `carrier lost: the switch port of ${first} is down`);
    await this.#lab.cut('carrier', first);
    this.#network = 'carrier';
    this.#say(`the carrier of ${first} is gone: its switch port is down`, 'bad');
    await this.#pass(cutMs);
    await this.#healAndReturn(settleMs);
    this.#phase = 'finish';
    await this.#pass(totalMs - (systemClock.monotonicMs() - this.#startMs));
  }

  async #healAndReturn(settleMs: number): Promise<void> {
    this.#begin('return', 'healed: the network has to prove itself first');
    await this.#lab.heal();
    this.#network = 'up';
    this.#say('the network is healed');
    const returned = await this.#watcher?.allOn('network', RETURN_BOUND_MS, this.#signal);
    if (returned === true) this.#phase = 'healthy again: data takes the network';
    else this.#say(`the agents did not return to the network within ${RETURN_BOUND_MS / 1000} s`, 'bad');
    await this.#pass(settleMs);
  }

  async #account(): Promise<DemoReport> {
    this.#phase = 'counting what arrived';
    this.#endMs = systemClock.monotonicMs();
    const traffic = this.#traffic;
    const watcher = this.#watcher;
    if (traffic === null || watcher === null) throw new AgentError('failed', 'the demo has not run');
    const ping = await traffic.ping.stop();
    const tcp = await traffic.tcp.stop();
    const streams = await Promise.all(traffic.heartbeats.map(async (stream) => stream.stop()));
    const sum = (name: 'sent' | 'received' | 'lost' | 'duplicated'): number =>
      streams.reduce((total, stream) => total + stream[name], 0);
    const silences = streams.flatMap((stream) => stream.silences);
    const trips = roundTripsByWay(ping.samples, watcher.changes, this.#lab.nodes);
    await watcher.stop();
    for (const node of this.#lab.nodes) await this.#lab.stopAgent(node);
    return assess({
      nodes: this.#lab.nodes.length,
      copy: this.#copy,
      takeovers: takeovers(watcher.changes, this.#phases, silences),
      heartbeats: { sent: sum('sent'), received: sum('received'), lost: sum('lost'), duplicated: sum('duplicated') },
      ping: { sent: ping.sent, received: ping.received },
      tcp: { bytes: tcp.bytes, survived: tcp.survived, corrupted: tcp.corrupted },
      rttMs: { network: spread(trips.network), storage: spread(trips.storage) },
    });
  }

  #begin(kind: PhaseKind, title: string): void {
    this.#phases.push({ kind, startMs: systemClock.monotonicMs() });
    this.#phase = title;
  }

  /** Lets time go by; an agent that dies, or an interruption, ends the wait with an error. */
  async #pass(ms: number): Promise<void> {
    const deadline = performance.now() + ms;
    while (performance.now() < deadline) {
      await delay(Math.min(STEP_MS, Math.max(1, deadline - performance.now())), undefined, { signal: this.#signal });
      this.#watcher?.refuseDead();
    }
  }

  #pathChanged({ node, from, to }: PathChange): void {
    if (this.#phases.length === 0) return; // still finding each other
    const tone = to === 'network' || to === 'storage' ? 'good' : 'bad';
    this.#say(`${node}: path ${from} → ${to}`, tone);
  }

  #say(text: string, tone: DemoEvent['tone'] = 'plain'): void {
    const event = { atMs: systemClock.monotonicMs() - this.#startMs, text, tone };
    this.events.push(event);
    this.#onEvent(event);
  }

  #noteRate(bytes: number): void {
    const nowMs = systemClock.monotonicMs();
    const passedMs = nowMs - this.#rateAt.ms;
    if (passedMs < RATE_MS || this.#endMs !== null) return;
    if (this.#rateAt.ms > 0) this.#rates.push(((bytes - this.#rateAt.bytes) / passedMs) * 1000);
    this.#rateAt = { ms: nowMs, bytes };
  }

  #direction(from: string, to: string, index: 0 | 1): DirectionView {
    const peer = this.#watcher?.peer(from, to);
    const queues = Object.entries(peer?.queues ?? {}).map(([type, queue]) => [type, queue.depth ?? 0] as const);
    const { received = 0, missing = 0, longestSilenceMs = 0 } = this.#traffic?.heartbeats[index].progress ?? {};
    return {
      from,
      to,
      path: peer?.path ?? 'network',
      onPathMs: this.#watcher?.onPathMs(from, to) ?? 0,
      rttMs: peer?.network?.rttMs ?? null,
      lagMs: peer?.storage?.lagMs ?? null,
      queued: Object.fromEntries(queues),
      heartbeats: { received, missing, longestSilenceMs },
    };
  }
}
