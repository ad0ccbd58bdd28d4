/**
 * What a follower costs the agents whose volume it follows, in turns with a follower and without: the rate of a TCP stream at full
 * speed through storage; and, under a stream of a steady rate, the agents' processor time for what they write, and their heartbeats.
 *
 * All of it runs on one machine here. At full speed two agents, both ends of the stream and the follower want all of its processors, so
 * that what the rate loses is mostly the follower's share of them; under the steady rate there is room for all, and what is left is
 * what the agents themselves notice.
 **/
import type { ChildProcess } from 'node:child_process';
import { closeSync, openSync, readFileSync, statSync } from 'node:fs';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { AgentError } from '../base/errors.ts';
import { CLI_PATH, type Lab } from '../demo/lab.ts';
import { heartbeatStream } from '../demo/workload.ts';
import { systemClock } from '../platform/clock.ts';
import { atLeast, atMost, type Figure } from './figure.ts';
import type { InspectBenchOptions, Say } from './inspect.ts';
import { bytesWritten } from './inspect-fill.ts';
import { iperf } from './limits.ts';
import { median } from './mirror-rounds.ts';
import { cpuSeconds } from './process-cost.ts';

const HEARTBEATS_A_SECOND = 200;
const START_MS_MAX = 20_000;
/** 40 MB/s: busy, and no machine is at its end with it. */
const STEADY = ['-b', '320M'];

interface Sample {
  /** Gbit/s. */
  readonly rate: number;
  /** Of both agents, for a gigabyte that the sender has written: seconds. */
  readonly cpu: number;
  /** Of heartbeats beside it: ms. */
  readonly p50: number;
  readonly p99: number;
}

export async function followFigures(lab: Lab, options: InspectBenchOptions, say: Say): Promise<Figure[]> {
  await iperf(lab, lab.vnicAddress('b'), 2);
  const full = await inTurns('at full speed', lab, [], options, say);
  const steady = await inTurns('of 40 MB/s', lab, STEADY, options, say);
  const { rate, cpu, beat } = {
    rate: full(({ rate }) => rate),
    cpu: steady(({ cpu }) => cpu),
    beat: steady(({ p50 }) => p50),
  };
  const name = 'inspect --follow';
  return [
    atLeast(`${name}: TCP through storage at full speed`, 'Gbit/s', rate.value, rate.value / rate.ratio, 0.97),
    atMost(`${name}: processor of the agents at 40 MB/s`, 's/GB', cpu.value, cpu.value / cpu.ratio, 1.03),
    atMost(`${name}: heartbeats at 40 MB/s, p50`, 'ms', beat.value, beat.value / beat.ratio, 1.03),
  ];
}

/** Of any of a sample's figures: the median with a follower, and the median of the rounds' ratios. */
type Compare = (what: (sample: Sample) => number) => { readonly value: number; readonly ratio: number };

async function inTurns(
  name: string,
  lab: Lab,
  how: readonly string[],
  { rounds, seconds }: InspectBenchOptions,
  say: Say,
): Promise<Compare> {
  say(`TCP ${name} through storage, with inspect --follow --json and without: ${rounds} rounds of ${seconds} s each`);
  const samples = { alone: [] as Sample[], followed: [] as Sample[] };
  for (let round = 0; round < rounds; round++) {
    const order = round % 2 === 0 ? (['followed', 'alone'] as const) : (['alone', 'followed'] as const);
    for (const which of order) samples[which].push(await transfer(lab, how, seconds, which === 'followed', say));
  }
  for (const which of ['alone', 'followed'] as const) {
    const of = (what: (sample: Sample) => number): string => median(samples[which].map(what)).toFixed(2);
    say(`  heartbeats beside it, ${which}: p50 ${of(({ p50 }) => p50)} ms, p99 ${of(({ p99 }) => p99)} ms`);
  }
  return (what) => ({
    value: median(samples.followed.map(what)),
    ratio: median(samples.followed.map((sample, i) => what(sample) / what(samples.alone[i] ?? sample))),
  });
}

async function transfer(
  lab: Lab,
  how: readonly string[],
  seconds: number,
  isFollowed: boolean,
  say: Say,
): Promise<Sample> {
  const stream = await heartbeatStream(lab, { from: 'a', to: 'b', perSecond: HEARTBEATS_A_SECOND });
  const follower = isFollowed ? await Follower.start(lab) : null;
  try {
    const before = { cpu: agentsCpu(lab), bytes: await bytesWritten(lab, 'a') };
    const rate = await iperf(lab, lab.vnicAddress('b'), seconds, undefined, how);
    const [cpu, bytes] = [agentsCpu(lab) - before.cpu, (await bytesWritten(lab, 'a')) - before.bytes];
    const { latencyMs } = await stream.stop();
    if (follower) say(`  ${await follower.end()}`);
    return { rate, cpu: (cpu * 1e9) / bytes, p50: latencyMs.p50 ?? Infinity, p99: latencyMs.p99 ?? Infinity };
  } finally {
    await follower?.end();
  }
}

const agentsCpu = (lab: Lab): number => lab.nodes.reduce((sum, node) => sum + cpuSeconds(lab.agentPid(node)), 0);

/** `stillbeat inspect --follow` with its output in a file. It goes with the lab. */
class Follower {
  readonly #child: ChildProcess;
  readonly #path: string;

  private constructor(child: ChildProcess, path: string) {
    this.#child = child;
    this.#path = path;
  }

  /** Resolves when it has told of something. */
  static async start(lab: Lab): Promise<Follower> {
    const path = lab.fileBeside('followed');
    const output = openSync(path, 'w', 0o600);
    const key = ['--key-file', join(lab.directory, 'a.key')];
    const argv = [process.execPath, CLI_PATH, 'inspect', lab.volume.path, '--follow', '--json', ...key];
    const child = lab.spawn('a', argv, { stdio: ['ignore', output, 'inherit'] });
    closeSync(output);
    const follower = new Follower(child, path);
    for (const deadlineMs = systemClock.monotonicMs() + START_MS_MAX; statSync(path).size === 0; await delay(20)) {
      if (systemClock.monotonicMs() < deadlineMs && child.exitCode === null) continue;
      await follower.end();
      throw new AgentError('failed', 'inspect --follow tells of nothing, although heartbeats are written');
    }
    return follower;
  }

  /** Ends it; what it told, in words. Idempotent. */
  async end(): Promise<string> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      const gone = once(this.#child, 'exit');
      this.#child.kill('SIGINT');
      await gone;
    }
    const text = readFileSync(this.#path, 'latin1');
    const [batches, overwritten] = ['batch', 'overwritten'].map((kind) => text.split(`"kind":"${kind}"`).length - 1);
    return `the follower told of ${batches} batches; ${overwritten} times the writer was a ring ahead of it`;
  }
}
