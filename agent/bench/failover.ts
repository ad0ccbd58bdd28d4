/** `bench failover`: what cuts and returns cost: heartbeats lost or doubled, and the longest silence of a data stream. */
import { setTimeout as delay } from 'node:timers/promises';
import { dataStream, heartbeatStream } from '../demo/workload.ts';
import { below, type Figure } from './figure.ts';
import { BenchLab } from './bench-lab.ts';

const CUTS_OF_EACH_KIND = 10;
const HEARTBEATS_PER_SECOND = 1000;
const DATA_PER_SECOND = 200;
const CUT_MS = 700;

export async function failover(say: (line: string) => void): Promise<Figure[]> {
  return BenchLab.with(async (bench) => measure(bench, say));
}

async function measure(bench: BenchLab, say: (line: string) => void): Promise<Figure[]> {
  const { lab } = bench;
  // Twenty cuts in a row are twenty flaps: without this bound each return would wait twice as long as the last.
  await bench.restart({ primary: { probe: { stableForMaxMs: 3000 } } });
  say(`${2 * CUTS_OF_EACH_KIND} cuts and returns under ${HEARTBEATS_PER_SECOND} heartbeats a second each way`);
  const streams = await Promise.all([
    heartbeatStream(lab, { from: 'a', to: 'b', perSecond: HEARTBEATS_PER_SECOND }),
    heartbeatStream(lab, { from: 'b', to: 'a', perSecond: HEARTBEATS_PER_SECOND }),
  ]);
  let silence = 0;
  let dataLost = 0;
  for (let i = 0; i < 2 * CUTS_OF_EACH_KIND; i++) {
    const kind = i % 2 === 0 ? 'silent' : 'carrier';
    const data = kind === 'silent' ? await dataStream(lab, { from: 'a', to: 'b', perSecond: DATA_PER_SECOND }) : null;
    await delay(300);
    if (kind === 'silent') await bench.onStorage();
    else await bench.onCarrierLost();
    await delay(CUT_MS);
    await bench.onNetwork();
    if (data === null) continue;
    const { longestSilenceMs, lost } = await data.stop();
    silence = Math.max(silence, longestSilenceMs);
    dataLost += lost;
    say(`  cut ${i + 1}: longest silence of the data stream ${longestSilenceMs.toFixed(0)} ms, lost ${lost}`);
  }
  const results = await Promise.all(streams.map(async (stream) => stream.stop()));
  const sum = (field: 'lost' | 'duplicated' | 'sent') => results.reduce((total, result) => total + result[field], 0);
  say(`  ${sum('sent')} heartbeats sent`);
  return [
    below('heartbeats lost over 20 cuts and 20 returns', '', sum('lost'), 0),
    below('heartbeats delivered twice', '', sum('duplicated'), 0),
    below('longest silence of a data stream at a silent cut', 'ms', silence, 250),
    below('packets of the data streams lost', '', dataLost, 0),
  ];
}
