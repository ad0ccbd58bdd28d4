/**
 * How each packet type travels, and what may stand in the write buffer.
 *
 * *Both*: at once over the network and through the storage; the receiver takes the first copy. *Failover*: over the
 * network while that is healthy, through the storage when it is not.
 */
import { PACKET_TYPES, type PacketType, type TypeIndex } from '../base/packet-type.ts';

export type Policy = 'both' | 'failover';

const POLICY_OF: Readonly<Record<PacketType, Policy>> = {
  control: 'both',
  heartbeat: 'both',
  data: 'failover',
  bulk: 'failover',
};

/** The policy of a type, by its index. */
export const POLICY: Readonly<Record<TypeIndex, Policy>> = PACKET_TYPES.map(
  (type) => POLICY_OF[type],
) as unknown as Record<TypeIndex, Policy>;

/**
 * What a packet asks for, beside its type. Every frame that an application sends is a `write`: something to be sent.
 * The agent's own wish to receive something is a `read`, and the words of agents among themselves are `control`; both
 * reach a peer in batch headers and head blocks, where they are always the newest, never by way of the buffer.
 */
export type RequestKind = 'write' | 'read' | 'control';

export interface WriteBufferQuestion {
  /** The primary network to the packet's destination. */
  readonly networkAvailable: boolean;
  readonly storageAvailable: boolean;
  readonly kind: RequestKind;
  readonly policy: Policy;
}

/**
 * [AG2] A packet enters the write buffer only when all three hold: the primary network to its destination is unavailable,
 * the storage is available, and it is a write packet. Policy *both* goes beyond the first condition on purpose (its packets
 * are buffered while the network is healthy too), never beyond the other two.
 */
export function mayEnterWriteBuffer(question: WriteBufferQuestion): boolean {
  const { networkAvailable, storageAvailable, kind, policy } = question;
  return kind === 'write' && storageAvailable && (!networkAvailable || policy === 'both');
}
