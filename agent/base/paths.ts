/** The way packets to one peer take; what `status` prints. The order is fixed: shared memory carries the index. */
export const PATHS = ['network', 'suspect', 'storage', 'returning', 'isolated'] as const;
export type Path = (typeof PATHS)[number];

/** An operator's override for one peer. */
export const OVERRIDES = ['auto', 'storage', 'network'] as const;
export type Override = (typeof OVERRIDES)[number];
