/**
 * Decides for one peer whether the kernel's own route may carry the bypassed packets (`mode: route`). Pure; `tick` follows
 * the judge, the peer's word comes with its hellos.
 *
 * A node is *willing* while its judge calls the peer's network good. The bypass is *active* when both are willing: a node
 * that has left the network refuses, with a strict reverse-path filter, what still comes over it.
 *
 * A silent agent is no dead network. When the peer's agent was killed its kernel still answers, and its routes are still
 * there: while echoes are answered the bypass stays. Where no way is left at all (isolated) it stays too: the kernel's
 * own way is then the best there is.
 */
import type { Override, Path } from '../base/paths.ts';

/** Echoes a probe interval while the agent has only just fallen silent: the answer must be there when the judge decides. */
const ECHOES_PER_INTERVAL = 4;
/** Where the judge decides at once (the peer says that it does not hear us), an echo has this long to be answered. */
const ANSWER_WAIT_MS = 8;
/** An answered echo stands for a living network for this many probe intervals. */
const ANSWER_INTERVALS = 1.5;

export class BypassJudge {
  /** Between the judge's probes. */
  intervalMs: number;
  #willing: boolean | null = null;
  #peerWilling = false;
  #path: Path = 'isolated';
  #waitUntilMs = -Infinity;
  #askedMs = -Infinity;
  #answeredMs = -Infinity;

  constructor(intervalMs: number) {
    this.intervalMs = intervalMs;
  }

  /** Null until the first verdict: what a former agent left stays as it is. */
  get willing(): boolean | null {
    return this.#willing;
  }

  get peerWilling(): boolean {
    return this.#peerWilling;
  }

  /** Whether packets go past the agent; null: leave the routes as they are. */
  get active(): boolean | null {
    return this.#willing === null ? null : this.#willing && this.#peerWilling;
  }

  peerSays(willing: boolean): void {
    this.#peerWilling = willing;
  }

  /** The peer's host answered an echo. */
  answered(nowMs: number): void {
    this.#answeredMs = nowMs;
  }

  /** True when an echo should be sent now: the peer's agent is silent, and its host may not be. */
  asks(path: Path, nowMs: number): boolean {
    if (path === 'network' || this.#willing !== true) return false;
    const pauseMs = path === 'suspect' ? this.intervalMs / ECHOES_PER_INTERVAL : this.intervalMs / 2;
    if (nowMs - this.#askedMs < pauseMs) return false;
    this.#askedMs = nowMs;
    return true;
  }

  /** Answers true when the willingness changed. */
  tick(path: Path, override: Override, hasCarrier: boolean, nowMs: number): boolean {
    const before = this.#willing;
    // An agent that stood still is told on its return that nobody hears it: it has not asked for an echo before.
    const isUnasked = nowMs - this.#askedMs > this.intervalMs;
    if (path !== this.#path && isUnasked) this.#waitUntilMs = nowMs + ANSWER_WAIT_MS;
    this.#path = path;
    this.#willing = this.#judge(path, override, hasCarrier, nowMs);
    return this.#willing !== before;
  }

  #judge(path: Path, override: Override, hasCarrier: boolean, nowMs: number): boolean | null {
    if (override === 'storage' || !hasCarrier) return false;
    if (path === 'network' || path === 'suspect') return true;
    if (path === 'isolated') return this.#willing === null ? null : true;
    const answers = nowMs - this.#answeredMs <= ANSWER_INTERVALS * this.intervalMs;
    return this.#willing === true && (answers || nowMs < this.#waitUntilMs);
  }
}
