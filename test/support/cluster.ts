/**
 * A lab with the real agent on each node, for tests that look at what agents do: the status document in a type, waits on
 * conditions with a bound, and the content of slots.
 */
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import type { Path } from '../../agent/base/paths.ts';
import type { ReceiveDocument } from '../../agent/status.ts';
import { Lab, type LabOptions } from '../../agent/demo/lab.ts';
import type { Overrides } from '../../agent/demo/lab-settings.ts';

export interface QueueStatus {
  readonly sent: number;
  readonly depth: number;
  readonly dropped: number;
  readonly expired: number;
  readonly resent: number;
}

export interface PeerFigures {
  readonly node: string;
  readonly path: Path;
  readonly override: string;
  readonly since: string;
  readonly holdMs: number;
  readonly acceptedByPeer: boolean;
  readonly knowsUs: boolean | null;
  readonly otherAddresses: readonly string[] | null;
  readonly network: Readonly<Record<'reachable' | 'hearsUs', boolean>> &
    Readonly<Record<'unauthentic' | 'replayed' | 'garbage' | 'otherVersion', number>> & {
      readonly rttMs: number | null;
    };
  readonly storage: Readonly<Record<StorageCounter, number>> & {
    readonly fresh: boolean;
    readonly lagMs: number | null;
    readonly misses: number;
    readonly otherVersion: number;
  };
  readonly bypass: Readonly<Record<'possible' | 'active' | 'here' | 'there', boolean>>;
  readonly sent: number;
  readonly received: number;
  readonly lost: number;
  readonly duplicates: number;
  readonly tooOld: number;
  readonly queues: Readonly<Record<'heartbeat' | 'data' | 'bulk', QueueStatus>>;
}

type StorageCounter = 'batches' | 'torn' | 'stale' | 'foreign' | 'damaged' | 'replayed' | 'overruns' | 'behindBytes';

export interface EventLine {
  readonly at: string;
  readonly kind: string;
  readonly [figure: string]: unknown;
}

export interface Status {
  readonly cluster: string;
  readonly node: string;
  readonly pid: number;
  readonly version: string;
  readonly incarnation: string;
  readonly vnic: { readonly name: string; readonly addresses: string[]; readonly mtu: number; readonly stale: number };
  readonly primary: { readonly mode: string; readonly carrier: boolean | null; readonly strangers?: number };
  readonly storage: {
    readonly available: boolean;
    readonly volume: string;
    readonly direct: boolean;
    readonly sectorBytes: number;
    readonly lastWriteMs: number;
    readonly sinceWriteMs: number;
    readonly writing: boolean;
    readonly writeError: string | null;
    readonly readError: string | null;
    readonly receive: readonly ReceiveDocument[];
  } & Readonly<
    Record<
      'writes' | 'batches' | 'bytesWritten' | 'flushWakes' | 'reads' | 'writeErrors' | 'readErrors' | 'expired',
      number
    >
  >;
  readonly peers: readonly PeerFigures[];
  readonly events: readonly EventLine[];
}

/** Waits until `look` finds something (anything but false, null, undefined; an error counts as not yet). */
export async function eventually<T>(
  what: string,
  boundMs: number,
  look: () => Promise<T | false | null | undefined> | T | false | null | undefined,
): Promise<T> {
  const deadline = performance.now() + boundMs;
  for (let last: unknown = null; ;) {
    try {
      const found = await look();
      if (found !== false && found !== null && found !== undefined) return found;
    } catch (error) {
      last = error;
    }
    if (performance.now() > deadline) {
      throw new Error(`not within ${boundMs} ms: ${what}${last instanceof Error ? ` (${last.message})` : ''}`);
    }
    await delay(20);
  }
}

/** How long a busy machine may take for something that takes a moment. */
export const SOON_MS = 60_000;

/** As fast as the default, 0.02 ms, readers of a few agents take whole processors, which the agents here have to share. */
export const GENTLE = { storage: { pollMs: { active: 0.5 } } } as const;

export class Cluster {
  readonly lab: Lab;

  private constructor(lab: Lab) {
    this.lab = lab;
  }

  /** Lab, formatted volume, agents on all nodes; answers when they are on the network (on storage without one). */
  static async start(options: Partial<LabOptions> = {}, overrides: Overrides = {}): Promise<Cluster> {
    const cluster = await Cluster.prepare(options);
    try {
      await cluster.startAgents(overrides, options.withPrimary === false ? 'storage' : 'network');
      return cluster;
    } catch (error) {
      await cluster.close();
      throw error;
    }
  }

  /** Lab and formatted volume; no agents yet. */
  static async prepare(options: Partial<LabOptions> = {}): Promise<Cluster> {
    const lab = await Lab.create({ nodes: ['a', 'b'], settings: GENTLE, ...options });
    const cluster = new Cluster(lab);
    try {
      await lab.format();
      return cluster;
    } catch (error) {
      await cluster.close();
      throw error;
    }
  }

  async startAgents(overrides: Overrides = {}, path: Path = 'network'): Promise<void> {
    await Promise.all(this.lab.nodes.map(async (node) => this.lab.startAgent(node, overrides)));
    await this.untilPath(path);
  }

  /** Ends the agents and starts them with other settings. */
  async restartAgents(overrides: Overrides = {}, path: Path = 'network'): Promise<void> {
    await Promise.all(this.lab.nodes.map(async (node) => this.lab.stopAgent(node)));
    await this.startAgents(overrides, path);
  }

  async status(node: string): Promise<Status> {
    return (await this.lab.status(node)) as unknown as Status;
  }

  /** What `node` knows of its (first) peer. */
  async peer(node: string, peer?: string): Promise<PeerFigures> {
    const found = (await this.status(node)).peers.find((each) => peer === undefined || each.node === peer);
    if (!found) throw new Error(`${node} has no peer ${peer}`);
    return found;
  }

  /** Events of a kind, since a moment of the wall clock. */
  async events(node: string, kind: string, sinceMs = 0): Promise<EventLine[]> {
    const { events } = await this.status(node);
    return events.filter((event) => event.kind === kind && Date.parse(event.at) >= sinceMs);
  }

  /** Until the nodes are on `path`, and accept each other. */
  async untilPath(path: Path, boundMs: number = SOON_MS, nodes: readonly string[] = this.lab.nodes): Promise<void> {
    for (const node of nodes) {
      await eventually(`${node} is on ${path}`, boundMs, async () => {
        const peer = await this.peer(node);
        return peer.path === path && (path === 'isolated' || peer.acceptedByPeer);
      });
    }
  }

  /** One ping over the virtual interface that is answered in time. */
  async ping(from: string, to: string, seconds = 1): Promise<boolean> {
    const argv = ['ping', '-n', '-c', '1', '-W', String(seconds), this.lab.vnicAddress(to)];
    return (await this.lab.exec(from, argv)).status === 0;
  }

  get clusterKey(): Uint8Array {
    const text = readFileSync(`${this.lab.directory}/${this.lab.nodes[0]}.key`, 'utf8').trim();
    return Uint8Array.from(Buffer.from(text, 'hex'));
  }

  async close(): Promise<void> {
    await this.lab.close();
  }
}
