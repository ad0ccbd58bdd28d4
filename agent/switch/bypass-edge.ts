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
/** A carrier is lost for good, or back, after this time. */
const CARRIER_WAIT_MS = 300;
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
  /** Since when the carrier has been gone and the route is still to be removed; Infinity: it is not so. */
  lostMs: number;
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
      { link, words, host, routes, applied: null, triedMs: -Infinity, lostMs: Infinity, changes: 0, echo: null },
    ];
  }

  /** The peer is one no more. */
  detach(seat: number): void {
    const gone = this.#at(seat);
    this.#peers = this.#peers.filter((peer) => peer !== gone);
    gone?.echo?.close();
    for (const route of gone?.routes ?? []) this.#socket.remove(route, this.#place);
    // Without it the reader would go on waiting for a route that nobody takes away any more.
    if (gone) tellReader(gone, false);
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
      if (active === peer.applied) endLoss(peer);
      if (active === null || active === peer.applied || nowMs - peer.triedMs < TRY_AGAIN_MS) continue;
      if (this.#isLeftToKernel(peer, active, nowMs)) continue;
      this.#apply(peer, active, nowMs);
    }
  }

  /** An interface that was taken down has lost its routes. */
  linkIsBack(): void {
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

  /**
   * While the kernel takes an interface down it lets nobody change routes: this thread would stand still for tens of
   * milliseconds, just when its packets have to go by storage. The kernel has left the route already; ours can wait.
   */
  #isLeftToKernel(peer: PeerBypass, active: boolean, nowMs: number): boolean {
    if (active || peer.link.judge.hasCarrier || !this.#plan.isKernelLeaving) {
      endLoss(peer);
      return false;
    }
    if (peer.lostMs === Infinity) {
      peer.lostMs = nowMs;
      // There is nothing to wait for: a reader that did would hold up each peer's packets in turn.
      tellReader(peer, false);
    }
    return nowMs - peer.lostMs < CARRIER_WAIT_MS;
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
    tellReader(peer, active);
    this.#event({ kind: 'bypass', peer: name, atMs: nowMs, active, reason: reasonOf(peer.link, active) });
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

/** Why packets to the peer go past the agents, or no more. */
function reasonOf({ judge, bypass }: PeerLink, active: boolean): string {
  if (active) return 'both sides call the network good';
  if (!judge.hasCarrier) return 'carrier lost';
  if (judge.override === 'storage') return 'operator';
  return bypass?.willing === true ? 'the peer has left the network' : 'this node has left the network';
}

/** The reader waits for a 0 before it delivers what would be answered over a way that is gone. */
function tellReader({ words }: PeerBypass, active: boolean): void {
  Atomics.store(words, PEER.bypass, active ? 1 : 0);
  Atomics.notify(words, PEER.bypass);
}

/** The carrier is back, or the route is removed: the next loss is counted from its own beginning. */
function endLoss(peer: PeerBypass): void {
  if (peer.lostMs === Infinity) return;
  peer.lostMs = Infinity;
  tellReader(peer, peer.applied === true);
}
