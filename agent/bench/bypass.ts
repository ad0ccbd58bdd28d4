/**
 * `bench bypass`: what `mode: route` costs and how long its connections stand still. The stream over the bypass and the raw
 * one use the same veth pair, by turns; silences are the longest ones in what a receiver gets of one TCP connection.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { AgentError } from '../base/errors.ts';
import { Lab } from '../demo/lab.ts';
import type { Overrides } from '../demo/lab-settings.ts';
import { run } from '../demo/shell.ts';
import { tcpTransfer } from '../demo/workload.ts';
import { systemClock } from '../platform/clock.ts';
import { atLeast, below, type Figure } from './figure.ts';
import { iperf, layRawVeth, rawAddress } from './limits.ts';

const ROUNDS = 7;
const SECONDS = 3;
const CUTS = 8;
/** Between nothing and what two cores carry besides the agents: the silence is wanted, not the speed. */
const BYTES_PER_SECOND = 20e6;
const CALM_MS = 8000;
const STABLE_MS = 500;
const CHANGE_MS_MAX = 20_000;
const IPERF_PORT = 5201;
const BULK_PORT = 7001;
const VOLUME_BYTES = 128 * 1024 * 1024;

type Say = (line: string) => void;

export async function bypass(say: Say): Promise<Figure[]> {
  const lab = await Lab.create({ nodes: ['a', 'b'], volumeBytes: VOLUME_BYTES, tag: 'bench' });
  try {
    await layRawVeth(lab);
    await lab.format();
    return [...(await speed(lab, say)), ...(await silences(lab, say))];
  } finally {
    await lab.close();
  }
}

/** Agents whose primary network is the raw pair itself: nothing but the agents differs between the two streams. */
async function speed(lab: Lab, say: Say): Promise<Figure[]> {
  const endpoint = (node: string) => `${rawAddress(lab.nodes.indexOf(node))}:7788`;
  for (const node of lab.nodes) {
    const peers = lab.nodes.filter((other) => other !== node);
    await lab.startAgent(node, {
      ...settings(),
      primary: { ...settings().primary, interface: 'raw0', listen: endpoint(node) },
      peers: peers.map((peer) => ({ node: peer, address: lab.vnicAddress(peer), primary: endpoint(peer) })),
    });
  }
  await untilBypass(lab, true);
  say(`one TCP stream of ${SECONDS} s, raw and past the agents by turns`);
  const raw: number[] = [];
  const past: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    // Who goes first changes: a machine that warms up favours nobody.
    const turns = round % 2 === 0 ? (['raw', 'past'] as const) : (['past', 'raw'] as const);
    for (const turn of turns) {
      if (turn === 'raw') raw.push(await iperf(lab, rawAddress(1), SECONDS));
      else past.push(await iperf(lab, lab.vnicAddress('b'), SECONDS));
    }
    say(`  raw ${raw.at(-1)?.toFixed(2)} Gbit/s, past the agents ${past.at(-1)?.toFixed(2)} Gbit/s`);
  }
  for (const node of lab.nodes) await lab.stopAgent(node);
  return [atLeast('TCP by bypass, network healthy, beside raw veth', 'Gbit/s', median(past), median(raw), 0.97)];
}

const KINDS = ['silent', 'carrier of both', "carrier of the sender's", "carrier of the receiver's"] as const;
type Kind = (typeof KINDS)[number];

