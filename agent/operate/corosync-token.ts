/**
 * Which corosync token a latency allows. Pure. The rules fit every measurement with corosync 3.1 on two and three nodes:
 *
 *   the token goes round in time    nodes x one-way < 0.81 x token         (corosync holds it for 0.19 x token)
 *   a knet link comes up, stays up  round trip < token / 2                 (its ping timeout)
 *
 * With n > 2 nodes corosync itself lengthens the token by (n - 2) x its coefficient, for the first rule.
 *
 * Both are asked for with a margin of four. Part of it is for what a moment adds to an average. The other part is for
 * the cut: then the latency rises at once from the network's to the storage's, and a link that is used to less goes down
 * before its limit: with a token of 1000, 75 ms one way passed and 100 did not. The margin allows 62.
 */

/** What corosync takes when its file says nothing. */
export const TOKEN_DEFAULT_MS = 3000;
export const COEFFICIENT_DEFAULT_MS = 650;
/** Shorter ones were never tried with stillbeat; knet's own thread wakes only every 200 ms. */
const TOKEN_TRIED_MS_MIN = 1000;

const MARGIN = 4;
const KEPT_SHARE = 0.81;
const ROUND_TO_MS = 100;

export interface Ring {
  readonly nodes: number;
  readonly coefficientMs: number;
  /** False with udpu and udp, which have no links that could go down. */
  readonly hasLinks: boolean;
}

/** The shortest token, in milliseconds as they are written into corosync.conf, that this latency allows. */
export function tokenMinMs(oneWayMs: number, { nodes, coefficientMs, hasLinks }: Ring): number {
  const ring = (MARGIN * oneWayMs * nodes) / KEPT_SHARE - Math.max(0, nodes - 2) * coefficientMs;
  const link = hasLinks ? MARGIN * 2 * (2 * oneWayMs) : 0;
  return Math.max(TOKEN_TRIED_MS_MIN, Math.ceil(Math.max(ring, link) / ROUND_TO_MS) * ROUND_TO_MS);
}
