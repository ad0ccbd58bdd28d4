/** Watches the agents of a lab over their control sockets, and notes each change of a path. */
import { setTimeout as delay } from 'node:timers/promises';
import { AgentError } from '../base/errors.ts';
import type { Path } from '../base/paths.ts';
import { systemClock } from '../platform/clock.ts';
import type { AgentStatus, PeerStatus } from './control-client.ts';
import type { Lab } from './lab.ts';
import type { PathChange } from './takeovers.ts';

const POLL_MS = 50;

export class PathWatcher {
  readonly changes: PathChange[] = [];
  readonly #lab: Lab;
  readonly #onChange: (change: PathChange) => void;
  readonly #latest = new Map<string, AgentStatus>();
  /** By node and peer. */
  readonly #sinceMs = new Map<string, number>();
  /** When each node's agent was asked for the status that is its latest. */
  readonly #askedMs = new Map<string, number>();
  #stopped = false;
  #polling: Promise<unknown> = Promise.resolve();

  private constructor(lab: Lab, onChange: (change: PathChange) => void) {
    this.#lab = lab;
    this.#onChange = onChange;
  }

  /** Starts once every agent has answered. */
  static async start(lab: Lab, onChange: (change: PathChange) => void = () => {}): Promise<PathWatcher> {
    const watcher = new PathWatcher(lab, onChange);
    for (const node of lab.nodes) watcher.#take(node, await lab.status(node));
    watcher.#polling = Promise.all(lab.nodes.map(async (node) => watcher.#poll(node)));
    return watcher;
  }

  status(node: string): AgentStatus | undefined {
    return this.#latest.get(node);
  }

  /** The node's view of a peer, of its first one unless named. */
  peer(node: string, peer?: string): PeerStatus | undefined {
    return this.#latest.get(node)?.peers.find((candidate) => peer === undefined || candidate.node === peer);
  }

  /** How long the node has been on its present path to a peer, as far as it was watched. */
  onPathMs(node: string, peer: string): number {
    return systemClock.monotonicMs() - (this.#sinceMs.get(`${node} ${peer}`) ?? systemClock.monotonicMs());
  }

  /** Waits until every node is on `path` to each peer; false when that takes longer than the bound. */
  async allOn(path: Path, boundMs: number, signal?: AbortSignal): Promise<boolean> {
    const deadline = performance.now() + boundMs;
    for (;;) {
      this.refuseDead();
      const isOn = (node: string): boolean =>
        this.#latest.get(node)?.peers.every((peer) => peer.path === path) ?? false;
      if (this.#lab.nodes.every(isOn)) return true;
      if (performance.now() > deadline) return false;
      await delay(POLL_MS / 2, undefined, { signal });
    }
  }

  /** Waits until what is known of every node is no older than now; false when that takes longer than the bound. */
  async allSeen(boundMs: number, signal?: AbortSignal): Promise<boolean> {
    const nowMs = systemClock.monotonicMs();
    for (;;) {
      this.refuseDead();
      if (this.#lab.nodes.every((node) => (this.#askedMs.get(node) ?? 0) >= nowMs)) return true;
      if (systemClock.monotonicMs() - nowMs > boundMs) return false;
      await delay(POLL_MS / 2, undefined, { signal });
    }
  }

  /** Throws when an agent has ended by itself, with its last words. */
  refuseDead(): void {
    for (const node of this.#lab.nodes) {
      const ended = this.#lab.agentEnded(node);
      if (ended === null) continue;
      const words = this.#lab.agentLog(node).trim().split('\n').slice(-2).join(' / ');
      throw new AgentError('died', `the agent of ${node} ended (${ended}): ${words}`);
    }
  }

  /** Idempotent. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#polling;
  }

  /** Each node for itself: a frozen agent must not keep us from seeing what the others do. */
  async #poll(node: string): Promise<void> {
    while (!this.#stopped) {
      const next = delay(POLL_MS);
      const askedMs = systemClock.monotonicMs();
      // An agent that does not answer just now keeps its last status; one that has died is for refuseDead.
      const status = await this.#lab.status(node).catch(() => null);
      if (status !== null && !this.#stopped) {
        this.#take(node, status);
        this.#askedMs.set(node, askedMs);
      }
      await next;
    }
  }

  #take(node: string, status: AgentStatus): void {
    const nowMs = systemClock.monotonicMs();
    const before = this.#latest.get(node);
    this.#latest.set(node, status);
    for (const { node: peer, path: to } of status.peers) {
      const from = before?.peers.find((each) => each.node === peer)?.path;
      if (from === to) continue;
      this.#sinceMs.set(`${node} ${peer}`, nowMs);
      if (from === undefined) continue;
      const change = { atMs: nowMs, node, peer, from, to };
      this.changes.push(change);
      this.#onChange(change);
    }
  }
}
