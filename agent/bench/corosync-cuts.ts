/**
 * Cuts and returns under a cluster of real corosync, and the account of what it made of them.
 *
 * Each cut is held for longer than members without any way to each other would stay together, and begins when every
 * link is older than 12 s: knet is milder with a link in its first 10 s. The first node is never the one cut off.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { AgentError } from '../base/errors.ts';
import { systemClock } from '../platform/clock.ts';
import type { CorosyncBed, NodeEvent, Whereabouts } from './corosync-bed.ts';
import { EVENT_KINDS, type EventKind } from './corosync-events.ts';

/** Packets to and from node c, all packets, the carrier of node c, in this order again and again. */
const KINDS = ['silent around c', 'carrier of c', 'silent everywhere', 'carrier of c'] as const;
type CutKind = (typeof KINDS)[number];

const LINK_AGE_MS = 12_500;
/** Beyond the time after which members leave: what comes late is seen too. */
const HOLD_LONGER_MS = 1200;
const WHOLE_MS_MAX = 60_000;
/** After a return: what it upsets shows within this time. */
const SETTLE_MS = 2500;
const LOOK_MS = 250;

export interface Cut {
  readonly kind: CutKind;
  readonly beganMs: number;
  readonly healedMs: number;
  /** Peers that each node reached by storage when the cut ended, in all; null without agents. */
  readonly peersByStorage: number | null;
}

export interface Account {
  readonly variant: string;
  readonly cuts: readonly Cut[];
  /** From the first cut to the end. */
  readonly events: readonly NodeEvent[];
  readonly whereabouts: readonly Whereabouts[];
  /** What each agent's `status` says of corosync's token at the end. */
  readonly advice: readonly unknown[];
  /** What the agents noted beside paths: standstills of their threads, errors of the storage. */
  readonly troubles: readonly string[];
}

export const countOf = (account: Account, kind: EventKind): number =>
  account.events.filter((event) => event.kind === kind).length;

/** `count` cuts and returns, one after the other. */
export async function cutAndReturn(
  bed: CorosyncBed,
  count: number,
  say: (line: string) => void = () => {},
): Promise<Account> {
  const cuts: Cut[] = [];
  await untilWhole(bed, LINK_AGE_MS);
  const beganMs = systemClock.wallMs();
  for (let i = 0; i < count; i++) {
    if (i > 0) await untilWhole(bed, LINK_AGE_MS);
    const cut = await cutOnce(bed, KINDS[i % KINDS.length] ?? KINDS[0]);
    cuts.push(cut);
    say(`${bed.variant.name}: cut ${i + 1} (${cut.kind}): ${summary(bed.events(cut.beganMs))}`);
  }
  return {
    variant: bed.variant.name,
    cuts,
    events: bed.events(beganMs),
    whereabouts: bed.whereabouts,
    ...(await agentsSay(bed, beganMs)),
  };
}

async function cutOnce(bed: CorosyncBed, kind: CutKind): Promise<Cut> {
  const { lab, variant } = bed;
  const beganMs = systemClock.wallMs();
  if (kind === 'carrier of c') await lab.cut('carrier', 'c');
  else if (kind === 'silent everywhere') await lab.cut('silent');
  else for (const other of ['a', 'b']) await lab.cut('silent', { between: [other, 'c'] });
  await delay(variant.leavesAfterMs + HOLD_LONGER_MS);
  const peersByStorage = await bed.peersByStorage();
  await lab.heal();
  const healedMs = systemClock.wallMs();
  await untilWhole(bed, 0);
  await delay(SETTLE_MS);
  return { kind, beganMs, healedMs, peersByStorage };
}

/** Until the cluster is whole, and its youngest link at least so old. */
async function untilWhole(bed: CorosyncBed, linkAgeMs: number): Promise<void> {
  const deadline = systemClock.monotonicMs() + WHOLE_MS_MAX;
  for (;;) {
    const nowMs = systemClock.wallMs();
    const isOld = bed.events(nowMs - linkAgeMs).every(({ kind }) => kind !== 'link-up');
    if (isOld && (await bed.isWhole().catch(() => false))) return;
    if (systemClock.monotonicMs() > deadline) {
      throw new AgentError('failed', `${bed.variant.name}: not whole again within ${WHOLE_MS_MAX / 1000} s`);
    }
    await delay(LOOK_MS);
  }
}

/** Troubles are what is no change of a path: a path that changes in a cut is what agents are for. */
async function agentsSay(bed: CorosyncBed, sinceMs: number): Promise<Pick<Account, 'advice' | 'troubles'>> {
  const troubles: string[] = [];
  const advice: unknown[] = [];
  if (bed.variant.agent === null) return { advice, troubles };
  for (const node of bed.nodes) {
    const { events = [], corosync } = await bed.lab.status(node);
    advice.push(corosync);
    for (const event of events as { at: string; kind: string }[]) {
      if (Date.parse(event.at) < sinceMs || ['path', 'diagnosis'].includes(event.kind)) continue;
      troubles.push(`${node} ${JSON.stringify(event)}`);
    }
  }
  return { advice, troubles };
}

/** How often each kind of event came, in words; `quiet` when none did. */
export function summary(events: readonly NodeEvent[]): string {
  const counts = EVENT_KINDS.map((kind) => [kind, events.filter((event) => event.kind === kind).length] as const);
  const seen = counts.filter(([, count]) => count > 0).map(([kind, count]) => `${kind} ${count}`);
  return seen.length === 0 ? 'quiet' : seen.join(', ');
}

/** The whole account for people: each event with its time since the cut before it. */
export function accountLines(account: Account): string[] {
  const { cuts, events, variant, whereabouts, troubles } = account;
  const lines = events.map((event) => {
    const cut = cuts.findLast(({ beganMs }) => beganMs <= event.atMs);
    const sinceMs = event.atMs - (cut?.beganMs ?? event.atMs);
    return `  ${event.node} +${sinceMs} ms after ${cut?.kind ?? 'the start'}: ${event.kind}: ${event.text}`;
  });
  const homes = whereabouts.map(({ nodes }) => nodes.join('+') || 'nowhere').join(', ');
  return [
    `${variant}: ${cuts.length} cuts and returns: ${summary(events)}; the resource ran on ${homes}`,
    ...lines,
    ...troubles.map((trouble) => `  agent ${trouble}`),
  ];
}
