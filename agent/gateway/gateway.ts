/**
 * The way to the outside through a peer: looks a few times a second, lets the machine decide, and does what it decided
 * on the host and in the words that the switch reads. Lives in the main thread; nothing on a packet's way waits for it.
 *
 * What fails on the host (no nft, no rights) is said once and tried again: heartbeats matter more than the gateway.
 */
import { PATHS } from '../base/paths.ts';
import { systemClock } from '../platform/clock.ts';
import { interfaceOf } from '../platform/interface-mtu.ts';
import { AGENT, PEER, type SharedState } from '../queue/shared-state.ts';
import type { Settings } from '../settings/settings.ts';
import { HELLO_FLAG } from '../wire/message.ts';
import { GatewayForwarding, removeForwarding } from './forwarding.ts';
import { GatewayMachine, type GatewayState, type Seen } from './machine.ts';
import { gatewayNames } from './names.ts';
import { OutsideWatch } from './outside-watch.ts';
import { GatewayRoutes, removeRoutes } from './routes.ts';

/** Where in the shared state a peer's words are. */
export interface GatewaySeat {
  readonly seat: number;
  readonly peer: { readonly node: string };
}

const LOOK_EVERY_MS = 200;
const TRY_AGAIN_MS = 10_000;

/** What an operator wants to read in the log, once for each change: what holds on the host, not what is wanted of it. */
export type GatewayEvent =
  | {
      readonly kind: 'gateway';
      readonly change: 'offering' | 'not offering' | 'using' | 'not using';
      /** The gateway; empty where the change is about our own offer. */
      readonly peer: string;
      readonly reason: string;
    }
  | { readonly kind: 'gateway-failed'; readonly reason: string };

export interface GatewayStatus {
  readonly offer: boolean;
  readonly offering: boolean;
  /** The peers that may be used, best first. */
  readonly use: readonly string[];
  /** The peer that new connections go through; null: none. */
  readonly using: string | null;
  /** The peer that flows of the cluster address go through; null: none. */
  readonly chosen: string | null;
  readonly outside: string | null;
  readonly reason: string | null;
  readonly sinceMs: number | null;
}

/** What is asked of the host, each with failures of its own. */
type Act = 'prepare' | 'offer' | 'route';

export class Gateway {
  #settings: Settings;
  #seats: readonly GatewaySeat[];
  readonly #state: SharedState;
  readonly #emit: (event: GatewayEvent) => void;
  readonly #machine: GatewayMachine;
  readonly #watch: OutsideWatch;
  readonly #routes: GatewayRoutes | null;
  readonly #forwarding: GatewayForwarding | null;
  readonly #uplinkIsPrimary: boolean;
  readonly #timer: NodeJS.Timeout;
  #sinceMs: number;
  #done: Pick<GatewayState, 'offering' | 'using'> = { offering: false, using: false };
  /** What was told last: our offer, and the name of the peer in use. */
  #told: { readonly offering: boolean; readonly using: string | null } = { offering: false, using: null };
  #failedMs = -Infinity;
  /** What was told last of an act's failure, until the host does it. */
  readonly #failures = new Map<Act, string>();
  #isPrepared = false;

  private constructor(
    settings: Settings,
    uplink: string,
    seats: readonly GatewaySeat[],
    state: SharedState,
    emit: (event: GatewayEvent) => void,
  ) {
    const { gateway, primary } = settings;
    this.#settings = settings;
    this.#state = state;
    this.#emit = emit;
    this.#seats = seats;
    this.#uplinkIsPrimary =
      primary.mode !== 'none' && uplink === (primary.interface ?? (primary.listen && interfaceOf(primary.listen.host)));
    this.#sinceMs = systemClock.monotonicMs();
    this.#watch = new OutsideWatch(uplink, gateway.ping);
    this.#routes = gateway.use.length > 0 ? new GatewayRoutes(settings) : null;
    this.#forwarding = gateway.offer ? new GatewayForwarding(settings, uplink) : null;
    const { stableForMs } = primary.probe;
    const rules = {
      offer: gateway.offer,
      use: gateway.use.length > 0,
      pingTells: gateway.ping.length > 0,
      stableForMs,
    };
    this.#machine = new GatewayMachine(rules, this.#sinceMs);
    this.#timer = setInterval(() => this.#look(), LOOK_EVERY_MS);
  }

  /**
   * Null when the settings ask for no gateway. `isNew`: the interface was made by this start, so no earlier agent can
   * have left anything.
   */
  static open(
    settings: Settings,
    seats: readonly GatewaySeat[],
    state: SharedState,
    isNew: boolean,
    emit: (event: GatewayEvent) => void,
  ): Gateway | null {
    const { offer, use, uplink } = settings.gateway;
    const isWanted = (offer || use.length > 0) && uplink !== null;
    if (isWanted || !isNew) removeGateway(settings.vnic.name);
    return isWanted ? new Gateway(settings, uplink, seats, state, emit) : null;
  }

