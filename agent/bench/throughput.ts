/** `bench throughput`: one TCP stream through storage and through the tunnel, beside raw veth; heartbeats meanwhile. */
import { heartbeatStream } from '../demo/workload.ts';
import { setTimeout as delay } from 'node:timers/promises';
import { atLeast, below, type Figure } from './figure.ts';
import type { BenchLab } from './bench-lab.ts';
import { iperf, rawAddress } from './limits.ts';

const SECONDS = 8;

export async function throughput(bench: BenchLab, say: (line: string) => void): Promise<Figure[]> {
  const { lab } = bench;
  const target = lab.vnicAddress('b');
  await bench.onNetwork();
  say('one TCP stream over a raw veth pair, and through the tunnel');
  const raw = await iperf(lab, rawAddress(1), SECONDS);
  const tunnel = await iperf(lab, target, SECONDS);
  await bench.onStorage();
  say('one TCP stream through storage');
  const rawAgain = await iperf(lab, rawAddress(1), SECONDS);
  const storage = await iperf(lab, target, SECONDS);
  const limit = (raw + rawAgain) / 2;
  say('heartbeats through storage: alone, then beside a TCP stream at full speed');
  const alone = await heartbeatRoundTripP99(bench, async () => delay(SECONDS * 1000));
  const loaded = await heartbeatRoundTripP99(bench, async () => iperf(lab, target, SECONDS));
  return [
    atLeast('TCP through storage', 'Gbit/s', storage, limit, 0.25),
    atLeast('TCP through the tunnel, network healthy', 'Gbit/s', tunnel, limit, 0.15),
    below('heartbeat round trip p99 added by a full TCP stream', 'ms', loaded - alone, 5),
  ];
}

async function heartbeatRoundTripP99(bench: BenchLab, during: () => Promise<unknown>): Promise<number> {
  const stream = await heartbeatStream(bench.lab, { from: 'a', to: 'b', perSecond: 100, echo: true });
  await during();
  const { echo } = await stream.stop();
  return echo?.latencyMs.p99 ?? Infinity;
}
