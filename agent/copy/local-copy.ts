/**
 * Copies what one node writes on its send volume to another volume (`copy: local`): its slot's ring and head block, and the
 * superblock. Blocks on purpose, in a thread of its own; `step` does what is due and answers how long to sleep.
 *
 * Always true:
 * - Only what has changed is copied, and of the slots only our own.
 * - [AG6] A head block is written behind all that it names: a reader of the copy never waits for what is said to be there.
 * - What the ring has written over before it was copied is left out, and counted: a batch of it would be no batch.
 */
import { dataView, getU64, sameBytes } from '../base/bytes.ts';
import { hasCopied, type CopyState } from '../queue/copy-state.ts';
import type { Disk, SlotGeometry } from '../volume/disk.ts';
import { isHeadOf } from '../volume/head.ts';
import { BLOCK_BYTES, HEAD, HEAD_TABLE_OFFSET, slotOfTenant, SUPERBLOCK_COPIES } from '../volume/layout.ts';

export interface LocalCopyParts {
  readonly source: Disk;
  readonly target: Disk;
  readonly geometry: SlotGeometry;
  readonly tenant: number;
  readonly clusterUuid: Uint8Array;
  readonly state: CopyState;
  /** Page-aligned, {@link LOCAL_COPY_BYTES}. */
  readonly memory: Uint8Array;
  /** Monotonic ms. */
  readonly now: () => number;
}

const PIECE_BYTES = 1024 * 1024;
const SUPERBLOCKS_BYTES = SUPERBLOCK_COPIES * BLOCK_BYTES;
export const LOCAL_COPY_BYTES: number = PIECE_BYTES + BLOCK_BYTES + 2 * SUPERBLOCKS_BYTES;
/** A change of the node table (`format --add`) is nothing that anybody hurries for. */
const SUPERBLOCKS_MS = 1000;
const SLEEP_MS = 250;
const RETRY_MS_MIN = 5;
const RETRY_MS_MAX = 200;

export class LocalCopy {
  readonly #parts: LocalCopyParts;
  readonly #piece: Uint8Array;
  readonly #head: Uint8Array;
  readonly #superblocks: Uint8Array;
  readonly #known: Uint8Array;
  #superblocksMs = -Infinity;
  #hasBegun = false;
  /** The head block in hand, to be written when the ring is copied up to `position`; null: none. */
  #pending: { readonly heads: number; readonly position: number } | null = null;
  #retryMs = 0;

  constructor(parts: LocalCopyParts) {
    this.#parts = parts;
    const { memory } = parts;
    this.#piece = memory.subarray(0, PIECE_BYTES);
    this.#head = memory.subarray(PIECE_BYTES, PIECE_BYTES + BLOCK_BYTES);
    this.#superblocks = memory.subarray(PIECE_BYTES + BLOCK_BYTES, PIECE_BYTES + BLOCK_BYTES + SUPERBLOCKS_BYTES);
    this.#known = memory.subarray(PIECE_BYTES + BLOCK_BYTES + SUPERBLOCKS_BYTES, LOCAL_COPY_BYTES);
  }

  /** Everything that was written is on the copy. */
  get isDone(): boolean {
    const { state } = this.#parts;
    return hasCopied(state.copied, state.written);
  }

  /** One write at most, with the read before it; answers how many milliseconds to sleep. */
  step(): number {
    const next = this.#next();
    if (next < 0) {
      this.#retryMs = Math.min(RETRY_MS_MAX, Math.max(RETRY_MS_MIN, this.#retryMs * 2));
      return this.#retryMs;
    }
    this.#retryMs = 0;
    return next;
  }

  /** How long to sleep, or a negative errno. */
  #next(): number {
    const { state, now } = this.#parts;
    if (now() - this.#superblocksMs >= SUPERBLOCKS_MS) return this.#copySuperblocks();
    if (!state.isKnown) return SLEEP_MS;
    if (!this.#hasBegun) return this.#begin();
    const { written, copied } = state;
    const pending = this.#pending;
    if (pending && copied.position >= pending.position) return this.#putHead(pending.heads);
    if (!pending && written.heads !== copied.heads) return this.#takeHead(written.heads);
    if (copied.position >= written.position) return SLEEP_MS;
    return this.#copyPiece(copied.position, pending?.position ?? written.position);
  }

  #copySuperblocks(): number {
    const { source, now } = this.#parts;
    const read = this.#call(() => source.read(0, this.#superblocks), SUPERBLOCKS_BYTES);
    if (read < 0) return read;
    if (!sameBytes(this.#superblocks, 0, this.#known, 0, SUPERBLOCKS_BYTES)) {
      // One after the other: at each moment one of the two is whole.
      for (let at = 0; at < SUPERBLOCKS_BYTES; at += BLOCK_BYTES) {
        const done = this.#write(at, this.#superblocks.subarray(at, at + BLOCK_BYTES));
        if (done < 0) return done;
      }
      this.#known.set(this.#superblocks);
    }
    this.#superblocksMs = now();
    return 0;
  }

  /** The copy's own head block names what is there: what a former copier has copied is not copied again. */
  #begin(): number {
    const { target, geometry, tenant, clusterUuid, state } = this.#parts;
    const read = this.#call(() => target.read(headOffset(tenant), this.#head), BLOCK_BYTES);
    if (read < 0) return read;
    const { position } = state.written;
    const isOurs = isHeadOf(this.#head, tenant, clusterUuid);
    const there = isOurs ? getU64(dataView(this.#head), HEAD.at.position) : 0;
    const oldest = Math.max(0, position - geometry.slotBytes);
    state.copiedTo(there <= position ? Math.max(there, oldest) : oldest);
    this.#hasBegun = true;
    return 0;
  }

  #takeHead(heads: number): number {
    const { source, state, tenant } = this.#parts;
    const read = this.#call(() => source.read(headOffset(tenant), this.#head), BLOCK_BYTES);
    if (read < 0) return read;
    // It names no batch that was written later than this.
    this.#pending = { heads, position: state.written.position };
    return 0;
  }

  #copyPiece(copied: number, until: number): number {
    const { source, geometry, state } = this.#parts;
    const { slotBytes, slotOffset } = geometry;
    const from = Math.max(copied, until - slotBytes);
    if (from > copied) state.skipped(from - copied);
    const at = from % slotBytes;
    const bytes = Math.min(PIECE_BYTES, slotBytes - at, until - from);
    const piece = this.#piece.subarray(0, bytes);
    const read = this.#call(() => source.read(slotOffset + at, piece), bytes);
    if (read < 0) return read;
    const done = this.#write(slotOffset + at, piece);
    if (done < 0) return done;
    state.copiedTo(from + bytes);
    return 0;
  }

  #putHead(heads: number): number {
    const { state, tenant } = this.#parts;
    const done = this.#write(headOffset(tenant), this.#head);
    if (done < 0) return done;
    this.#pending = null;
    state.copiedHead(heads);
    return 0;
  }

  #write(offset: number, bytes: Uint8Array): number {
    return this.#call(() => this.#parts.target.write(offset, bytes), bytes.length, bytes.length);
  }

  /** A call that hangs is to be seen. */
  #call(act: () => number, bytes: number, writtenBytes = 0): number {
    const { state, now } = this.#parts;
    state.began(now());
    const got = act();
    const result = got === bytes ? 0 : got < 0 ? got : -5;
    state.ended(result, writtenBytes);
    return result;
  }
}

const headOffset = (tenant: number): number => HEAD_TABLE_OFFSET + slotOfTenant(tenant) * BLOCK_BYTES;
