/** Asks a running agent over its control socket: one line of JSON there, one line of JSON back. */
import { connect } from 'node:net';
import { AgentError } from '../base/errors.ts';
import type { Path } from '../base/paths.ts';

const ANSWER_TIMEOUT_MS = 2000;

/** The part of `status --json` that lab, demo and bench read; the agent says more. */
export interface AgentStatus {
  readonly node: string;
  readonly pid: number;
  readonly peers: readonly PeerStatus[];
  readonly storage?: { readonly available?: boolean; readonly lastWriteMs?: number | null };
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

/** Sends one request; the answer is the line that comes back. An agent that does not answer in time is an error. */
export async function askAgent(socketPath: string, request: Readonly<Record<string, unknown>>): Promise<unknown> {
  return new Promise((resolve, reject) => {
    let answer = '';
    const socket = connect(socketPath);
    const fail = (why: string, cause?: Error): void => {
      socket.destroy();
      reject(new AgentError('failed', `no answer on control socket ${socketPath}: ${why}`, { cause }));
    };
    socket.setEncoding('utf8').setTimeout(ANSWER_TIMEOUT_MS, () => fail(`nothing for ${ANSWER_TIMEOUT_MS} ms`));
    socket.on('error', (error) => fail(error.message, error));
    socket.on('close', () => fail('closed before a whole line'));
    socket.on('connect', () => socket.write(`${JSON.stringify(request)}\n`));
    socket.on('data', (piece: string) => {
      answer += piece;
      const end = answer.indexOf('\n');
      if (end < 0) return;
      try {
        resolve(JSON.parse(answer.slice(0, end)));
        socket.destroy();
      } catch (error) {
        fail('not a line of JSON', error as Error);
      }
    });
  });
}

export async function askStatus(socketPath: string): Promise<AgentStatus> {
  return (await askAgent(socketPath, { command: 'status' })) as AgentStatus;
}
