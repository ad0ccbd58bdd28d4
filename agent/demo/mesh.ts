/** Heartbeats between all nodes of a lab, and the account of every pair: one process on each node (`mesh-role.ts`). */
import type { Lab } from './lab.ts';
import type { StreamCounts, StreamReport } from './stream-packet.ts';
import { TrafficProcess } from './traffic-process.ts';

/** A port whose packets the agent's built-in rules take for heartbeats (corosync). */
const PORT = 5406;

export interface PairResult extends StreamReport {
  readonly from: string;
  readonly to: string;
  readonly sent: number;
  readonly lost: number;
}

export class Mesh {
  readonly #lab: Lab;
  readonly #ends: ReadonlyMap<string, TrafficProcess>;

  private constructor(lab: Lab, ends: ReadonlyMap<string, TrafficProcess>) {
    this.#lab = lab;
    this.#ends = ends;
  }

  static async start(lab: Lab, perSecond: number): Promise<Mesh> {
    const start = async (node: string): Promise<[string, TrafficProcess]> => {
      const others = lab.nodes.filter((name) => name !== node);
      const peers = others.map((name) => ({ node: name, address: lab.vnicAddress(name) }));
      const role = { role: 'mesh', address: lab.vnicAddress(node), port: PORT, perSecond, peers } as const;
      return [node, await TrafficProcess.start(lab, node, role)];
    };
    const ends = new Map(await Promise.all(lab.nodes.map(start)));
    // What is sent before the last one listens would be lost.
    await Promise.all([...ends.values()].map(async (end) => end.tell({ begin: true }, 'begun')));
    return new Mesh(lab, ends);
  }

  /** What has come so far, up to 200 ms old. */
  progress(from: string, to: string): StreamCounts | undefined {
    return (this.#ends.get(to)?.progress['from'] as Record<string, StreamCounts> | undefined)?.[from];
  }

  /** Stops sending, waits (bounded) for what is under way, and answers the account of every pair. */
  async stop(): Promise<PairResult[]> {
    const sent = new Map<string, number>();
    for (const [node, end] of this.#ends) sent.set(node, Number((await end.tell({ stop: true }, 'stopped'))['sent']));
    const expect = Object.fromEntries(sent);
    const results = await Promise.all(
      [...this.#ends].map(async ([to, end]) => {
        const { from } = (await end.finish({ expect })) as unknown as { from: Record<string, StreamReport> };
        return Object.entries(from).map(([name, report]) => {
          const count = sent.get(name) ?? 0;
          return { ...report, from: name, to, sent: count, lost: count - report.received };
        });
      }),
    );
    return results.flat().toSorted((a, b) => this.#order(a) - this.#order(b));
  }

  #order({ from, to }: PairResult): number {
    const { nodes } = this.#lab;
    return nodes.indexOf(from) * nodes.length + nodes.indexOf(to);
  }
}
