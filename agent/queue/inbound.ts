/**
 * What a reader hands to the switch thread over the inbound ring: frames that are not in their turn, and head blocks.
 * Peer, type and epoch of a record share one word of the ring, 8, 8 and 16 bits. The epoch (of the shared state) tells
 * whether the peer has been succeeded by another incarnation since the reader read the record.
 */

/** The type of a record that is a head block, not a frame. */
export const HEAD_RECORD = 0xff;
export const EPOCH_MASK = 0xffff;

export const inboundWord = (peer: number, type: number, epoch: number): number =>
  (((epoch & EPOCH_MASK) << 16) | (peer << 8) | type) >>> 0;

export const inboundType = (word: number): number => word & 0xff;
export const inboundPeer = (word: number): number => (word >>> 8) & 0xff;
export const inboundEpoch = (word: number): number => word >>> 16;
