/** The parts of the status document that are shown: its shape for those who look at it from outside. */

export interface QueueView {
  readonly sent: number;
  readonly depth: number;
  readonly bytes: number;
  readonly dropped: number;
  readonly expired: number;
  readonly resent: number;
}

export interface PeerStatus {
  readonly node: string;
  readonly path: string;
  readonly override: string;
  readonly since: string;
  readonly knowsUs: boolean | null;
  readonly otherAddresses: readonly string[] | null;
  readonly network: { readonly reachable: boolean; readonly hearsUs: boolean; readonly rttMs: number | null };
  readonly storage: {
    readonly fresh: boolean;
    readonly lagMs: number | null;
    readonly behindBytes: number;
    readonly key: string | null;
    readonly keyKnown: boolean;
  };
  readonly bypass: { readonly active: boolean };
  readonly sent: number;
  readonly received: number;
  readonly lost: number;
  readonly duplicates: number;
  readonly tooOld: number;
  readonly queues: Readonly<Record<'heartbeat' | 'data' | 'bulk', QueueView>>;
}

/** Packets from the peer that this node has not had: missing, or too late to be of use. */
export const missedOf = ({ lost, tooOld }: Pick<PeerStatus, 'lost' | 'tooOld'>): number => lost + tooOld;

export interface CopyStatus {
  readonly kind: string;
  readonly position: number;
  readonly copied: number;
  readonly lagMs: number;
  readonly withinMs: number;
  readonly misses: number;
  readonly late: boolean;
  readonly fault: string | null;
  readonly ringShort: boolean;
  readonly method: Readonly<Record<string, unknown>>;
}

export interface EventView {
  readonly at: string;
  readonly kind: string;
  readonly [figure: string]: unknown;
}

export interface StatusView {
  readonly cluster: string;
  readonly node: string;
  readonly pid: number;
  readonly version: string;
  readonly authenticated: boolean;
  readonly switch: string;
  readonly vnic: { readonly name: string; readonly addresses: readonly string[]; readonly mtu: number };
  readonly primary: {
    readonly mode: string;
    readonly interface: string | null;
    readonly carrier: boolean | null;
  };
  readonly storage: {
    readonly available: boolean;
    readonly volume: string;
    readonly direct: boolean;
    readonly lastWriteMs: number;
    readonly sinceWriteMs: number;
    readonly writeError: string | null;
    readonly writes: number;
    readonly bytesWritten: number;
    readonly bytesRead: number;
    readonly expired: number;
    readonly copy: CopyStatus;
    readonly receive: readonly {
      readonly volume: string;
      readonly peers: readonly string[];
      readonly available: boolean;
      readonly readError: string | null;
      readonly readingMs: number;
    }[];
  };
  readonly gateway: { readonly using: string | null };
  readonly queues: Readonly<Record<string, number>> | null;
  readonly peers: readonly PeerStatus[];
  readonly corosync: { readonly problem: string | null; readonly fits: boolean | null };
  readonly events: readonly EventView[];
}
