/**
 * What a volume holds, for the page: the rings with their cursors, and the newest packets of one of them. Reads only, by the
 * decoder of `inspect`. Blocks as long as the volume does: for a thread of its own.
 */
import { AgentError } from '../base/errors.ts';
import { PATHS } from '../base/paths.ts';
import { placeView } from '../inspect/batch-view.ts';
import { ALL } from '../inspect/filter.ts';
import { InspectedVolume } from '../inspect/inspected-volume.ts';
import { readSlotHeads, type SlotHead } from '../inspect/node-view.ts';
import { Openers } from '../inspect/openers.ts';
import { RingWalk } from '../inspect/ring-walk.ts';
import { toHex } from '../base/bytes.ts';
import type { PacketsView, PacketView } from './document.ts';

const PACKETS_MAX = 200;
/** So much of the ring's newest end is looked at. */
const LOOK_BYTES = 524_288;
/** Headers alone: what packets carry is nobody's who only looks at the page. */
const EVERYTHING = { filter: ALL, content: false };

export interface SeenHead {
  readonly node: string;
  readonly state: string;
  readonly incarnation: string;
  readonly mark: number;
  readonly position: number;
  readonly startPosition: number;
  readonly peers: readonly {
    readonly node: string;
    readonly path: string;
    /** Of the peer that it speaks to. */
    readonly incarnation: string;
    readonly readPosition: number;
  }[];
}

export interface SeenVolume {
  readonly path: string;
  readonly slotBytes: number;
  readonly heads: readonly SeenHead[];
  readonly fault: string | null;
}

/** The volumes that are looked at, each opened when it is first needed, and again after an error. */
export class Looker {
  readonly #keys: readonly Uint8Array[] | null;
  readonly #open = new Map<string, { readonly volume: InspectedVolume; readonly openers: Openers }>();

  constructor(keys: readonly Uint8Array[] | null) {
    this.#keys = keys;
  }

  volume(path: string): SeenVolume {
    try {
      const { volume, openers } = this.#opened(path);
      const heads = volume.readHeads();
      if (heads === null) throw new AgentError('volume', `volume ${path} answers an error`);
      const seen = readSlotHeads(volume, heads, openers).map((head) => seenHead(volume, head));
      return { path, slotBytes: volume.superblock.slotBytes, heads: seen, fault: null };
    } catch (error) {
      this.#forget(path);
      return { path, slotBytes: 0, heads: [], fault: error instanceof Error ? error.message : String(error) };
    }
  }

  /** The newest packets that `node` has written to the volume. Throws an AgentError when there is no such ring. */
  packets(path: string, node: string): PacketsView {
    const { volume, openers } = this.#opened(path);
    const slot = volume.slots.find((each) => volume.nodeName(each) === node);
    if (slot === undefined) throw new AgentError('usage', `${path} has no ring of ${node}`);
    const head = readSlotHeads(volume, volume.readHeads(), openers).find((each) => each.slot === slot)?.head;
    const walk = new RingWalk(volume, slot, openers);
    const end = walk.findEnd(head?.position ?? null);
    const packets: PacketView[] = [];
    const notes: string[] = [];
    for (const place of walk.places(Math.max(0, end - LOOK_BYTES), end, false)) {
      const view = placeView(volume, place, EVERYTHING);
      if (view?.kind === 'damaged') notes.push(`at ${view.position}: ${view.reason}`);
      if (view?.kind !== 'batch') continue;
      if (view.records === null) notes.push(`at ${view.position}: sealed with a key that this node does not have`);
      for (const { type, target, sequence, frameBytes, text } of view.records ?? []) {
        const { time, orderMark } = view;
        packets.push({ time, orderMark, from: node, to: target, type, sequence, bytes: frameBytes, text });
      }
    }
    return { volume: path, node, packets: packets.slice(-PACKETS_MAX).toReversed(), notes: notes.slice(-10) };
  }

  #opened(path: string): { readonly volume: InspectedVolume; readonly openers: Openers } {
    const known = this.#open.get(path);
    if (known) return known;
    const volume = InspectedVolume.open(path);
    const opened = { volume, openers: new Openers(volume, this.#keys) };
    this.#open.set(path, opened);
    return opened;
  }

  #forget(path: string): void {
    this.#open.get(path)?.volume.close();
    this.#open.delete(path);
  }
}

function seenHead(volume: InspectedVolume, { slot, head, state }: SlotHead): SeenHead {
  return {
    node: volume.nodeName(slot),
    state,
    incarnation: head ? toHex(head.incarnation) : '',
    mark: head?.headMark ?? 0,
    position: head?.position ?? 0,
    startPosition: head?.startPosition ?? 0,
    peers: (head?.entries ?? []).map((entry) => ({
      node: volume.tenantName(entry.peerIndex),
      path: PATHS[entry.path] ?? 'unknown',
      incarnation: toHex(entry.echoIncarnation),
      readPosition: entry.readPosition,
    })),
  };
}