  /**
   * True when this gateway goes on with the other settings: peers that come and go, and other probes, break no
   * connection that goes over it.
   */
  keeps(settings: Settings, seats: readonly GatewaySeat[]): boolean {
    if (concerns(settings) !== concerns(this.#settings)) return false;
    this.#settings = settings;
    this.#seats = seats;
    this.#machine.hold(settings.primary.probe.stableForMs);
    if (this.#try('prepare', () => this.#routes?.follow(settings))) return true;
    // The tunnel to a new peer could run through itself: all of the routes are made anew at the next look.
    this.#isPrepared = false;
    this.#failedMs = -Infinity;
    this.#done = { ...this.#done, using: false };
    return true;
  }

  /** Stops, and leaves the host as it was found. */
  close(): void {
    clearInterval(this.#timer);
    Atomics.store(this.#state.words, AGENT.gatewayOffered, 0);
    Atomics.store(this.#state.words, AGENT.gatewayPeer, 0);
    removeGateway(this.#settings.vnic.name);
  }

  get status(): GatewayStatus {
    const { outside, gateway, reason } = this.#machine.state;
    return {
      offer: this.#settings.gateway.offer,
      offering: this.#done.offering,
      use: this.#settings.gateway.use,
      using: this.#using,
      chosen: this.#nameOf(gateway),
      outside,
      reason,
      sinceMs: this.#sinceMs,
    };
  }

  /** The peer that new connections go through: the routes lead there, and the switch has its seat. */
  get #using(): string | null {
    return this.#done.using ? this.#nameOf(this.#machine.state.gateway) : null;
  }

  #nameOf(wanted: number): string | null {
    return this.#seats.find(({ seat }) => seat === wanted)?.peer.node ?? null;
  }

  #look(): void {
    const nowMs = systemClock.monotonicMs();
    if (this.#routes && !this.#isPrepared) this.#try('prepare', () => this.#routes?.setUp());
    this.#isPrepared = true;
    const changed = this.#machine.tick(this.#see(nowMs), nowMs);
    if (changed) this.#sinceMs = nowMs;
    const { offering, using } = this.#machine.state;
    const isDone = this.#done.offering === offering && this.#done.using === using;
    if (changed || (!isDone && nowMs - this.#failedMs > TRY_AGAIN_MS)) this.#do(this.#machine.state);
    this.#tell();
  }

  #see(nowMs: number): Seen {
    const { carrier, route } = this.#watch.look();
    const peersHeard = this.#uplinkIsPrimary ? this.#peersHeard() : null;
    const doubt = peersHeard === false || !carrier;
    const mustPing = this.#settings.gateway.ping.length > 0 || (peersHeard === false && carrier);
    if (!mustPing) this.#watch.rest();
    const ping = mustPing ? this.#watch.ping(doubt, nowMs, () => systemClock.monotonicMs()) : 'none';
    const candidates = this.#settings.gateway.use.flatMap((name) =>
      this.#seats
        .filter(({ peer }) => peer.node === name)
        .map(({ seat }) => ({ peer: seat, offers: this.#offers(seat) })),
    );
    const frames = Atomics.load(this.#state.words, AGENT.gatewayFrames);
    return { carrier, route, peersHeard, ping, frames, candidates };
  }

  #peersHeard(): boolean {
    return this.#seats.some(({ seat }) => {
      const words = this.#state.peers[seat]?.words;
      const path = PATHS[words?.[PEER.path] ?? 0];
      return words?.[PEER.accepted] === 1 && (path === 'network' || path === 'suspect');
    });
  }

  /** The peer can be reached by some way, and says that its own way to the outside is good. */
  #offers(seat: number): boolean {
    const words = this.#state.peers[seat]?.words;
    if (!words || words[PEER.accepted] !== 1 || PATHS[words[PEER.path] ?? 0] === 'isolated') return false;
    return ((words[PEER.peerFlags] ?? 0) & HELLO_FLAG.offersGateway) !== 0;
  }

  /** The host first, then the word to the peers; in the other direction the word first. */
  #do(state: GatewayState): void {
    const { words } = this.#state;
    Atomics.store(words, AGENT.gatewayPeer, state.gateway + 1);
    if (!state.offering) this.#offer(false);
    else if (!this.#done.offering && this.#try('offer', () => this.#forwarding?.setUp())) this.#offer(true);
    if (state.using === this.#done.using) return;
    const isDone = this.#try('route', () => (state.using ? this.#routes?.use() : this.#routes?.release()));
    if (isDone) this.#done = { ...this.#done, using: state.using };
  }

  #offer(offering: boolean): void {
    Atomics.store(this.#state.words, AGENT.gatewayOffered, offering ? 1 : 0);
    this.#done = { ...this.#done, offering };
  }

  #try(act: Act, attempt: () => void): boolean {
    try {
      attempt();
      this.#failures.delete(act);
      return true;
    } catch (error) {
      this.#failedMs = systemClock.monotonicMs();
      const reason = error instanceof Error ? error.message : String(error);
      if (reason !== this.#failures.get(act)) this.#emit({ kind: 'gateway-failed', reason });
      this.#failures.set(act, reason);
      return false;
    }
  }

  /** Told is what has been done, be it at a later try: the log must not stop at what does not hold. */
  #tell(): void {
    const { gateway, using: isWanted, reason } = this.#machine.state;
    const [was, is] = [this.#told, { offering: this.#done.offering, using: this.#using }];
    this.#told = is;
    if (was.offering !== is.offering) {
      this.#emit({ kind: 'gateway', change: is.offering ? 'offering' : 'not offering', peer: '', reason });
    }
    if (was.using === is.using) return;
    if (was.using !== null) {
      const isLost = is.using !== null || gateway < 0;
      const why = isLost ? 'it offers no more' : isWanted ? 'the host refused the routes' : reason;
      this.#emit({ kind: 'gateway', change: 'not using', peer: was.using, reason: why });
    }
    if (is.using !== null) this.#emit({ kind: 'gateway', change: 'using', peer: is.using, reason });
  }
}

/** All of the settings that ask for another gateway on the host when they differ. */
const concerns = ({ gateway, vnic, primary }: Settings): string =>
  JSON.stringify([gateway, vnic, primary.mode, primary.interface, primary.listen]);

/** Removes everything that a gateway of this interface has on the host, whoever made it. */
function removeGateway(interfaceName: string): void {
  removeRoutes(gatewayNames(interfaceName));
  removeForwarding(interfaceName);
}