async function silences(lab: Lab, say: Say): Promise<Figure[]> {
  for (const node of lab.nodes) await lab.startAgent(node, settings());
  await untilBypass(lab, true);
  const calm = await tcpTransfer(lab, { from: 'a', to: 'b', port: BULK_PORT, bytesPerSecond: BYTES_PER_SECOND });
  await inGoodTime(lab);
  await delay(CALM_MS);
  say(`  no cut: longest silence in ${CALM_MS / 1000} s ${(await calm.stop()).longestSilenceMs.toFixed(0)} ms`);
  const worst = new Map<Kind, number>();
  let broken = 0;
  let atReturn = 0;
  for (const kind of KINDS) {
    const cuts: number[] = [];
    for (let i = 0; i < CUTS; i++) {
      const seen = await cutAndReturn(lab, kind);
      cuts.push(seen.cutMs);
      broken += seen.broken;
      atReturn = Math.max(atReturn, seen.returnMs);
    }
    worst.set(kind, Math.max(...cuts));
    say(`  ${kind}: longest silences ${cuts.map((ms) => ms.toFixed(0)).join(', ')} ms`);
  }
  const of = (kind: Kind): number => worst.get(kind) ?? Infinity;
  return [
    below('blackout of bypassed TCP, silent cut', 'ms', of('silent'), 250),
    below('blackout of bypassed TCP, carrier lost at both ends', 'ms', of('carrier of both'), 20),
    below("blackout of bypassed TCP, carrier lost at the sender's end only", 'ms', of("carrier of the sender's"), 20),
    below(
      "blackout of bypassed TCP, carrier lost at the receiver's end only",
      'ms',
      of("carrier of the receiver's"),
      20,
    ),
    below('longest silence of a TCP connection at a return', 'ms', atReturn, 250),
    below('connections that did not survive', '', broken, 0),
  ];
}

/** One connection lives through the cut, another through the return. */
async function cutAndReturn(lab: Lab, kind: Kind): Promise<{ cutMs: number; returnMs: number; broken: number }> {
  const flow = { from: 'a', to: 'b', port: BULK_PORT, bytesPerSecond: BYTES_PER_SECOND };
  const first = await tcpTransfer(lab, flow);
  await inGoodTime(lab);
  await delay(600);
  if (kind === 'silent') await lab.cut('silent');
  else if (kind === 'carrier of both') await lab.cut('carrier');
  else await lab.cut('carrier', kind === "carrier of the sender's" ? 'a' : 'b');
  await untilBypass(lab, false);
  await delay(500);
  const cut = await first.stop();
  const second = await tcpTransfer(lab, flow);
  await inGoodTime(lab);
  await delay(300);
  await lab.heal();
  await untilBypass(lab, true);
  await delay(500);
  const back = await second.stop();
  const broken = [cut, back].filter(({ survived }) => !survived).length;
  return { cutMs: cut.longestSilenceMs, returnMs: back.longestSilenceMs, broken };
}

/**
 * The programs at both ends get the agents' scheduling class: what is measured is how long the network was silent, and not
 * how long a program waited for its turn on a machine that does other things too.
 */
async function inGoodTime(lab: Lab): Promise<void> {
  for (const node of lab.nodes) {
    const { stdout } = await run(['ip', 'netns', 'pids', lab.network.namespace(node)]);
    for (const pid of stdout.split('\n').filter(Boolean)) {
      if (Number(pid) !== lab.agentPid(node)) await run(['chrt', '--rr', '--all-tasks', '--pid', '1', pid]);
    }
  }
}

function settings(): Overrides & { readonly primary: Overrides } {
  return {
    primary: { mode: 'route', probe: { stableForMs: STABLE_MS, stableForMaxMs: STABLE_MS } },
    types: [IPERF_PORT, BULK_PORT].map((port) => ({ type: 'bulk', protocol: 'tcp', port })),
  };
}

async function untilBypass(lab: Lab, active: boolean): Promise<void> {
  const deadline = systemClock.monotonicMs() + CHANGE_MS_MAX;
  for (const node of lab.nodes) {
    while ((await bypassOf(lab, node)) !== active) {
      if (systemClock.monotonicMs() > deadline) throw new AgentError('failed', `the bypass of ${node} did not change`);
      await delay(20);
    }
  }
}

async function bypassOf(lab: Lab, node: string): Promise<boolean | undefined> {
  const [peer] = (await lab.status(node)).peers as unknown as { readonly bypass?: { readonly active: boolean } }[];
  return peer?.bypass?.active;
}

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;
