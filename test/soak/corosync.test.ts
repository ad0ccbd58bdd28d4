/** Ten silent and ten carrier cuts and returns in each way that corosync can use the agent. */
import { beforeAll, expect, test } from 'vitest';
import type { Account } from '../../agent/bench/corosync-cuts.ts';
import { expectUntouched, plansWithAgent, runClusters } from '../support/corosync-clusters.ts';

const PLANS = plansWithAgent(20);
const RUN_MS_MAX = 1_800_000;

let accounts: (Account | Error)[] = [];
beforeAll(async () => {
  accounts = await runClusters(PLANS, (line) => process.stderr.write(`${line}\n`));
}, RUN_MS_MAX);

test.each(PLANS)('[AG5] $variant.name: no membership change, no token loss, the resource stays', (plan) => {
  const account = accounts[PLANS.indexOf(plan)];
  expect(account).not.toBeInstanceOf(Error);
  expectUntouched(account as Account, plan);
});
