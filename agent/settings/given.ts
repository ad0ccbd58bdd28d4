/** The settings as the file has them, after the schema has checked each key and filled in defaults. */

import type { RecorderFile } from './mirror.ts';
import type { CopyKind } from './schema-copy.ts';

type OneOrList = string | readonly string[];

export interface PeerFile {
  readonly node: string;
  readonly address: OneOrList;
  readonly primary?: string;
  readonly receive?: { readonly volume: string };
  readonly mirror?: { readonly connect: string; readonly listen: string; readonly journal: JournalFile };
}

interface JournalFile {
  readonly path: string;
  readonly size: string;
}

export interface TypeRuleFile {
  readonly type: 'heartbeat' | 'data' | 'bulk';
  readonly protocol?: 'tcp' | 'udp' | 'sctp' | 'icmp' | number;
  readonly port?: number | string;
  readonly minBytes?: number;
}

export interface SettingsFile {
  readonly cluster: string;
  readonly node: string;
  readonly keyFile?: string;
  readonly unauthenticated: boolean;
  readonly vnic: { readonly name: string; readonly address: OneOrList; readonly mtu: number };
  readonly storage: {
    readonly send: { readonly volume: string };
    readonly pollMs: { readonly idle: number; readonly active: number };
    readonly beaconMs: number;
    readonly maxAgeMs: number;
    readonly writeDeadlineMs: number;
    readonly flush: { readonly thresholdBytes: number; readonly deadlineMs: number };
    readonly limits: { readonly bytesPerSecond: number; readonly operationsPerSecond: number };
    readonly copy: CopyKind;
    readonly copyWithinMs: number;
    readonly local?: { readonly volume: string };
    readonly mirror?: { readonly journal: JournalFile; readonly recorders: readonly RecorderFile[] };
    readonly command?: {
      readonly run: OneOrList;
      readonly intervalMs: number;
      readonly timeoutMs: number;
      readonly onCommand: boolean;
    };
  };
  readonly primary: {
    readonly mode: 'tunnel' | 'route' | 'none';
    readonly interface?: string;
    readonly bypass: readonly ('bulk' | 'data')[];
    readonly listen?: string;
    readonly probe: {
      readonly intervalMs: number;
      readonly misses: number;
      readonly stableForMs: number;
      readonly stableForMaxMs: number;
    };
  };
  readonly queues: { readonly retainBytes: number };
  readonly peers: readonly PeerFile[];
  readonly types: readonly TypeRuleFile[];
  readonly gateway: {
    readonly offer: boolean;
    readonly uplink?: string;
    readonly use: readonly string[];
    readonly prefixes: readonly string[];
    readonly ping: readonly string[];
  };
  readonly control: { readonly socket?: string };
  readonly messages: { readonly socket?: string; readonly deadlineMs: number };
  readonly corosync: { readonly conf: string };
  readonly metrics: { readonly listen?: string };
  readonly page: {
    readonly serve: boolean;
    readonly listen: string;
    readonly tokenFile?: string;
    readonly hosts: readonly string[];
    readonly mirrors: readonly string[];
  };
  readonly events: { readonly file?: string; readonly bytes: number };
  readonly hooks: { readonly onPath?: string; readonly timeoutMs: number };
}

/** The same while it may still be faulty: what did not fit the schema has been taken out. */
export type Given<T> = T extends readonly (infer Item)[]
  ? readonly (Given<Item> | undefined)[]
  : T extends object
    ? { readonly [Key in keyof T]?: Given<T[Key]> | undefined }
    : T;

/** One text or a list of texts as a list, each with where it stands below its key. */
export function each(
  value: string | readonly (string | undefined)[] | undefined,
): { text: string; at: readonly number[] }[] {
  if (value === undefined) return [];
  if (typeof value === 'string') return [{ text: value, at: [] }];
  return value.flatMap((text, index) => (text === undefined ? [] : [{ text, at: [index] }]));
}
