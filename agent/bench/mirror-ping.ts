/** `bench mirror`: a ping through agents whose volumes are mirrored over a link, beside one through a volume that they share. */
import { setTimeout as delay } from 'node:timers/promises';
import { AgentError } from '../base/errors.ts';
import { percentile } from '../demo/figures.ts';
import { copySettings, type LabCopy, prepareCopies } from '../demo/lab-copies.ts';
import { Lab } from '../demo/lab.ts';
import { PathWatcher } from '../demo/watch.ts';
import { startPing } from '../demo/workload.ts';
import { atMost, type Figure } from './figure.ts';

const CHANGE_MS_MAX = 30_000;
/** The first seconds on storage compile the threads' code. */
const WARM_UP_MS = 3000;
const PING_SECONDS = 0.01;

export async function pingFigures(seconds: number, say: (line: string) => void): Promise<Figure[]> {
  say(
    `a ping through storage, ${1 / PING_SECONDS} a second for ${seconds} s: a mirror over a link, then a shared volume`,
  );
  const mirrored = await pingMs('mirror', seconds);
  const shared = await pingMs('shared', seconds);
  return [atMost('ping through copy: mirror p50, beside copy: shared', 'ms', mirrored, shared, 5)];
}

/** The median of its round trips, in ms. Volumes and journals lie in memory. */
async function pingMs(copy: 'shared' | LabCopy, seconds: number): Promise<number> {
  const lab = await Lab.create({ nodes: ['a', 'b'], tag: 'bench' });
  try {
    const copies = copy === 'shared' ? null : { kind: copy, volumes: await prepareCopies(lab, copy) };
    if (!copies) await lab.format();
    const settings = (node: string) => {
      const volumes = copies?.volumes.get(node);
      return copies && volumes ? copySettings(lab, node, copies.kind, volumes) : {};
    };
    await Promise.all(lab.nodes.map(async (node) => lab.startAgent(node, settings(node))));
    const watcher = await PathWatcher.start(lab);
    const reach = async (path: 'network' | 'storage'): Promise<void> => {
      if (await watcher.allOn(path, CHANGE_MS_MAX)) return;
      throw new AgentError('failed', `the agents did not reach path ${path} within ${CHANGE_MS_MAX / 1000} s`);
    };
    await reach('network');
    await lab.cut('silent');
    await reach('storage');
    await watcher.stop(); // its questions, twenty a second, would be part of the figure
    await delay(WARM_UP_MS);
    const ping = await startPing(lab, { from: 'a', to: 'b', intervalSeconds: PING_SECONDS });
    await delay(seconds * 1000);
    const { samples } = await ping.stop();
    return (
      percentile(
        samples.map(({ rttMs }) => rttMs),
        0.5,
      ) ?? Infinity
    );
  } finally {
    await lab.close();
  }
}
