/**
 * `bench page`: what three viewers of the page cost the agent that serves it, in turns with none. A viewer is a client of the page's
 * event stream, which is what a browser keeps open; what the browser draws of it is no work of the agent.
 */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { AgentError } from '../base/errors.ts';
import { systemClock } from '../platform/clock.ts';
import { PAGE_LISTEN } from '../settings/schema-operate.ts';
import { BenchLab } from './bench-lab.ts';
import { addsAtMost, type Figure } from './figure.ts';
import { cpuSeconds } from './process-cost.ts';

const VIEWERS = 3;
const URL_LIVE = `http://${PAGE_LISTEN}/live`;
/** The first picture is made of everything; and a new agent compiles its loops. */
const SETTLE_MS = 1000;

export interface PageBenchOptions {
  readonly rounds: number;
  readonly seconds: number;
  /** Before the first round: a new agent compiles its loops. */
  readonly warmUpMs: number;
  /** The thread that reads volumes for viewers lingers so long after the last of them. */
  readonly lingerMs: number;
}

const USUAL: PageBenchOptions = { rounds: 4, seconds: 10, warmUpMs: 15_000, lingerMs: 11_000 };

export async function page(say: (line: string) => void, options: PageBenchOptions = USUAL): Promise<Figure[]> {
  return BenchLab.with(async (bench) => measure(bench, say, options));
}

async function measure(
  bench: BenchLab,
  say: (line: string) => void,
  { rounds, seconds, warmUpMs, lingerMs }: PageBenchOptions,
): Promise<Figure[]> {
  await bench.onNetwork();
  await bench.watcher.stop(); // its questions would be traffic
  await delay(warmUpMs);
  say(`${VIEWERS} viewers of the page and none: ${rounds} rounds of ${seconds} s each`);
  const shares = { viewed: [] as number[], alone: [] as number[] };
  for (let round = 0; round < rounds; round++) {
    const order = round % 2 === 0 ? (['alone', 'viewed'] as const) : (['viewed', 'alone'] as const);
    for (const which of order) {
      const viewers = which === 'viewed' ? await Viewers.open(bench) : null;
      shares[which].push(await shareOfCore(bench.lab.agentPid('a'), seconds));
      await viewers?.close();
      if (viewers) await delay(lingerMs);
    }
  }
  const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
  const name = `page: processor of an agent with ${VIEWERS} clients of its event stream`;
  return [addsAtMost(name, '% of a core', mean(shares.viewed), mean(shares.alone), 2)];
}

async function shareOfCore(pid: number, seconds: number): Promise<number> {
  const [cpu, fromMs] = [cpuSeconds(pid), systemClock.monotonicMs()];
  await delay(seconds * 1000);
  return ((cpuSeconds(pid) - cpu) * 100_000) / (systemClock.monotonicMs() - fromMs);
}

/** They go with the lab. */
class Viewers {
  readonly #clients: readonly ChildProcess[];

  private constructor(clients: readonly ChildProcess[]) {
    this.#clients = clients;
  }

  /** Resolves when all of them are shown something. */
  static async open({ lab }: BenchLab): Promise<Viewers> {
    const clients = Array.from({ length: VIEWERS }, () =>
      lab.spawn('a', ['curl', '-sN', URL_LIVE], { stdio: ['ignore', 'pipe', 'ignore'] }),
    );
    await Promise.all(
      clients.map(async (client) => {
        const first = client.stdout ? once(client.stdout, 'data') : Promise.resolve();
        const ended = once(client, 'exit').then(([status]: unknown[]) => {
          throw new AgentError('failed', `curl ${URL_LIVE} ended with status ${String(status)}`);
        });
        await Promise.race([first, ended]);
        ended.catch(() => {}); // later it is ended by us
        client.stdout?.resume();
      }),
    );
    await delay(SETTLE_MS);
    return new Viewers(clients);
  }

  async close(): Promise<void> {
    for (const client of this.#clients) {
      if (client.exitCode !== null || client.signalCode !== null) continue;
      const gone = once(client, 'exit');
      client.kill('SIGKILL');
      await gone;
    }
  }
}
