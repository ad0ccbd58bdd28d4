/** What a simulated cluster is made with: the production defaults, but shorter holds, so that a run need not be long. */
export interface SimSettings {
  readonly nodes: number;
  /** `shared`: one volume for all. `separate`: each node writes to its own, which the others read. */
  readonly volumes: 'shared' | 'separate';
  readonly beaconMs: number;
  readonly maxAgeMs: number;
  readonly writeDeadlineMs: number;
  readonly stableForMs: number;
  readonly stableForMsMax: number;
  readonly retainBytes: number;
  readonly slotBytes: number;
  readonly datagramBytes: number;
  readonly idleMs: number;
  readonly mode: 'tunnel' | 'none';
}

export const SIM_SETTINGS: SimSettings = {
  nodes: 2,
  volumes: 'shared',
  beaconMs: 1000,
  maxAgeMs: 2000,
  writeDeadlineMs: 1000,
  stableForMs: 1000,
  stableForMsMax: 4000,
  retainBytes: 1024 * 1024,
  slotBytes: 1024 * 1024,
  datagramBytes: 1472,
  idleMs: 50,
  mode: 'tunnel',
};

export const PROBE: { readonly intervalMs: number; readonly misses: number } = { intervalMs: 50, misses: 3 };
export const CLUSTER_KEY: Uint8Array = new Uint8Array(32).fill(0x5b);
export const CLUSTER_UUID: Uint8Array = new Uint8Array(16).fill(0xc1);

export const nodeName = (node: number): string => String.fromCharCode(97 + node);
export const nodeAddress = (node: number): string => `10.77.0.${node + 1}`;
export const nodeNumber = (node: number): number => 0x0a0a_0a0a + node * 0x0101_0101;
export const BROADCAST_ADDRESS = '10.77.0.255';
