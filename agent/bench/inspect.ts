/**
 * `bench inspect`: a volume that real agents have filled, shown while they write and afterwards. Two nodes with nothing but the volume
 * between them, in memory where there is room.
 */
import { join } from 'node:path';
import { AgentError } from '../base/errors.ts';
import { Lab } from '../demo/lab.ts';
import { PathWatcher } from '../demo/watch.ts';
import type { Figure } from './figure.ts';
import { fill } from './inspect-fill.ts';
import { followFigures } from './inspect-follow.ts';
import { readRates } from './inspect-read.ts';

const CHANGE_MS_MAX = 30_000;

export interface InspectBenchOptions {
  readonly rounds: number;
  /** Of each transfer that a follower looks at. */
  readonly seconds: number;
  readonly volumeBytes: number;
}

const USUAL: InspectBenchOptions = { rounds: 5, seconds: 8, volumeBytes: 4 * 2 ** 30 };

export type Say = (line: string) => void;

/** What a ring is full of: packets as large as TCP makes them, and as large as a network's. */
const CONTENTS = [
  { name: 'TCP', iperf: [] },
  { name: 'UDP of 1,400 bytes', iperf: ['-u', '-b', '0', '-l', '1400'] },
] as const;

export async function inspect(say: Say, options: InspectBenchOptions = USUAL): Promise<Figure[]> {
  const { volumeBytes } = options;
  const lab = await Lab.create({ nodes: ['a', 'b'], volumeBytes, withPrimary: false, tag: 'bench' });
  try {
    await lab.format();
    await start(lab);
    const figures = await followFigures(lab, options, say);
    for (const content of CONTENTS) {
      say(`a volume of ${Math.round(volumeBytes / 2 ** 20)} MiB is filled with ${content.name}`);
      await fill(lab, 'a', 'b', content.iperf, volumeBytes / 2);
      await fill(lab, 'b', 'a', content.iperf, volumeBytes / 2);
      await Promise.all(lab.nodes.map(async (node) => lab.stopAgent(node)));
      const key = ['--key-file', join(lab.directory, 'a.key')];
      figures.push(await readRates(`inspect --json of ${content.name}`, lab.volume, key, options, say));
      if (content !== CONTENTS.at(-1)) await start(lab);
    }
    return figures;
  } finally {
    await lab.close();
  }
}

async function start(lab: Lab): Promise<void> {
  await Promise.all(lab.nodes.map(async (node) => lab.startAgent(node)));
  const watcher = await PathWatcher.start(lab);
  const isThere = await watcher.allOn('storage', CHANGE_MS_MAX);
  await watcher.stop();
  if (!isThere) throw new AgentError('failed', `the agents did not reach path storage in ${CHANGE_MS_MAX / 1000} s`);
}
