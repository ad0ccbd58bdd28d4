/**
 * A send volume beside its copy, slot by slot: what is the same, what is not copied yet, and what differs. Bytes are compared
 * as they lie there, so that no key is needed; with the key the side that is damaged is named.
 *
 * Both may be live. The copy follows the send volume: what the copy's own head block does not name yet is on its way and no
 * difference, and what looks like one is read again from both before it is told.
 */
import { sameBytes } from '../base/bytes.ts';
import { alignedMemory } from '../platform/memory.ts';
import { openBatch, peekBatch, type BatchFault, type BatchHeader } from '../volume/batch.ts';
import { BATCH_BYTES_MAX } from '../volume/layout.ts';
import type { InspectedVolume } from './inspected-volume.ts';
import { readSlotHeads, timeText, type SlotHead } from './node-view.ts';
import { Openers } from './openers.ts';
import { REASONS, RingWalk, type BadPlace, type FoundBatch } from './ring-walk.ts';

export interface Amount {
  batches: number;
  bytes: number;
}

export interface Difference {
  readonly position: number;
  readonly bytes: number;
  /** Null where the send volume holds no batch. */
  readonly orderMark: number | null;
  readonly reason: string;
}

/** Where a side's own head block says it is; null without one. */
export interface SideEnd {
  readonly position: number;
  readonly orderMark: number;
  readonly beaconTime: string;
}

export interface SlotDiff {
  readonly node: string;
  readonly slot: number;
  readonly send: SideEnd | null;
  readonly receive: SideEnd | null;
  /** By how much the copy's head block is older. */
  readonly behindMs: number | null;
  readonly same: Amount;
  readonly notCopied: Amount & { firstMark: number | null; lastMark: number | null; since: string | null };
  readonly differences: Difference[];
}

type Finding = 'same' | 'gone' | 'later' | { readonly reason: string };

const MOMENT_MS = 50;
/** So often a difference is given a moment; on volumes that differ all over it is told at once. */
const MOMENTS_MAX = 20;
const asleep = new Int32Array(new SharedArrayBuffer(4));

/** One node's slot on both. */
export class SlotComparison {
  readonly diff: SlotDiff;
  readonly walk: RingWalk;
  readonly #send: InspectedVolume;
  readonly #receive: InspectedVolume;
  readonly #proof: Openers | null;
  readonly #memory: Uint8Array = new Uint8Array(alignedMemory(BATCH_BYTES_MAX));
  readonly #end: number;
  #momentsLeft = MOMENTS_MAX;

  /** `keys`: null without. The copy's head is read before the send volume's: it is never ahead of it. */
  constructor(
    send: InspectedVolume,
    receive: InspectedVolume,
    slot: number,
    keys: readonly Uint8Array[] | null,
    windowBytes: number,
  ) {
    this.#send = send;
    this.#receive = receive;
    this.#proof = keys && new Openers(send, keys);
    const [there, here] = [headOf(receive, slot, keys), headOf(send, slot, keys)];
    const bare = new Openers(send, null);
    const writerPosition = (): number | null => headOf(send, slot, keys).head?.position ?? null;
    this.walk = new RingWalk(send, slot, bare, { windowBytes, writerPosition });
    this.#end = this.walk.findEnd(here.head?.position ?? null);
    this.diff = {
      node: send.nodeName(slot),
      slot,
      send: endOf(here),
      receive: endOf(there),
      behindMs: here.head && there.head && Math.max(0, (here.head.wallUs - there.head.wallUs) / 1000),
      same: { batches: 0, bytes: 0 },
      notCopied: { batches: 0, bytes: 0, firstMark: null, lastMark: null, since: null },
      differences: [],
    };
  }

  /** Compares one batch after the other; answers a difference as it is found, null for all else. */
  *compare(): Generator<Difference | null> {
    for (const place of this.walk.history(this.#end)) {
      if (place.kind === 'damaged') {
        yield this.#tell(this.#badOnSend(place));
        continue;
      }
      const { position, batchBytes, orderMark } = place.header;
      const found = this.#judge(place);
      if (found === 'same') {
        this.diff.same.batches++;
        this.diff.same.bytes += batchBytes;
      } else if (found === 'later') this.#count(place.header);
      yield typeof found === 'string' ? null : this.#tell({ position, bytes: batchBytes, orderMark, ...found });
    }
  }

  #tell(difference: Difference): Difference {
    this.diff.differences.push(difference);
    return difference;
  }

