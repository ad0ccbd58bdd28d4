/**
 * What the applications send: numbered frames of each type, no two alike, so that every one can be told afterwards. Where
 * there are more than two nodes each frame goes to one of the peers by chance, and some go to all.
 */
import { buildUdp4 } from '../support/packets.ts';
import type { Node } from './node.ts';
import { others, peerAt, type NodeIndex } from './pairs.ts';
import { BROADCAST_ADDRESS, nodeAddress } from './settings.ts';
import type { World } from './world.ts';

export type SentType = 'heartbeat' | 'data' | 'bulk';

export interface Sent {
  readonly id: number;
  readonly from: NodeIndex;
  readonly type: SentType;
  /** Counts within (node, type). */
  readonly number: number;
  readonly frame: Uint8Array;
  /** When the application sent it, and when the agent took it. */
  readonly sentMs: number;
  enteredMs: number;
  /** One for each node that it is for. */
  readonly copies: readonly Copy[];
}

export interface Copy {
  readonly to: NodeIndex;
  deliveredMs: number;
  /** A full queue threw it away, as queues do. */
  isDropped: boolean;
}

/** Instead of one peer: a group, the subnet, or everybody on the link. */
export const TO_ALL = ['239.1.2.3', '224.0.0.18', BROADCAST_ADDRESS, '255.255.255.255'] as const;
/** One frame of so many goes to all. */
const TO_ALL_ONE_IN = 8;

export type Target = NodeIndex | (typeof TO_ALL)[number];

const PORTS: Readonly<Record<SentType, number>> = { heartbeat: 5405, data: 4000, bulk: 873 };
/** Virtio-net, IPv4 and UDP headers. */
const PAYLOAD_OFFSET = 10 + 20 + 8;
const MAGIC = 0x7e57_f4a3;

/** The id in a frame's payload; -1 when it is none of ours. */
export function readId(frame: Uint8Array): number {
  if (frame.length < PAYLOAD_OFFSET + 8) return -1;
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  return view.getUint32(PAYLOAD_OFFSET) === MAGIC ? view.getUint32(PAYLOAD_OFFSET + 4) : -1;
}

export class Workload {
  /** Mean milliseconds between two frames of a type; 0: none. */
  readonly everyMs: Record<SentType, number> = { heartbeat: 40, data: 40, bulk: 400 };
  readonly #world: World;
  readonly #sent: Map<number, Sent>;
  readonly #numbers = new Map<string, number>();
  #nextId = 1;

  constructor(world: World, sent: Map<number, Sent>) {
    this.#world = world;
    this.#sent = sent;
  }

  /** Lets the applications of `node` send from now on. */
  begin(node: Node): void {
    for (const type of ['heartbeat', 'data', 'bulk'] as const) this.#later(node, type);
  }

  #later(node: Node, type: SentType): void {
    const everyMs = this.everyMs[type];
    this.#world.after(everyMs === 0 ? 1000 : this.#world.within(0.2, 1.8) * everyMs, () => {
      if (this.everyMs[type] > 0) this.#burst(node, type);
      this.#later(node, type);
    });
  }

  #burst(node: Node, type: SentType): void {
    const { prng } = this.#world;
    const isBurst = type !== 'heartbeat' && prng.chance(1, 20);
    const count = isBurst ? prng.between(5, 40) : 1;
    for (let i = 0; i < count; i++) {
      const large = type === 'heartbeat' ? 600 : prng.chance(1, 20) ? 20_000 : 1400;
      const payloadBytes = prng.between(8, large);
      this.send(node, type, payloadBytes, this.#drawTarget(node));
    }
  }

  #drawTarget(node: Node): Target {
    const { prng } = this.#world;
    const peers = node.settings.nodes - 1;
    if (peers === 1) return peerAt(node.index, 0);
    if (prng.chance(1, TO_ALL_ONE_IN)) return TO_ALL[prng.below(TO_ALL.length)] ?? BROADCAST_ADDRESS;
    return peerAt(node.index, prng.below(peers));
  }

  send(node: Node, type: SentType, payloadBytes: number, to: Target): Sent {
    const payload = new Uint8Array(payloadBytes);
    const id = this.#nextId++;
    payload.fill(id & 0xff);
    const view = new DataView(payload.buffer);
    view.setUint32(0, MAGIC);
    view.setUint32(4, id);
    const key = `${node.index} ${type}`;
    const number = (this.#numbers.get(key) ?? 0) + 1;
    this.#numbers.set(key, number);
    const target = typeof to === 'number' ? nodeAddress(to) : to;
    const frame = buildUdp4({ source: nodeAddress(node.index), target, targetPort: PORTS[type], payload });
    const targets = typeof to === 'number' ? [to] : others(node.settings.nodes, node.index);
    const sent: Sent = {
      id,
      from: node.index,
      type,
      number,
      frame,
      sentMs: this.#world.nowMs,
      enteredMs: -1,
      copies: targets.map((to) => ({ to, deliveredMs: -1, isDropped: false })),
    };
    this.#sent.set(id, sent);
    node.push(frame);
    return sent;
  }
}
