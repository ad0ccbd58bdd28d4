/** Reads volumes piece by piece, each with the mark that it was read behind. */
import { AgentError } from '../../base/errors.ts';
import { crc32 } from '../../base/crc32.ts';
import { RegionSet } from '../../mirror/core/region-set.ts';
import { REGION_BYTES } from '../../mirror/wire/layout.ts';
import type { Monitored } from './monitored.ts';
import { imageData } from './split.ts';

export interface ImageProgress {
  readonly done: number;
  readonly total: number;
}

/**
 * Gives each image as a data record to `send`, which resolves when more may come. Resolves with false when `isOver` says so. Throws
 * an AgentError when a volume cannot be read.
 */
export async function sendImages(
  monitored: Monitored,
  regions: RegionSet,
  parts: {
    readonly send: (data: Uint8Array) => Promise<void>;
    readonly isOver: () => boolean;
    readonly progress: (progress: ImageProgress) => void;
  },
): Promise<boolean> {
  const total = regions.count;
  let done = 0;
  const { volumes } = monitored;
  for (;;) {
    const run = regions.take(1);
    if (!run) return true;
    const offset = run.first * REGION_BYTES;
    const length = Math.min(REGION_BYTES, (volumes[run.volume]?.bytes ?? 0) - offset);
    const image = await read(monitored, run.volume, offset, length);
    if (parts.isOver()) return false;
    await parts.send(imageData({ volume: run.volume, offset, mark: image.mark }, image.bytes, crc32(image.bytes)));
    if (parts.isOver()) return false;
    parts.progress({ done: ++done, total });
  }
}

const read = async (
  monitored: Monitored,
  volume: number,
  offset: number,
  length: number,
): Promise<{ readonly mark: number; readonly bytes: Uint8Array }> =>
  new Promise((resolve, reject) => {
    monitored.image(volume, offset, length, (image) => {
      if (image.errno === 0) resolve(image);
      else
        reject(new AgentError('volume', `volume ${volume} cannot be read (errno ${image.errno}): check the storage`));
    });
  });
