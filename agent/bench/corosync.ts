/**
 * `bench corosync`: what real corosync on three nodes makes of cuts and returns, with the agent as its only link and
 * beside it the same without the agent; and what an agent costs under it while nothing happens.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { AgentError } from '../base/errors.ts';
import { run } from '../demo/shell.ts';
import { CorosyncBed } from './corosync-bed.ts';
import { singleLink } from './corosync-conf.ts';
import { type Account, accountLines, countOf, cutAndReturn } from './corosync-cuts.ts';
import { below, type Figure, none } from './figure.ts';
import { cpuSeconds } from './process-cost.ts';

const TOKENS_MS = [3000, 1000];
/** One silent, one of a carrier. */
const CUTS = 2;
const IDLE_SECONDS = 20;
/** A new agent compiles its loops; that is no cost of being idle. */
const WARM_UP_MS = 15_000;

export async function corosync(say: (line: string) => void): Promise<Figure[]> {
  for (const program of ['corosync', 'pacemakerd']) {
    if ((await run([program, '--version'])).status === 127) {
      throw new AgentError('failed', `there is no ${program} here: sh config/install-debian.sh bench`);
    }
  }
  say('four clusters of three nodes with corosync: tokens of 3000 and 1000 ms, with and without the agent');
  const variants = [true, false].flatMap((withAgent) => TOKENS_MS.map((token) => singleLink(token, withAgent)));
  const opening = await Promise.allSettled(
    variants.map(async (variant) => CorosyncBed.open(variant, { tag: 'bench', withPacemaker: false })),
  );
  const beds = opening.flatMap((bed) => (bed.status === 'fulfilled' ? [bed.value] : []));
  try {
    for (const bed of opening) if (bed.status === 'rejected') throw bed.reason;
    return await measure(beds, say);
  } finally {
    await Promise.all(beds.map(async (bed) => bed.close()));
  }
}

async function measure(beds: readonly CorosyncBed[], say: (line: string) => void): Promise<Figure[]> {
  const [first] = beds;
  if (first === undefined) throw new AgentError('failed', 'there is no cluster to measure');
  say(`${IDLE_SECONDS} seconds under an idle corosync, network healthy`);
  const percent = await idleCost(first);
  say(`${CUTS} cuts and returns in each`);
  const accounts = await Promise.all(beds.map(async (bed) => cutAndReturn(bed, CUTS, say)));
  const withAgent = accounts.filter((_, i) => beds[i]?.variant.agent !== null);
  for (const account of withAgent) {
    if (eventsOf(account) > 0 || account.troubles.length > 0) accountLines(account).forEach(say);
  }
  const without = accounts.filter((account) => !withAgent.includes(account));
  const sum = (some: readonly Account[]) => some.reduce((total, account) => total + eventsOf(account), 0);
  const name = `corosync events over ${CUTS * TOKENS_MS.length} cuts and returns, beside the same without the agent`;
  return [
    none(name, '', sum(withAgent), sum(without)),
    below('agent under an idle three-node corosync: processor', '% of a core', percent, 3),
  ];
}

/** Links down, tokens lost, and memberships from which somebody has left, as each node counts them. */
function eventsOf(account: Account): number {
  const left = account.events.filter(({ kind, count = 0 }) => kind === 'membership' && count > 0).length;
  return countOf(account, 'link-down') + countOf(account, 'token-lost') + left;
}

/** The dearest of the three agents. */
async function idleCost(bed: CorosyncBed): Promise<number> {
  await delay(WARM_UP_MS);
  const spent = (): number[] => bed.nodes.map((node) => cpuSeconds(bed.lab.agentPid(node)));
  const before = spent();
  const beganMs = performance.now();
  await delay(IDLE_SECONDS * 1000);
  const seconds = (performance.now() - beganMs) / 1000;
  return Math.max(...spent().map((cpu, i) => ((cpu - (before[i] ?? 0)) / seconds) * 100));
}
