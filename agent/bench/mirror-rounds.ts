/** Two servers under the same load, round by round, each beginning every second one: ratios are those of the rounds. */
import { percentile } from '../demo/figures.ts';
import { atLeast, type Figure } from './figure.ts';
import { fio } from './fio.ts';

export interface MirrorLoad {
  readonly name: string;
  readonly work: readonly string[];
  readonly inBytes: boolean;
  /** What is to be reached beside the peer. */
  readonly factor: number;
}

export const median = (values: readonly number[]): number => percentile(values, 0.5) ?? Number.NaN;

export async function beside(
  load: MirrorLoad,
  uris: { readonly ours: string; readonly peer: string },
  { bytes, rounds, seconds }: { readonly bytes: number; readonly rounds: number; readonly seconds: number },
): Promise<Figure> {
  const rates = { ours: [] as number[], peer: [] as number[] };
  for (let round = 0; round < rounds; round++) {
    const order = round % 2 === 0 ? (['ours', 'peer'] as const) : (['peer', 'ours'] as const);
    for (const who of order) {
      const done = await fio(uris[who], bytes, load.work, seconds);
      rates[who].push(load.inBytes ? done.bytes / 1e3 / done.ms : (done.operations * 1e3) / done.ms);
    }
  }
  const rate = median(rates.ours);
  const ratio = median(rates.ours.map((one, i) => one / (rates.peer[i] ?? one)));
  return atLeast(load.name, load.inBytes ? 'MB/s' : '/s', rate, rate / ratio, load.factor);
}
