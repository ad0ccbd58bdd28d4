/** `bench latency`: a ping through two volumes beside twice a raw write and read; and SBD's mailbox beside a message. */
import { percentile } from '../demo/figures.ts';
import { heartbeatStream, startPing } from '../demo/workload.ts';
import { systemClock } from '../platform/clock.ts';
import { setTimeout as delay } from 'node:timers/promises';
import { atMost, timesFaster, type Figure } from './figure.ts';
import type { BenchLab } from './bench-lab.ts';
import { sbdDelivery } from './sbd.ts';

const SECONDS = 10;

export async function latency(bench: BenchLab, say: (line: string) => void): Promise<Figure[]> {
  const { lab, floorMs } = bench;
  await bench.onStorage();
  say('ping through storage, 200 a second');
  const ping = await startPing(lab, { from: 'a', to: 'b', intervalSeconds: 0.005 });
  await delay(SECONDS * 1000);
  const rtts = (await ping.stop()).samples.map(({ rttMs }) => rttMs);
  say('messages through storage, one way');
  const stream = await heartbeatStream(lab, { from: 'a', to: 'b', perSecond: 100 });
  await delay(SECONDS * 500);
  const delivered = await stream.stop();
  const figures = [
    atMost('ping through storage p50', 'ms', at(rtts, 0.5), at(floorMs, 0.5), 1.5),
    atMost('ping through storage p99', 'ms', at(rtts, 0.99), at(floorMs, 0.99), 5),
  ];
  say('SBD, a message from one node to another (its peer on the same kind of device)');
  const sbd = await sbdDelivery(lab, systemClock);
  if (sbd === null) say('SBD is not installed (Debian package sbd): its documented 453 ms stand for it');
  const own = delivered.latencyMs.p50 ?? Infinity;
  figures.push(timesFaster('message through a volume, delivery p50', 'ms', own, sbd ?? 453, 500));
  return figures;
}

const at = (samples: readonly number[], share: number): number => percentile(samples, share) ?? Infinity;
