/** Clusters with real corosync side by side, each through the same cuts and returns; and what must hold of each account. */
import { expect } from 'vitest';
import { CorosyncBed } from '../../agent/bench/corosync-bed.ts';
import { secondLink, singleLink, udpu, type Variant } from '../../agent/bench/corosync-conf.ts';
import { type Account, accountLines, cutAndReturn } from '../../agent/bench/corosync-cuts.ts';
import type { EventKind } from '../../agent/bench/corosync-events.ts';

export interface Plan {
  readonly variant: Variant;
  readonly cuts: number;
}

/** What the agent promises to carry, each through `cuts` cuts and returns. */
export const plansWithAgent = (cuts: number): Plan[] =>
  [singleLink(3000), singleLink(1000), secondLink(), udpu()].map((variant) => ({ variant, cuts }));

/** Answers an account for each plan, in its order, or why there is none; all are over when it answers. */
export async function runClusters(plans: readonly Plan[], say: (line: string) => void): Promise<(Account | Error)[]> {
  return Promise.all(
    plans.map(async ({ variant, cuts }) =>
      runCluster(variant, cuts, say).catch((error: unknown) => (error instanceof Error ? error : Error(String(error)))),
    ),
  );
}

async function runCluster(variant: Variant, cuts: number, say: (line: string) => void): Promise<Account> {
  const bed = await CorosyncBed.open(variant);
  try {
    return await cutAndReturn(bed, cuts, say);
  } finally {
    await bed.close();
  }
}

/** The events of these kinds, each with its place in the run, so that a failure says what happened. */
export function eventsOf(account: Account, kinds: readonly EventKind[]): string[] {
  const only = { ...account, events: account.events.filter(({ kind }) => kinds.includes(kind)), troubles: [] };
  return accountLines(only).slice(1);
}

/** The promise: the cuts were real, nobody left, no token was lost, the resource stayed where it was. */
export function expectUntouched(account: Account, { cuts, variant }: Plan): void {
  // A machine that let corosync stand still makes events of its own: these lines tell it from the network's doing.
  const why = accountLines(account).join('\n');
  expect(account.cuts, why).toHaveLength(cuts);
  if (variant.linksStay) {
    const pairs = account.cuts.map(({ kind }) => (kind === 'silent everywhere' ? 6 : 4));
    expect(account.cuts.map(({ peersByStorage }) => peersByStorage)).toEqual(pairs);
    expect(eventsOf(account, ['link-down', 'link-up', 'token-lost', 'reformed', 'membership']), why).toEqual([]);
  } else {
    // The first link is the primary network: it goes down at each cut, at both ends; the second one never does.
    for (const { beganMs, healedMs } of account.cuts) {
      const inCut = account.events.filter(({ atMs }) => atMs >= beganMs && atMs <= healedMs);
      expect(inCut.filter(({ kind, link }) => kind === 'link-down' && link?.endsWith('/0')).length).toBeGreaterThan(3);
    }
    expect(account.events.filter(({ kind, link }) => kind === 'link-down' && link?.endsWith('/1'))).toEqual([]);
    expect(eventsOf(account, ['membership']), why).toEqual([]);
  }
  // The file is read; whether its token fits is a question of how busy this machine was in the last minute.
  const configuredTokenMs = Number(/\btoken: (\d+)/.exec(variant.conf)?.[1]);
  expect(account.advice).toHaveLength(3);
  for (const advice of account.advice) expect(advice).toMatchObject({ nodes: 3, configuredTokenMs, problem: null });
  expect(account.whereabouts.map(({ nodes }) => nodes)).toEqual([['c']]);
}
