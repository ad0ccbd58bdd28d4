/** `bench latency`: a ping through two volumes beside twice a raw write and read; and SBD's mailbox beside a message. */
import { percentile } from '../demo/figures.ts';
import { heartbeatStream, startPing } from '../demo/workload.ts';
import { systemClock } from '../platform/clock.ts';
import { setTimeout as delay } from 'node:timers/promises';
import { atMost, timesFaster, type Figure } from './figure.ts';
import { BenchLab } from './bench-lab.ts';
import { sbdDelivery } from './sbd.ts';

const SECONDS = 10;
/** The first seconds on storage compile the threads' code. */
const WARM_UP_MS = 3000;

/** A folder on a disk: a write there takes what a write to a device takes; in memory it takes next to nothing. */
const DISK = '/var/tmp';

export async function latency(say: (line: string) => void): Promise<Figure[]> {
  say('volume on a disk');
  const onDisk = await BenchLab.with(async (bench) => onePlace(bench, 'on disk', say), DISK);
  say('volume in memory');
  return [...onDisk, ...(await BenchLab.with(async (bench) => onePlace(bench, 'in memory', say)))];
}

async function onePlace(bench: BenchLab, place: string, say: (line: string) => void): Promise<Figure[]> {
  const { lab, floorMs } = bench;
  await bench.onStorage();
  await bench.watcher.stop(); // its questions, twenty a second, would be part of the figure
  await delay(WARM_UP_MS);
  say('  ping through storage, 200 a second');
  const ping = await startPing(lab, { from: 'a', to: 'b', intervalSeconds: 0.005 });
  await delay(SECONDS * 1000);
  const rtts = (await ping.stop()).samples.map(({ rttMs }) => rttMs);
  say('  messages through storage, one way');
  const stream = await heartbeatStream(lab, { from: 'a', to: 'b', perSecond: 100 });
  await delay(SECONDS * 500);
  const own = (await stream.stop()).latencyMs.p50 ?? Infinity;
  say('  SBD, a message from one node to another on the same kind of device');
  const sbd = await sbdDelivery(lab, systemClock);
  if (sbd === null) say('  SBD cannot be measured here (Debian package sbd): its published 453 ms stand for it');
  return [
    atMost(`ping through storage p50, volume ${place}`, 'ms', at(rtts, 0.5), at(floorMs, 0.5), 1.5),
    atMost(`ping through storage p99, volume ${place}`, 'ms', at(rtts, 0.99), at(floorMs, 0.99), 5),
    timesFaster(`message through a volume ${place}, delivery p50, against SBD`, 'ms', own, sbd ?? 453, 500),
  ];
}

const at = (samples: readonly number[], share: number): number => percentile(samples, share) ?? Infinity;
