/**
 * The settings as the program uses them: every value present, every unit in its name, addresses taken apart.
 * `load.ts` makes this out of a file; nothing else does. What the operator writes is described by `schema.ts`.
 */
import type { TypeIndex } from '../base/packet-type.ts';

export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

/** An address with its prefix length, e.g. 10.77.0.1/24 or fd77::1/64. */
export interface InterfaceAddress {
  readonly address: string;
  readonly prefix: number;
  readonly family: 4 | 6;
}

/** One rule of `types:`; a packet matches when every given field does, `port` on either end. */
export interface TypeRule {
  readonly type: TypeIndex;
  readonly protocol?: 'tcp' | 'udp' | 'sctp' | 'icmp' | number;
  readonly port?: readonly [low: number, high: number];
  /** Only packets of at least this many bytes (IP length). */
  readonly minBytes?: number;
}

export interface PeerSettings {
  readonly node: string;
  /** The peer's addresses on the virtual network (IPv4, IPv6 or both). */
  readonly addresses: readonly string[];
  /** The peer's tunnel endpoint on the primary network; null with `mode: none`. */
  readonly primary: Endpoint | null;
  /** Volume in which this node reads what the peer writes. */
  readonly receiveVolume: string;
}

export interface Settings {
  readonly file: string;
  readonly cluster: string;
  readonly node: string;
  /** Null only with `unauthenticated: true`. */
  readonly keyFile: string | null;
  readonly unauthenticated: boolean;
  readonly vnic: { readonly name: string; readonly addresses: readonly InterfaceAddress[]; readonly mtu: number };
  readonly storage: {
    readonly sendVolume: string;
    readonly pollMs: { readonly idle: number; readonly active: number };
    readonly beaconMs: number;
    readonly maxAgeMs: number;
    /** A write that takes longer makes the storage unavailable until it ends. */
    readonly writeDeadlineMs: number;
    readonly flush: { readonly thresholdBytes: number; readonly deadlineMs: number };
    /** 0 = no limit. */
    readonly limits: { readonly bytesPerSecond: number; readonly operationsPerSecond: number };
    readonly copy: 'shared' | 'local' | 'command' | 'mirror';
  };
  readonly primary: {
    readonly mode: 'tunnel' | 'route' | 'none';
    readonly interface: string | null;
    /** With `mode: route`: the types that go past the agent. */
    readonly bypass: readonly ('bulk' | 'data')[];
    readonly listen: Endpoint | null;
    readonly probe: {
      readonly intervalMs: number;
      readonly misses: number;
      readonly stableForMs: number;
      /** stableFor doubles at each flap up to this. */
      readonly stableForMsMax: number;
    };
  };
  readonly queues: {
    /** Unconfirmed bytes kept for resending, for each peer and type. */
    readonly retainBytes: number;
  };
  readonly peers: readonly PeerSettings[];
  readonly types: readonly TypeRule[];
  readonly controlSocket: string;
  readonly messages: {
    readonly socket: string;
    /** A message that no program on the peer has read after this is counted as missed. */
    readonly deadlineMs: number;
  };
  /** The settings file of corosync on this node, for advice; it need not be there. */
  readonly corosyncConf: string;
  /** Where figures for Prometheus are served; null: nowhere. */
  readonly metricsListen: Endpoint | null;
  /** The program that is run at changes of a path; null: none. */
  readonly hooks: { readonly onPath: string | null; readonly timeoutMs: number };
}
