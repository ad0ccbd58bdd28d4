/**
 * Unmodified corosync and Pacemaker on three nodes, in the four ways that config/ and the README offer, side by side;
 * and the same cut without the agent beside it, which shows that these tests can fail. `npm run test:soak` does more.
 */
import { beforeAll, describe, expect, test } from 'vitest';
import { singleLink } from '../../agent/bench/corosync-conf.ts';
import { type Account, countOf } from '../../agent/bench/corosync-cuts.ts';
import { expectUntouched, type Outcome, plansWithAgent, runClusters } from '../support/corosync-clusters.ts';

const PLANS = plansWithAgent(4);
const CONTROL = { variant: singleLink(1000, false), cuts: 1 };
/** Longer than each bound inside, which says what it waited for. */
const RUN_MS_MAX = 900_000;

let outcomes: ReadonlyMap<string, Outcome> = new Map();
beforeAll(async () => {
  outcomes = await runClusters([...PLANS, CONTROL], (line) => process.stderr.write(`${line}\n`));
}, RUN_MS_MAX);

function accountOf(name: string): Account {
  const outcome = outcomes.get(name);
  if (outcome === undefined) throw new Error(`no run of ${name}`);
  return outcome();
}

describe('[AG5] corosync and Pacemaker notice nothing of two silent and two carrier cuts and their returns', () => {
  test.each(PLANS)('$variant.name', (plan) => expectUntouched(accountOf(plan.variant.name), plan));
});

test('the same cut without the agent: links down, token lost, members leave, the resource moves', () => {
  const account = accountOf(CONTROL.variant.name);
  for (const kind of ['link-down', 'token-lost', 'membership'] as const) {
    expect(countOf(account, kind), kind).toBeGreaterThan(0);
  }
  expect(account.events.some(({ kind, count }) => kind === 'membership' && count === 2)).toBe(true);
  expect(account.whereabouts.length).toBeGreaterThan(1);
});
