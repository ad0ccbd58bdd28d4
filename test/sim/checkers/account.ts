/**
 * The account of every frame: who sent it, when it entered, when and how often it came out at each node it is for. Checked
 * at delivery: sent by somebody to this node, not altered, not twice, in order within its type, not too old. Checked at
 * the end: what had to arrive did.
 *
 * Owed to each target, by what the world was like for this pair, is
 * - a heartbeat, when the nodes were acquainted and up, and one of the two ways was good for its life;
 * - a packet of a failover lane, when one way was good in both directions from a while before it entered until it would be
 *   too old, and its lane had room for it.
 * "Good" is without any fault: a way that loses or delays owes nothing.
 */
import type { NodeIndex } from '../pairs.ts';
import type { SimSettings } from '../settings.ts';
import type { Copy, Sent } from '../workload.ts';
import { readId } from '../workload.ts';
import type { Conditions } from './conditions.ts';

/** A heartbeat comes out within this, whatever the other way still holds back: resequencing and an idle poll. */
const HEARTBEAT_LIFE_MS = 600;
/** After a fault of the storage it is used again so soon: the longest pause between retries, and a head. */
const STORAGE_SETTLED_MS = 1500;
const NETWORK_SETTLED_MS = 100;
/** A failover lane takes the storage again so soon after a fault: a peer's beacon more. */
const STORAGE_JUDGED_MS = 2500;
/** That the network is the only good way is known so late: three beacons of a peer that are missed. */
const NETWORK_JUDGED_MS = 3500;
/** Scheduling, and the drift of two clocks between exchanges. */
const AGE_SLACK_MS = 10;
/** A standstill up to this is not counted: a frame may have waited so long in the interface unnoticed. */
const UNNOTICED_MS = 260;
/** What is sent so soon after a standstill may count as sent before it. */
const STANDSTILL_OVER_MS = 50;
/** Headers and proof of a datagram, a message and a record. */
const DATAGRAM_OVERHEAD_BYTES = 120;

export interface Violation {
  readonly atMs: number;
  readonly rule: string;
  readonly text: string;
}

export class Account {
  readonly sent = new Map<number, Sent>();
  readonly violations: Violation[] = [];
  readonly counts = { entered: 0, delivered: 0, byReader: 0, owed: 0, lost: 0 };
  readonly #conditions: Conditions;
  readonly #maxAgeMs: number;
  readonly #datagramBytes: number;
  readonly #newest = new Map<string, number>();

  constructor(conditions: Conditions, settings: SimSettings) {
    this.#conditions = conditions;
    this.#maxAgeMs = settings.maxAgeMs;
    this.#datagramBytes = settings.datagramBytes - DATAGRAM_OVERHEAD_BYTES;
  }

  violation(atMs: number, rule: string, text: string): void {
    this.violations.push({ atMs, rule, text });
  }

  entered(node: NodeIndex, frame: Uint8Array, nowMs: number): void {
    const sent = this.sent.get(readId(frame));
    if (!sent || sent.from !== node) return;
    this.counts.entered++;
    sent.enteredMs = nowMs;
  }

  /** A queue of `node` threw it away: that to `peer`, or with null the interface itself. */
  dropped(node: NodeIndex, peer: NodeIndex | null, frame: Uint8Array): void {
    const sent = this.sent.get(readId(frame));
    if (sent?.from !== node) return;
    for (const copy of sent.copies) if (peer === null || copy.to === peer) copy.isDropped = true;
  }

  delivered(node: NodeIndex, frame: Uint8Array, way: string, nowMs: number): void {
    const sent = this.sent.get(readId(frame));
    const copy = sent?.copies.find(({ to }) => to === node);
    this.counts.delivered++;
    if (way === 'reader') this.counts.byReader++;
    if (!sent || !copy || sent.enteredMs < 0) {
      this.violation(nowMs, 'foreign', `node ${node} delivers a frame that nobody sent to it`);
      return;
    }
    const what = `${nameOf(sent, copy)}, by the ${way}`;
    if (Buffer.compare(frame, sent.frame) !== 0) this.violation(nowMs, 'altered', `${what} is not as it was sent`);
    if (copy.deliveredMs >= 0) {
      this.violation(nowMs, 'twice', `${what} was delivered at ${copy.deliveredMs.toFixed(1)} already`);
      return;
    }
    copy.deliveredMs = nowMs;
    const ageMs = Math.max(nowMs - sent.enteredMs, nowMs - sent.sentMs - UNNOTICED_MS);
    if (ageMs > this.#maxAgeMs + AGE_SLACK_MS)
      this.violation(nowMs, 'too old', `${what} is ${ageMs.toFixed(0)} ms old`);
    const lane = `${sent.from} ${node} ${sent.type}`;
    const newest = this.#newest.get(lane) ?? -1;
    if (sent.number < newest) this.violation(nowMs, 'order', `${what} comes after ${newest}`);
    this.#newest.set(lane, Math.max(newest, sent.number));
  }

  /** Looks for what is missing. `untilMs`: what entered later still has time. */
  settle(untilMs: number): void {
    for (const sent of this.sent.values()) {
      if (sent.enteredMs >= 0) for (const copy of sent.copies) this.#settle(sent, copy, untilMs);
    }
  }

  #settle(sent: Sent, copy: Copy, untilMs: number): void {
    if (copy.isDropped || !this.#isOwed(sent, copy.to, untilMs)) return;
    this.counts.owed++;
    const text = `${nameOf(sent, copy)}, entered at ${sent.enteredMs.toFixed(1)}`;
    if (copy.deliveredMs >= 0) {
      const isLate = sent.type === 'heartbeat' && copy.deliveredMs - sent.enteredMs > HEARTBEAT_LIFE_MS;
      if (isLate) this.violation(copy.deliveredMs, 'late', text);
      return;
    }
    this.counts.lost++;
    this.violation(sent.enteredMs, 'lost', text);
  }

  #isOwed(sent: Sent, to: NodeIndex, untilMs: number): boolean {
    const { from, sentMs, enteredMs } = sent;
    const isHeartbeat = sent.type === 'heartbeat';
    const endMs = enteredMs + (isHeartbeat ? HEARTBEAT_LIFE_MS : this.#maxAgeMs);
    const conditions = this.#conditions;
    if (endMs > untilMs || !conditions.acquainted(from, to, enteredMs)) return false;
    if (!conditions.bothUp(from, to, sentMs - STANDSTILL_OVER_MS, endMs)) return false;
    if (isHeartbeat) {
      return (
        conditions.networkGood(from, to, enteredMs - NETWORK_SETTLED_MS, endMs) ||
        conditions.storageGood(from, to, enteredMs - STORAGE_SETTLED_MS, endMs)
      );
    }
    const isFree = conditions.noOverride(from, to, enteredMs - STORAGE_JUDGED_MS, endMs);
    const datagrams = Math.ceil(sent.frame.length / this.#datagramBytes);
    return (
      isFree &&
      conditions.repeatable(datagrams, from, to, enteredMs - NETWORK_SETTLED_MS, endMs) &&
      (conditions.bothWays('network', from, to, enteredMs - NETWORK_JUDGED_MS, endMs) ||
        conditions.bothWays('storage', from, to, enteredMs - STORAGE_JUDGED_MS, endMs))
    );
  }
}

const nameOf = ({ type, number, from, id }: Sent, { to }: Copy): string =>
  `${type} ${number} of node ${from} to ${to} (id ${id})`;
