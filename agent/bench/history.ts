/**
 * `bench history`: what recording costs a mirror, how soon and how fast an earlier state is served, and whether states are right; on
 * files in memory where there is room.
 */
import type { Figure } from './figure.ts';
import { withFolder } from './bench-folder.ts';
import { firstReadFigures } from './history-first-read.ts';
import { recordFigures } from './history-record.ts';
import { servedReadFigures } from './history-served-read.ts';
import { stateFigures } from './history-states.ts';

const MIB = 1 << 20;
const GIB = 1 << 30;

export interface HistoryBenchOptions {
  readonly rounds: number;
  readonly seconds: number;
  /** Of the volume that is written to while it is recorded. */
  readonly volumeBytes: number;
  /** The recording of which a state in the middle is served: so many writes over so many bytes. */
  readonly writes: number;
  readonly historyBytes: number;
  /** Of the state that is read from its beginning to its end. */
  readonly servedBytes: number;
  /** How many states are compared with a replay, and how many of them `history restore` writes back. */
  readonly states: number;
  readonly restores: number;
}

const USUAL: HistoryBenchOptions = {
  rounds: 5,
  seconds: 3,
  volumeBytes: 256 * MIB,
  writes: 1_000_000,
  historyBytes: 10 * GIB,
  servedBytes: GIB,
  states: 1000,
  restores: 20,
};

export type Say = (line: string) => void;
interface Part {
  readonly measure: (folder: string, options: HistoryBenchOptions, say: Say) => Promise<Figure[]>;
  /** What it needs room for. */
  readonly bytes: (options: HistoryBenchOptions) => number;
}

/** At most, by a source on two processors. */
const RECORDED_BYTES_A_SECOND = 400e6;

const PARTS: readonly Part[] = [
  {
    measure: recordFigures,
    bytes: ({ volumeBytes, rounds, seconds }) => 8 * volumeBytes + rounds * seconds * RECORDED_BYTES_A_SECOND,
  },
  { measure: firstReadFigures, bytes: ({ writes }) => writes * 4200 },
  { measure: servedReadFigures, bytes: ({ servedBytes }) => 3 * servedBytes },
  { measure: stateFigures, bytes: ({ states }) => states * 100_000 },
];

export async function history(say: Say, options: HistoryBenchOptions = USUAL): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const { measure, bytes } of PARTS) {
    const work = async (folder: string): Promise<Figure[]> => measure(folder, options, say);
    figures.push(...(await withFolder('history', bytes(options), work)));
  }
  return figures;
}
