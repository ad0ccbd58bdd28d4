/**
 * Judges the way to one peer. Pure: events come with their time, and `tick` answers a change when there is one.
 *
 *            first probe missed            misses probes lost, carrier lost,
 *   network ------------------> suspect ---------------- or "I do not hear you" ----> storage   (storage available)
 *      ^ <---- heard again ------'                                                 `-> isolated (storage not available)
 *      |
 *      '-- heard for stableFor, peer hears us -- returning <-- heard again ---------- storage, isolated
 *
 * With the defaults (interval 50 ms, misses 3), in milliseconds after the last probe that got through:
 *
 *     0  heard            75  suspect          175  network failed: data is sent again over storage
 *   after the network heals: 0..50 heard again, returning; 3000 later, without loss, network
 *
 * The half interval on top of misses x interval lets the last probe that may still come be on its way. A return is
 * held back by stableFor, doubled at each failure that follows a return too soon, up to a limit.
 */
import type { Override, Path } from '../base/paths.ts';

export interface JudgeSettings {
  readonly intervalMs: number;
  readonly misses: number;
  readonly stableForMs: number;
  readonly stableForMsMax: number;
  /** False with `mode: none`: there is no primary network to judge. */
  readonly hasNetwork: boolean;
}

export interface Transition {
  readonly from: Path;
  readonly to: Path;
  readonly reason: string;
  /** How long the peer had not been heard on the network, in milliseconds; Infinity for never. */
  readonly silentMs: number;
}

/** A network that kept for this many times the present stableFor is no longer flapping. */
const CALM_FACTOR = 10;
/** How long a new agent waits for the first word on the network before it calls it failed. */
const GRACE_INTERVALS = 10;

export class Judge {
  #settings: JudgeSettings;
  #path: Path = 'isolated';
  #sinceMs: number;
  #heardMs = -Infinity;
  #peerHearsUs = false;
  #carrier = true;
  #override: Override = 'auto';
  /** Since when the network has been good without loss; Infinity when it is not. */
  #goodSinceMs = Infinity;
  #holdMs = 0;
  #returnedMs = -Infinity;
  #tickMs: number;
  #graceUntilMs: number;
  #lossReason = 'not heard yet';

  constructor(settings: JudgeSettings, nowMs: number) {
    this.#settings = settings;
    this.#sinceMs = nowMs;
    this.#tickMs = nowMs;
    this.#graceUntilMs = nowMs + GRACE_INTERVALS * settings.intervalMs;
  }

  /** New settings hold from the next word on; what is known of the network stays known. */
  apply(settings: JudgeSettings): void {
    this.#settings = settings;
  }

  get path(): Path {
    return this.#path;
  }

  /** Monotonic time of the last change. */
  get sinceMs(): number {
    return this.#sinceMs;
  }

  get holdMs(): number {
    return this.#holdMs;
  }

  get override(): Override {
    return this.#override;
  }

  set override(override: Override) {
    this.#override = override;
  }

