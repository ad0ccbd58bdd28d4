/**
 * What is written from now on, like tail: one read of the head table each time, and of a ring only what its head says is
 * new. The running agents do not notice.
 *
 * A batch is told as soon as the head names it. A writer that comes round the whole ring before we have read it has written
 * over the rest: that is told too, with the marks between which it lay, and reading goes on at the oldest batch that is left.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { roundUp } from '../base/bytes.ts';
import { BLOCK_BYTES } from '../volume/layout.ts';
import type { FollowWatch } from './follow-watch.ts';
import type { InspectedVolume } from './inspected-volume.ts';
import { readSlotHeads } from './node-view.ts';
import type { Openers } from './openers.ts';
import { merged, type FoundBatch, type Place, type RingWalk, WINDOW_BYTES } from './ring-walk.ts';

const IDLE_POLL_MS = 100;
/** While something comes: heads follow their batches at 20 ms. */
const BUSY_POLL_MS = 20;
/** A place that looks bad may still be on its way (a copy lags): this long. */
const PATIENCE_MS = 1000;
/** Behind a loss, reading goes on this share of the ring before the writer comes round again. */
const HEADROOM = 1 / 8;

interface Cursor {
  readonly walk: RingWalk;
  position: number;
  /** The newest batch that was told. */
  mark: number;
  /** Since when there has been no good batch at the position; -1: there has. */
  badSinceMs: number;
  /** What begins here was written over and is not told yet; -1: nothing. */
  lostFrom: number;
}

/**
 * `null` comes between two rounds: what was found is to be shown. Ends when `stop` is aborted. `starts`: for each walk.
 * Throws when the volume is another one now.
 */
export async function* follow(
  volume: InspectedVolume,
  openers: Openers,
  walks: readonly RingWalk[],
  starts: readonly { readonly position: number; readonly mark: number }[],
  stop: AbortSignal,
  watch: FollowWatch,
): AsyncGenerator<Place | null> {
  const cursors = walks.map((walk, i): Cursor => {
    const { position, mark } = starts[i] ?? { position: 0, mark: 0 };
    return { walk, position, mark, badSinceMs: -1, lostFrom: -1 };
  });
  while (!stop.aborted) {
    const isThere = watch.isThere(Date.now());
    const followed = (slot: number): boolean => walks.some((walk) => walk.slot === slot);
    const heads = isThere ? readSlotHeads(volume, volume.readHeads(), openers).filter((one) => followed(one.slot)) : [];
    watch.heads(heads, Date.now());
    let isBusy = false;
    const rounds = cursors.map((cursor) => {
      const head = heads.find(({ slot }) => slot === cursor.walk.slot)?.head;
      return news(cursor, head?.position ?? cursor.position, volume.superblock.slotBytes);
    });
    for (const place of merged(rounds)) {
      isBusy = true;
      yield place;
    }
    yield null;
    await delay(isBusy ? BUSY_POLL_MS : IDLE_POLL_MS, undefined, { signal: stop }).catch(() => {});
  }
}

/** What has come between the cursor and the writer's head. */
function* news(cursor: Cursor, head: number, slotBytes: number): Generator<Place> {
  const { walk } = cursor;
  if (head <= cursor.position) return;
  walk.refresh();
  if (head - slotBytes > cursor.position) yield* behindLoss(cursor, head, slotBytes);
  while (cursor.position < head) {
    walk.readAhead = Math.min(WINDOW_BYTES, roundUp(head - cursor.position, BLOCK_BYTES));
    const found = walk.look(cursor.position);
    if (!found.ok) {
      if (found.fault === 'ahead') yield* behindLoss(cursor, head, slotBytes);
      else yield* behindDamage(cursor, head);
      return;
    }
    yield* told(cursor, found.batch);
  }
}

/** A batch, and before it what was lost on the way to it. */
function* told(cursor: Cursor, batch: FoundBatch): Generator<Place> {
  const { position, orderMark } = batch.header;
  if (cursor.lostFrom >= 0 && position > cursor.lostFrom) {
    const [from, afterMark, beforeMark] = [cursor.lostFrom, cursor.mark, orderMark];
    yield { kind: 'overwritten', slot: batch.slot, position: from, bytes: position - from, afterMark, beforeMark };
  }
  cursor.lostFrom = -1;
  cursor.badSinceMs = -1;
  cursor.mark = orderMark;
  cursor.position = cursor.walk.endOf(batch.header);
  yield batch;
}

/** The writer was faster than a whole ring: goes on at the first good batch that it will not reach at once. */
function* behindLoss(cursor: Cursor, head: number, slotBytes: number): Generator<Place> {
  if (cursor.lostFrom < 0) cursor.lostFrom = cursor.position;
  const resume = roundUp(Math.max(cursor.position, head - slotBytes * (1 - HEADROOM)), BLOCK_BYTES);
  cursor.walk.readAhead = WINDOW_BYTES;
  cursor.position = head;
  for (const place of cursor.walk.places(resume, head, false)) {
    if (place.kind === 'batch') yield* told(cursor, place);
    else yield place;
  }
}

/** Waits for what may still come; then tells what is bad, and goes on behind it. */
function* behindDamage(cursor: Cursor, head: number): Generator<Place> {
  const nowMs = performance.now();
  if (cursor.badSinceMs < 0) cursor.badSinceMs = nowMs;
  if (nowMs - cursor.badSinceMs < PATIENCE_MS) return;
  cursor.badSinceMs = -1;
  const from = cursor.position;
  cursor.position = head;
  for (const place of cursor.walk.places(from, head, true)) {
    if (place.kind === 'batch') yield* told(cursor, place);
    else yield place;
  }
}
