/** `bench throughput`: one TCP stream through storage and through the tunnel, beside raw veth; heartbeats meanwhile. */
import { percentile } from '../demo/figures.ts';
import { startPing } from '../demo/workload.ts';
import { setTimeout as delay } from 'node:timers/promises';
import { atLeast, below, type Figure } from './figure.ts';
import { BenchLab } from './bench-lab.ts';
import { iperf, rawAddress } from './limits.ts';

const SECONDS = 8;

export async function throughput(say: (line: string) => void): Promise<Figure[]> {
  return BenchLab.with(async (bench) => measure(bench, say));
}

async function measure(bench: BenchLab, say: (line: string) => void): Promise<Figure[]> {
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
  say('ping of type heartbeat through storage: alone, then beside a TCP stream at full speed');
  await bench.restart({ types: [{ type: 'heartbeat', protocol: 'icmp' }] });
  await bench.onStorage();
  const alone = await pingP99(bench, async () => delay(SECONDS * 1000));
  const loaded = await pingP99(bench, async () => iperf(lab, target, SECONDS));
  say(`  p99 alone ${alone.toFixed(2)} ms, loaded ${loaded.toFixed(2)} ms`);
  return [
    atLeast('TCP through storage', 'Gbit/s', storage, limit, 0.25),
    atLeast('TCP through the tunnel, network healthy', 'Gbit/s', tunnel, limit, 0.25),
    below('ping of type heartbeat, p99 added by a full TCP stream', 'ms', loaded - alone, 5),
  ];
}

async function pingP99(bench: BenchLab, during: () => Promise<unknown>): Promise<number> {
  const ping = await startPing(bench.lab, { from: 'a', to: 'b', intervalSeconds: 0.01 });
  await during();
  return (
    percentile(
      (await ping.stop()).samples.map(({ rttMs }) => rttMs),
      0.99,
    ) ?? Infinity
  );
}