  /** Silence after which the network counts as failed. */
  get failAfterMs(): number {
    return (this.#settings.misses + 0.5) * this.#settings.intervalMs;
  }

  /** An authentic, fresh word came over the network. `hearsUs`: what it says; undefined where it does not say. */
  heard(nowMs: number, hearsUs?: boolean): void {
    if (nowMs - this.#heardMs > 2.5 * this.#settings.intervalMs) this.#goodSinceMs = Infinity;
    this.#heardMs = nowMs;
    if (hearsUs !== undefined) this.#peerHearsUs = hearsUs;
  }

  /** True while the network brings us the peer's words: what we tell the peer. */
  hears(nowMs: number): boolean {
    return this.#carrier && nowMs - this.#heardMs <= this.failAfterMs;
  }

  get hasCarrier(): boolean {
    return this.#carrier;
  }

  carrier(up: boolean): void {
    this.#carrier = up;
    if (!up) this.#goodSinceMs = Infinity;
  }

  /** The peer began anew: what its former incarnation said of hearing us is void. */
  forget(): void {
    this.#peerHearsUs = false;
    this.#goodSinceMs = Infinity;
  }

  /** This agent itself stood still for `gapMs` (stopped, starved): time in which nothing could be heard does not count. */
  stoodStill(gapMs: number): void {
    this.#heardMs += gapMs;
    if (this.#goodSinceMs !== Infinity) this.#goodSinceMs += gapMs;
  }

  /** `storage`: our writes succeed and the peer's beacon is fresh. Answers the change, if there is one. */
  tick(nowMs: number, storage: boolean): Transition | null {
    const gap = nowMs - this.#tickMs;
    this.#tickMs = nowMs;
    if (gap > 2 * this.#settings.intervalMs + 50) this.stoodStill(gap);
    const good = this.#networkGood(nowMs);
    if (good && this.#goodSinceMs === Infinity) this.#goodSinceMs = nowMs;
    if (!good) this.#goodSinceMs = Infinity;
    this.#forgetFlaps(nowMs);
    const [to, reason] = this.#wanted(nowMs, good, storage);
    if (to === this.#path) return null;
    const transition = { from: this.#path, to, reason, silentMs: nowMs - this.#heardMs };
    this.#noteFlap(nowMs, to);
    this.#path = to;
    this.#sinceMs = nowMs;
    return transition;
  }

  #networkGood(nowMs: number): boolean {
    if (!this.#settings.hasNetwork) return false;
    if (!this.#carrier) this.#lossReason = 'carrier lost';
    else if (nowMs - this.#heardMs > this.failAfterMs) this.#lossReason = `${this.#settings.misses} probes lost`;
    else if (!this.#peerHearsUs) this.#lossReason = 'the peer does not hear us';
    else return true;
    return false;
  }

  #wanted(nowMs: number, good: boolean, storage: boolean): [Path, string] {
    const way = storage ? 'storage' : 'isolated';
    if (this.#override === 'storage') return ['storage', 'operator'];
    if (this.#override === 'network') return ['network', 'operator'];
    if (this.#path === 'network' || this.#path === 'suspect') {
      if (!good) return [way, this.#lossReason];
      const missed = nowMs - this.#heardMs > 1.5 * this.#settings.intervalMs;
      return missed ? ['suspect', 'a probe is late'] : ['network', 'heard again'];
    }
    if (!good) {
      // At the start the network gets the chance to be heard before storage is called the way.
      if (this.#path === 'isolated' && nowMs < this.#graceUntilMs) return ['isolated', 'starting'];
      return [way, storage ? this.#storageReason() : 'storage is not available either'];
    }
    if (!storage && this.#path !== 'isolated') return ['network', 'storage lost'];
    if (nowMs - this.#goodSinceMs >= this.#holdMs) return ['network', this.#holdMs === 0 ? 'heard' : 'stable again'];
    return storage ? ['returning', 'heard again'] : ['network', 'the only way left'];
  }

  #storageReason(): string {
    return this.#path === 'isolated' ? 'storage is available' : this.#lossReason;
  }

  /** A network that has kept long enough is trusted as at the start: its next failure begins with stableFor again. */
  #forgetFlaps(nowMs: number): void {
    const calmMs = CALM_FACTOR * Math.max(this.#holdMs, this.#settings.stableForMs);
    if (usesNetwork(this.#path) && nowMs - this.#returnedMs > calmMs) this.#holdMs = 0;
  }

  /** The hold is stableFor at the first failure, and doubles when the network fails again soon after a return. */
  #noteFlap(nowMs: number, to: Path): void {
    if (usesNetwork(this.#path) && !usesNetwork(to)) {
      const { stableForMs, stableForMsMax } = this.#settings;
      this.#holdMs = this.#holdMs === 0 ? stableForMs : Math.min(stableForMsMax, this.#holdMs * 2);
    }
    if (!usesNetwork(this.#path) && usesNetwork(to)) this.#returnedMs = nowMs;
  }
}

function usesNetwork(path: Path): boolean {
  return path === 'network' || path === 'suspect';
}