  #count({ batchBytes, orderMark, wallUs }: BatchHeader): void {
    const { notCopied } = this.diff;
    notCopied.batches++;
    notCopied.bytes += batchBytes;
    notCopied.firstMark ??= orderMark;
    notCopied.since ??= timeText(wallUs);
    notCopied.lastMark = orderMark;
  }

  #badOnSend({ position, bytes, fault }: BadPlace): Difference {
    const block = this.#read(this.#receive, position, Math.min(bytes, BATCH_BYTES_MAX));
    const isThere = block !== null && this.#peek(block, position).ok;
    const there = isThere ? 'a batch' : 'none either';
    return { position, bytes, orderMark: null, reason: `on the send volume: ${REASONS[fault]}; on the copy: ${there}` };
  }

  #judge(batch: FoundBatch): Finding {
    const [first, isLive] = [this.#look(batch), this.diff.send !== null];
    if (typeof first === 'string' || !isLive || this.#momentsLeft-- <= 0) return first;
    Atomics.wait(asleep, 0, 0, MOMENT_MS);
    const again = this.#look(batch);
    if (typeof again === 'string') return again;
    const { header } = batch;
    const now = this.#read(this.#send, header.position, header.batchBytes);
    const stands = now !== null && this.#peek(now, header.position).ok;
    return stands ? again : 'gone';
  }

  /** What the copy has in the place of a batch of the send volume. */
  #look(batch: FoundBatch): Finding {
    const { position, batchBytes, orderMark } = batch.header;
    const there = this.#read(this.#receive, position, batchBytes);
    if (there === null) return { reason: 'the copy ends before it, or its device answers an error' };
    if (Buffer.compare(there, batch.bytes) === 0) return 'same';
    const named = headOf(this.#receive, batch.slot, null).head?.position ?? 0;
    const peek = this.#peek(there, position);
    if (!peek.ok && peek.fault === 'ahead') return 'gone';
    // What the copy's head does not name is on its way: nothing, something old, or a part of it.
    if (position >= named) return 'later';
    if (!peek.ok) return { reason: missing(peek.fault) };
    if (peek.header.orderMark !== orderMark)
      return { reason: `the copy has batch #${peek.header.orderMark} in its place` };
    return { reason: this.#whichIsDamaged(batch, there) };
  }

  #whichIsDamaged({ header, bytes }: FoundBatch, there: Uint8Array): string {
    const at = bytes.findIndex((byte, i) => byte !== there[i]);
    const place = `bytes differ from ${at} on`;
    const seal = this.#proof?.forBatch(header) ?? null;
    if (seal === null) return place;
    const here = openBatch(bytes.slice(), header, seal);
    const copy = openBatch(there.slice(), header, seal);
    if (here === 'ok') return copy === 'ok' ? `${place}, behind what is sealed` : `${place}: the copy is ${copy}`;
    return copy === 'ok' ? `${place}: the send volume is ${here}` : `${place}: both are ${here}`;
  }

  #peek(block: Uint8Array, position: number): ReturnType<typeof peekBatch> {
    const { slotBytes, clusterUuid } = this.#send.superblock;
    const tenant = this.#send.tenant(this.diff.slot);
    return peekBatch(block, tenant, clusterUuid, position, slotBytes - (position % slotBytes));
  }

  /** Valid until the next call; null when it cannot be read. */
  #read(volume: InspectedVolume, position: number, length: number): Uint8Array | null {
    const offset = volume.slotOffset(this.diff.slot) + (position % volume.superblock.slotBytes);
    const into = this.#memory.subarray(0, length);
    return volume.device.read(offset, into) === length ? into : null;
  }
}

const missing = (fault: BatchFault): string => `the copy has it not: ${REASONS[fault]}`;

function headOf(volume: InspectedVolume, slot: number, keys: readonly Uint8Array[] | null): SlotHead {
  const heads = readSlotHeads(volume, volume.readHeads(), new Openers(volume, keys));
  return heads.find((one) => one.slot === slot) ?? { slot, head: null, state: 'unreadable', proven: false };
}

const endOf = ({ head }: SlotHead): SideEnd | null =>
  head && { position: head.position, orderMark: head.orderMark, beaconTime: timeText(head.wallUs) };

/** Nodes that have never written on either are left out: on a volume of one writer that is everybody else. */
export function writtenSlots(send: InspectedVolume, receive: InspectedVolume): readonly number[] {
  const hasWritten = (slot: number): boolean =>
    [send, receive].some((volume) => headOf(volume, slot, null).state !== 'never');
  return send.slots.filter(hasWritten);
}

/** Why the two cannot be a volume and its copy; null when they can. */
export function mismatch(send: InspectedVolume, receive: InspectedVolume): string | null {
  const [a, b] = [send.superblock, receive.superblock];
  if (!sameBytes(a.clusterUuid, 0, b.clusterUuid, 0, 16))
    return `one is of cluster ${send.uuid}, the other of ${receive.uuid}`;
  if (a.slotBytes !== b.slotBytes || a.slotCount !== b.slotCount) return 'their slots are not of one size';
  return null;
}
