/**
 * Carries out what each peer's `BypassJudge` decides: a host route over the primary network comes or goes, at once and in
 * this thread; and asks a peer's host for an echo when its agent is silent.
 */
import { METRIC_PAST, ROUTE_PROTOCOL } from '../bypass/names.ts';
import type { BypassPlan } from '../bypass/bypass.ts';
import type { PeerLink } from '../core/peer-link.ts';
import type { CoreEvent } from '../core/ports.ts';
import { EchoSocket } from '../platform/echo-socket.ts';
import { type HostRoute, type RoutePlace, RouteSocket } from '../platform/route-socket.ts';
import { PEER, type SharedState } from '../queue/shared-state.ts';

/** The kernel's own shortest timer is 200 ms. */
const RTO_MIN_MS = 0;
/** A route that the kernel refused (its interface is down) is tried again after this time. */
const TRY_AGAIN_MS = 500;

interface PeerBypass {
  readonly link: PeerLink;
  readonly words: Int32Array;
  readonly host: string;
  readonly routes: readonly HostRoute[];
  /** What the kernel has; null: not known. */
  applied: boolean | null;
  triedMs: number;
  changes: number;
  echo: EchoSocket | null;
}

export interface BypassFigures {
  /** False without `mode: route`, and where the peer is not on the same link. */
  readonly possible: boolean;
  readonly active: boolean;
  readonly here: boolean;
  readonly there: boolean;
  readonly changes: number;
}

export const NO_BYPASS: BypassFigures = { possible: false, active: false, here: false, there: false, changes: 0 };

export class BypassEdge {
  readonly #socket = new RouteSocket();
  readonly #state: SharedState;
  #plan: BypassPlan;
  #peers: readonly PeerBypass[] = [];
  readonly #event: (event: CoreEvent) => void;
  /** Of this agent's echoes. */
  readonly #token: number;

  /** `token`: any number that other programs' echoes do not bear. */
  constructor(plan: BypassPlan, state: SharedState, token: number, event: (event: CoreEvent) => void) {
    this.#plan = plan;
    this.#state = state;
    this.#token = token;
    this.#event = event;
  }

  get #place(): RoutePlace {
    const { interfaceIndex, table } = this.#plan;
    return { interfaceIndex, table, metric: METRIC_PAST, protocol: ROUTE_PROTOCOL, rtoMinMs: RTO_MIN_MS };
  }

  attach(link: PeerLink): void {
    const words = this.#state.peers[link.settings.seat]?.words ?? new Int32Array(0);
    const routes = this.#plan.routes[link.settings.name] ?? [];
    const host = routes[0]?.via ?? '';
    this.#peers = [
      ...this.#peers,
      { link, words, host, routes, applied: null, triedMs: -Infinity, changes: 0, echo: null },
    ];
  }

  /** The peer is one no more. */
  detach(seat: number): void {
    const gone = this.#at(seat);
    this.#peers = this.#peers.filter((peer) => peer !== gone);
    gone?.echo?.close();
    for (const route of gone?.routes ?? []) this.#socket.remove(route, this.#place);
  }

  /** Takes over a plan. Who stays and has the same routes notices nothing. */
  apply(plan: BypassPlan, links: readonly PeerLink[]): void {
    const before = this.#place;
    this.#plan = plan;
    for (const link of links) {
      const { seat, name } = link.settings;
      const peer = this.#at(seat);
      if (peer && JSON.stringify(peer.routes) === JSON.stringify(plan.routes[name] ?? [])) continue;
      for (const route of peer?.routes ?? []) this.#socket.remove(route, before);
      this.detach(seat);
      this.attach(link);
    }
  }

  #at(seat: number): PeerBypass | undefined {
    return this.#peers.find(({ link }) => link.settings.seat === seat);
  }

  /** After each round of the switch. */
  round(nowMs: number): void {
    for (const peer of this.#peers) {
      if (peer.link.bypass === null) continue;
      this.#askForEcho(peer, nowMs);
      const { active } = peer.link.bypass;
      if (active === null || active === peer.applied || nowMs - peer.triedMs < TRY_AGAIN_MS) continue;
      this.#apply(peer, active, nowMs);
    }
  }

  /** The kernel has said something of an interface: one that went down and up again has lost its routes. */
  linkChanged(): void {
    for (const { applied, routes } of this.#peers) {
      if (applied === true) for (const route of routes) this.#socket.add(route, this.#place);
    }
  }

  figures(seat: number): BypassFigures {
    const peer = this.#at(seat);
    if (!peer?.link.bypass) return NO_BYPASS;
    const { willing, peerWilling } = peer.link.bypass;
    const { applied, changes } = peer;
    return { possible: true, active: applied === true, here: willing === true, there: peerWilling, changes };
  }

  /** The routes stay: whoever ends the agent in order removes them with the rest. */
  close(): void {
    this.#socket.close();
    for (const { echo } of this.#peers) echo?.close();
  }

  #apply(peer: PeerBypass, active: boolean, nowMs: number): void {
    const results = peer.routes.map((route) =>
      active ? this.#socket.add(route, this.#place) : this.#socket.remove(route, this.#place),
    );
    const errno = Math.min(0, ...results);
    const name = peer.link.settings.name;
    if (errno < 0) {
      // Said once, not at each attempt.
      if (peer.triedMs === -Infinity) this.#event({ kind: 'bypass-error', peer: name, atMs: nowMs, errno: -errno });
      peer.triedMs = nowMs;
      return;
    }
    peer.triedMs = -Infinity;
    peer.applied = active;
    peer.changes++;
    // The reader waits for it before it delivers what would be answered over a way that is gone.
    Atomics.store(peer.words, PEER.bypass, active ? 1 : 0);
    Atomics.notify(peer.words, PEER.bypass);
    this.#event({ kind: 'bypass', peer: name, atMs: nowMs, active });
  }

  /** The socket is there only while it is needed: on a healthy network nobody has to look at every ping's answer. */
  #askForEcho(peer: PeerBypass, nowMs: number): void {
    const { judge, bypass } = peer.link;
    if (bypass === null) return;
    if (bypass.asks(judge.path, nowMs)) {
      peer.echo ??= new EchoSocket(peer.host, this.#token);
      peer.echo.ask();
    }
    if (peer.echo?.hasAnswered() === true) bypass.answered(nowMs);
    if (judge.path !== 'network' && bypass.willing === true) return;
    peer.echo?.close();
    peer.echo = null;
  }
}
