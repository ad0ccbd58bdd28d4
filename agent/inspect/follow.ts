/**
 * What is written from now on, like tail: one read of the head table each time, and of a ring only when its head has
 * moved. The running agents do not notice.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { InspectedVolume } from './inspected-volume.ts';
import { readSlotHeads } from './node-view.ts';
import type { Openers } from './openers.ts';
import { merged, type Place, type RingWalk } from './ring-walk.ts';

const POLL_MS = 100;
/** A place that looks bad may still be on its way (a copy lags): this long. */
const PATIENCE_MS = 1000;

interface Cursor {
  readonly walk: RingWalk;
  position: number;
  badPolls: number;
}

/** Ends when `stop` is aborted. `starts`: for each walk the position to go on from. */
export async function* follow(
  volume: InspectedVolume,
  openers: Openers,
  walks: readonly RingWalk[],
  starts: readonly number[],
  stop: AbortSignal,
): AsyncGenerator<Place> {
  const cursors = walks.map((walk, i): Cursor => ({ walk, position: starts[i] ?? 0, badPolls: 0 }));
  while (!stop.aborted) {
    const heads = readSlotHeads(volume, volume.readHeads(), openers);
    yield* merged(
      cursors.map((cursor) => {
        const head = heads.find(({ slot }) => slot === cursor.walk.slot)?.head;
        return news(cursor, head?.position ?? cursor.position, volume.superblock.slotBytes);
      }),
    );
    await delay(POLL_MS, undefined, { signal: stop }).catch(() => {});
  }
}

/** What has come between the cursor and the writer's head. */
function* news(cursor: Cursor, headPosition: number, slotBytes: number): Generator<Place> {
  const { walk } = cursor;
  if (headPosition <= cursor.position) return;
  // The writer was faster than a whole ring: what it overwrote is gone.
  cursor.position = Math.max(cursor.position, headPosition - slotBytes);
  walk.refresh();
  while (cursor.position < headPosition) {
    const found = walk.look(cursor.position);
    if (!found.ok) break;
    cursor.position = walk.endOf(found.batch.header);
    cursor.badPolls = 0;
    yield found.batch;
  }
  if (cursor.position >= headPosition || ++cursor.badPolls < PATIENCE_MS / POLL_MS) return;
  cursor.badPolls = 0;
  for (const place of walk.places(cursor.position, headPosition, true)) {
    if (place.kind === 'batch') cursor.position = walk.endOf(place.header);
    yield place;
  }
  cursor.position = Math.max(cursor.position, headPosition);
}
