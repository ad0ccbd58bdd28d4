/**
 * Ten silent and ten carrier cuts and returns in each way that corosync can use the agent; the account of each is printed.
 */
import { beforeAll, test } from 'vitest';
import { accountLines } from '../../agent/bench/corosync-cuts.ts';
import { expectUntouched, type Outcome, plansWithAgent, runClusters } from '../support/corosync-clusters.ts';

const PLANS = plansWithAgent(20);
const RUN_MS_MAX = 1_800_000;
const say = (line: string): void => void process.stderr.write(`${new Date().toISOString()} ${line}\n`);

let outcomes: ReadonlyMap<string, Outcome> = new Map();
beforeAll(async () => {
  outcomes = await runClusters(PLANS, say);
}, RUN_MS_MAX);

test.each(PLANS)('[AG5] $variant.name: no membership change, no token loss, the resource stays', (plan) => {
  const account = outcomes.get(plan.variant.name)?.();
  if (account === undefined) throw new Error('no run of it');
  for (const line of accountLines(account)) say(line);
  expectUntouched(account, plan);
});
