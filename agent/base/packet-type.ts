/**
 * The packet types, in priority order: a lower number goes first wherever types compete. The number is what volumes and
 * datagrams carry, so it never changes its meaning.
 */
export const PACKET_TYPES = ['control', 'heartbeat', 'data', 'bulk'] as const;
export type PacketType = (typeof PACKET_TYPES)[number];

export const CONTROL = 0;
export const HEARTBEAT = 1;
export const DATA = 2;
export const BULK = 3;
export type TypeIndex = typeof CONTROL | typeof HEARTBEAT | typeof DATA | typeof BULK;

/** How many types there are, for tables indexed by type. */
export const TYPE_COUNT: number = PACKET_TYPES.length;
