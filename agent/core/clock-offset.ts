/**
 * How far the peer's monotonic clock is from ours, learned from two-way exchanges as NTP does (RFC 5905, section 8),
 * over whichever way words come. The exchange with the shortest round trip says most; its worth fades as clocks drift.
 */

/** Two quartz clocks part by at most this much. */
const DRIFT_PPM = 100;

export class ClockOffset {
  #offsetUs = 0;
  #errorUs = Infinity;
  #takenUs = 0;
  /** Round trip of the newest exchange, in microseconds. */
  roundTripUs = 0;

  get known(): boolean {
    return this.#errorUs !== Infinity;
  }

  /** Our clock minus the peer's, in microseconds. */
  get offsetUs(): number {
    return this.#offsetUs;
  }

  /** How wrong `offsetUs` may be, in microseconds, at the time of the last exchange taken. */
  get errorUs(): number {
    return this.#errorUs;
  }

  /**
   * One exchange: at `sentUs` (our clock) we spoke; the peer answered `delayUs` later with its clock at `peerUs`; at
   * `nowUs` (our clock) we heard it. Impossible exchanges (negative round trip) are ignored.
   */
  exchange(sentUs: number, delayUs: number, peerUs: number, nowUs: number): void {
    const roundTrip = nowUs - sentUs - delayUs;
    if (!(roundTrip >= 0) || !Number.isFinite(roundTrip) || !Number.isFinite(peerUs)) return;
    this.roundTripUs = roundTrip;
    const error = roundTrip / 2;
    if (error > this.#errorAt(nowUs)) return;
    this.#offsetUs = nowUs - peerUs - error;
    this.#errorUs = error;
    this.#takenUs = nowUs;
  }

  /** `offsetUs` at its lowest: with it nothing looks younger than it is. */
  offsetUsMin(nowUs: number): number {
    return this.#offsetUs - this.#errorAt(nowUs);
  }

  /** How long ago, by our clock, the peer's clock showed `peerUs`, at most; in milliseconds. */
  ageMs(peerUs: number, nowUs: number): number {
    return (nowUs - peerUs - this.offsetUsMin(nowUs)) / 1000;
  }

  #errorAt(nowUs: number): number {
    return this.#errorUs + ((nowUs - this.#takenUs) * DRIFT_PPM) / 1e6;
  }

  /** A new incarnation may run on another host: everything learned is void. */
  reset(): void {
    this.#errorUs = Infinity;
    this.roundTripUs = 0;
  }
}
