/** What three viewers of the page cost the agent: its processor time with and without them, in turns. */
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { PAGE_URL } from '../support/browser.ts';
import { Cluster } from '../support/cluster.ts';

const ROUNDS = 4;
const ROUND_MS = 10_000;
const TICKS_PER_SECOND = 100;
/** The thread that reads volumes lingers so long after the last viewer. */
const LINGER_MS = 11_000;

let cluster: Cluster;
beforeAll(async () => {
  cluster = await Cluster.start({ tag: 'page-cost' });
}, 120_000);
afterAll(async () => cluster?.close());

/** Processor seconds of all threads of the process. */
function processorSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

async function share(pid: number): Promise<number> {
  const [from, fromMs] = [processorSeconds(pid), performance.now()];
  await delay(ROUND_MS);
  return (processorSeconds(pid) - from) / ((performance.now() - fromMs) / 1000);
}

test('three viewers cost at most 2 % of a core more than none', { timeout: 300_000 }, async () => {
  const { lab } = cluster;
  const pid = lab.agentPid('a');
  const without: number[] = [];
  const beside: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    without.push(await share(pid));
    const viewers = [0, 1, 2].map(() => lab.spawn('a', ['curl', '-sN', `${PAGE_URL}live`], { stdio: 'ignore' }));
    await delay(1000);
    beside.push(await share(pid));
    for (const viewer of viewers) viewer.kill();
    await delay(LINGER_MS);
  }
  const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
  const more = mean(beside) - mean(without);
  process.stderr.write(`without ${without.map((each) => (each * 100).toFixed(2)).join(' ')} %\n`);
  process.stderr.write(`three viewers ${beside.map((each) => (each * 100).toFixed(2)).join(' ')} %\n`);
  process.stderr.write(`more ${(more * 100).toFixed(2)} % of a core\n`);
  expect(more).toBeLessThanOrEqual(0.02);
});
