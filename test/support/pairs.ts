/** Clusters of three nodes and more: what each node calls the way to each other one, and streams between all of them. */
import { heartbeatStream, type StreamResult, type UdpStream } from '../../agent/demo/workload.ts';
import { type Cluster, eventually } from './cluster.ts';

const BOUND_MS = 60_000;
/** Corosync's ports: as many streams may come to one node. */
const FIRST_PORT = 5404;

/** All ordered pairs. */
export function pairsOf(nodes: readonly string[]): (readonly [from: string, to: string])[] {
  return nodes.flatMap((from) => nodes.filter((to) => to !== from).map((to) => [from, to] as const));
}

/** The way of each node to each other one as `a-b storage`; those on the network are left out. */
export async function pathsBut(cluster: Cluster, usual = 'network'): Promise<string[]> {
  const all = await Promise.all(
    cluster.lab.nodes.map(async (node) => {
      const { peers } = await cluster.status(node);
      return peers.filter(({ path }) => path !== usual).map(({ node: peer, path }) => `${node}-${peer} ${path}`);
    }),
  );
  return all.flat();
}

/** Until these pairs, and no others, are on something else than the network; all have to accept each other. */
export async function untilPaths(cluster: Cluster, expected: readonly string[], boundMs = BOUND_MS): Promise<void> {
  let seen: string[] = [];
  await eventually(`the paths are [${expected.join(', ')}]`, boundMs, async () => {
    seen = await pathsBut(cluster);
    return seen.join() === [...expected].join();
  }).catch((error: Error) => {
    throw new Error(`${error.message}; they are [${seen.join(', ')}]`, { cause: error });
  });
}

/** The changes of paths that each node told of since a moment of the wall clock, as `a-b storage`. */
export async function pathEvents(cluster: Cluster, sinceMs: number): Promise<string[]> {
  const all = await Promise.all(
    cluster.lab.nodes.map(async (node) => {
      const events = await cluster.events(node, 'path', sinceMs);
      // A probe that is late on a busy machine makes a path suspect, which carries on as before.
      const taken = events.filter(
        ({ from, to }) => ![from, to].includes('suspect') || to === 'storage' || to === 'isolated',
      );
      return taken.map(({ peer, to }) => `${node}-${String(peer)} ${String(to)}`);
    }),
  );
  return all.flat();
}

/** Heartbeats from each node to each other one. */
export async function allHeartbeats(cluster: Cluster, perSecond = 50): Promise<Map<string, UdpStream>> {
  const { lab } = cluster;
  const streams = pairsOf(lab.nodes).map(async ([from, to]) => {
    const port = FIRST_PORT + lab.nodes.indexOf(from);
    return [`${from}-${to}`, await heartbeatStream(lab, { from, to, port, perSecond })] as const;
  });
  return new Map(await Promise.all(streams));
}

/** Stops the streams; what each of them lost or got twice and what its receiver's agent says of it, good ones left out. */
export async function failuresOf(cluster: Cluster, streams: ReadonlyMap<string, UdpStream>): Promise<string[]> {
  const results = await Promise.all(
    [...streams].map(async ([pair, stream]): Promise<[string, StreamResult]> => [pair, await stream.stop()]),
  );
  const failed = results.filter(([, { sent, lost, duplicated, disordered, corrupted }]) => {
    return sent === 0 || lost + duplicated + disordered + corrupted > 0;
  });
  return Promise.all(
    failed.map(async ([pair, { sent, refused, lost, duplicated, disordered, corrupted }]) => {
      const [from = '', to = ''] = pair.split('-');
      const [there, here] = [await cluster.peer(from, to), await cluster.peer(to, from)];
      const agents = { left: there.queues.heartbeat, lost: here.lost, tooOld: here.tooOld };
      const stream = { sent, refused, lost, duplicated, disordered, corrupted };
      return `${pair}: ${JSON.stringify({ stream, agents })}`;
    }),
  );
}
