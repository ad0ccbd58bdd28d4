/**
 * What of a session with a target belongs to its cuts: which transfer brought which entry, the list that is on its way, and how
 * full the target's journal is. Knows no connection.
 */
import { SentTransfers } from '../core/transfers.ts';
import { decodeWanted, type WantedBlock } from '../wire/checkpoint.ts';
import { checkpointFrames, type CheckpointFrame } from './checkpoint-frames.ts';
import type { CutBlock } from './checkpoints.ts';

export class SessionCuts {
  #from = 0;
  #transfers = new SentTransfers();
  #frames: Iterator<CheckpointFrame> | null = null;
  #room = { bytes: 0, most: 0 };
  readonly #keepsTransfers: boolean;
  /** A cut is shown; blocks of a cut could not be brought. */
  onApplied: (cut: number) => void = () => {};
  onWanted: (cut: number, blocks: readonly WantedBlock[]) => void = () => {};

  /** `keepsTransfers`: whether anything will be referred to. */
  constructor(keepsTransfers: boolean) {
    this.#keepsTransfers = keepsTransfers;
  }

  /** A session begins: entries behind this mark are sent in it. */
  begin(from: number, roomBytes: number): void {
    this.#from = from;
    this.#transfers = new SentTransfers();
    this.#frames = null;
    this.#room = { bytes: roomBytes, most: roomBytes };
  }

  get from(): number {
    return this.#from;
  }

  /** The target said how much room it has. */
  room(bytes: number): void {
    this.#room = { bytes, most: Math.max(bytes, this.#room.most) };
  }

  /** Half of the room that it has had is gone: it keeps entries until a cut lets them go. */
  get isHalfFull(): boolean {
    return this.#room.bytes < this.#room.most / 2;
  }

  /** A transfer of `count` entries, of which the last has this mark. */
  sent(transfer: number, last: number, count: number): void {
    if (this.#keepsTransfers) this.#transfers.add(transfer, last, count);
  }

  /** What was sent behind this mark goes once more. */
  sentAgain(from: number): void {
    this.#transfers.dropBeyond(from);
  }

  /** The list of a cut is to be sent, from `base` on. */
  list(cut: number, base: number, blocks: readonly CutBlock[]): void {
    this.#transfers.forget(base);
    this.#frames = checkpointFrames(cut, base, blocks, this.#transfers);
  }

  /** The body of a `want`; false when it cannot be read. */
  wanted(cut: number, body: Uint8Array): boolean {
    const blocks = decodeWanted(body);
    if (blocks) this.onWanted(cut, blocks);
    return blocks !== null;
  }

  /** The next part of it; null when there is none. */
  next(): CheckpointFrame | null {
    const next = this.#frames?.next();
    if (next && next.done !== true) return next.value;
    this.#frames = null;
    return null;
  }
}
