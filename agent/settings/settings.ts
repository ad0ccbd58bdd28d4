/**
 * The settings as the program uses them: every value present, every unit in its name, addresses taken apart.
 * `load.ts` makes this out of a file; nothing else does. What the operator writes is described by `schema.ts`.
 */
import type { RecorderFile } from './mirror.ts';
import type { TypeIndex } from '../base/packet-type.ts';
import type { CopyKind } from './schema-copy.ts';

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

/** The way to the outside through a peer. */
export interface GatewaySettings {
  readonly offer: boolean;
  /** The interface by which this node itself reaches the outside; null only without `offer` and `use`. */
  readonly uplink: string | null;
  /** Names of peers, best first. */
  readonly use: readonly string[];
  /** What is outside, as networks. */
  readonly prefixes: readonly InterfaceAddress[];
  /** Addresses outside that answer ping while the own way is good. */
  readonly ping: readonly string[];
}

/** The operator's program that copies the send volume. */
export interface CopyCommand {
  /** Its whole path, and its arguments. */
  readonly run: readonly [program: string, ...args: string[]];
  readonly intervalMs: number;
  readonly timeoutMs: number;
  /** Run by `stillbeat copy` alone. */
  readonly onCommand: boolean;
}

export interface CopyJournal {
  readonly path: string;
  /** As it is written: 64M. */
  readonly size: string;
}

/** The storage link to one peer. */
export interface MirrorPeer {
  readonly node: string;
  /** Where this node's writes go. */
  readonly connect: string;
  /** Where the peer's come in, and what they are brought to. */
  readonly listen: Endpoint;
  readonly journal: CopyJournal;
  readonly volume: string;
}

export interface CopyMirror {
  readonly journal: CopyJournal;
  /** Who keeps a history of the send volume: as a source's settings have them. */
  readonly recorders: readonly RecorderFile[];
  readonly peers: readonly MirrorPeer[];
}

export interface PageSettings {
  readonly listen: Endpoint;
  /** The endpoint is nobody's word but the default: what has it already keeps it. */
  readonly isDefault: boolean;
  /** The words that open the page; null: none is asked for. */
  readonly tokenFile: string | null;
  /** Names that a browser may call it by, in lower case. */
  readonly hosts: readonly string[];
  /** Control sockets of mirrors. */
  readonly mirrors: readonly string[];
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
    readonly copy: CopyKind;
    /** With a copy: what is written is to be readable at the other side within this. */
    readonly copyWithinMs: number;
    /** Where the agent copies to; null without `copy: local`. */
    readonly localVolume: string | null;
    /** Null without `copy: command`. */
    readonly command: CopyCommand | null;
    /** Null without `copy: mirror`. */
    readonly mirror: CopyMirror | null;
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
  readonly gateway: GatewaySettings;
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
  /** Where the page is served, and to whom; null: nowhere. */
  readonly page: PageSettings | null;
  /** What is kept of the past on the disk; 0 bytes: nothing. */
  readonly events: { readonly file: string; readonly bytes: number };
  /** The program that is run at changes of a path; null: none. */
  readonly hooks: { readonly onPath: string | null; readonly timeoutMs: number };
}

/** How long what a node writes may take to be readable at the other side, beside the way over one volume. */
export const copyMs = ({ storage }: Settings): number => (storage.copy === 'shared' ? 0 : storage.copyWithinMs);

/** On a busy machine a thread now and then is late: one copies (`local`), with a mirror six do, and three disks flush. */
const STEP_MS = { shared: 0, local: 50, mirror: 200 } as const;

/** How much longer a copy may take for one packet than for the next: twice that. */
export const copyStepMs = ({ storage }: Settings): number =>
  storage.copy === 'command' ? (storage.command?.intervalMs ?? 0) : STEP_MS[storage.copy];
