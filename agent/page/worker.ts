/** The thread that looks into volumes for the page, so that one that hangs holds up nothing else. */
import { parentPort, workerData } from 'node:worker_threads';
import { AgentError } from '../base/errors.ts';
import { END_WORD } from '../platform/thread-end.ts';
import { Looker } from './look.ts';
import type { LookAnswer, LookRequest, LookerData } from './volume-looker.ts';

const { keys, place } = workerData as LookerData;
const looker = new Looker(keys);

parentPort?.on('message', (request: LookRequest | typeof END_WORD) => {
  if (request === END_WORD) process.exit();
  parentPort?.postMessage(answer(request));
});

function answer({ id, volumes, packets }: LookRequest): LookAnswer {
  try {
    if (packets) return { id, packets: looker.packets(packets.volume, packets.node) };
    return {
      id,
      volumes: volumes.map((path, i) => {
        Atomics.store(place, 0, i);
        return looker.volume(path);
      }),
    };
  } catch (error) {
    return { id, error: error instanceof AgentError ? error.message : 'the volume cannot be read' };
  }
}
