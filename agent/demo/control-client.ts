/** The status of a lab's agent, as far as lab, demo and bench read it. */
import type { Path } from '../base/paths.ts';
import { ask } from '../control-client.ts';

/** The part of `status --json` that lab, demo and bench read; the agent says more. */
export interface AgentStatus {
  readonly node: string;
  readonly pid: number;
  readonly peers: readonly PeerStatus[];
  readonly storage?: {
    readonly available?: boolean;
    readonly lastWriteMs?: number | null;
    readonly bytesWritten?: number;
  };
  readonly corosync?: unknown;
  readonly events?: readonly unknown[];
}

export interface PeerStatus {
  readonly node: string;
  readonly path: Path;
  readonly since: unknown;
  readonly network?: { readonly reachable?: boolean; readonly rttMs?: number | null };
  readonly storage?: { readonly fresh?: boolean; readonly lagMs?: number | null };
  readonly queues?: Readonly<Record<string, { readonly depth?: number }>>;
}

export async function askStatus(socketPath: string): Promise<AgentStatus> {
  return (await ask(socketPath, { command: 'status' })) as unknown as AgentStatus;
}
