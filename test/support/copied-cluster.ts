/** A cluster of two nodes that share no volume: each reads a copy of what the other one writes. */
import { copySettings, type CopiedVolumes, type LabCopy, prepareCopies } from '../../agent/demo/lab-copies.ts';
import { type Overrides, overlay } from '../../agent/demo/lab-settings.ts';
import { Cluster, type Status } from './cluster.ts';

/** What `status` says of the copy. */
export interface CopyFigures {
  readonly kind: string;
  readonly position: number;
  readonly copied: number;
  readonly lagMs: number;
  readonly ringBytes: number;
  readonly ringNeededBytes: number;
  readonly ringShort: boolean;
  readonly misses: number;
  readonly late: boolean;
  readonly fault: string | null;
}

export interface CopiedCluster {
  readonly cluster: Cluster;
  readonly volumes: ReadonlyMap<string, CopiedVolumes>;
  /** A node's settings with its copy in them, and others laid over. */
  settings(node: string, over?: Overrides): Overrides;
}

/** Lab and volumes; no agents yet. */
export async function copiedCluster(kind: LabCopy): Promise<CopiedCluster> {
  const cluster = await Cluster.prepare({ tag: `copy-${kind}` });
  try {
    const volumes = await prepareCopies(cluster.lab, kind);
    const settings = (node: string, over: Overrides = {}): Overrides =>
      overlay(copySettings(cluster.lab, node, kind, volumes.get(node) as CopiedVolumes), over);
    return { cluster, volumes, settings };
  } catch (error) {
    await cluster.close();
    throw error;
  }
}

export const copyOf = async (cluster: Cluster, node: string): Promise<CopyFigures> =>
  ((await cluster.status(node)) as Status & { readonly storage: { readonly copy: CopyFigures } }).storage.copy;

/** What each agent has counted of packets that did not arrive, at each place where one may be left: for a test that fails. */
export async function lossesOf(cluster: Cluster): Promise<string> {
  const nodes = cluster.lab.nodes.map(async (node) => {
    const { storage, peers } = await cluster.status(node);
    const { expired, writeErrors, copy } = storage as typeof storage & { readonly copy: CopyFigures };
    const from = peers.map(({ node: peer, lost, tooOld, storage: way, queues }) => {
      const { lagMs, misses, torn, damaged, overruns } = way;
      return { peer, lost, tooOld, lagMs, misses, torn, damaged, overruns, heartbeats: queues.heartbeat };
    });
    return { node, expired, writeErrors, copy, from };
  });
  return JSON.stringify(await Promise.all(nodes));
}
