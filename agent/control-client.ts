/** One request to a running agent over its control socket: a line of JSON there, a line of JSON back. */
import { createConnection } from 'node:net';
import { AgentError, isExitReason } from './base/errors.ts';

const ANSWER_MS_MAX = 5000;

/**
 * `waitMs`: for the answer; `start`: the command that it is started with. Answers the agent's line; an agent that says
 * `error`, or nothing in time, is an AgentError of one line.
 */
export async function ask(
  path: string,
  request: Readonly<Record<string, unknown>>,
  waitMs: number = ANSWER_MS_MAX,
  start = 'stillbeat run',
): Promise<Readonly<Record<string, unknown>>> {
  const text = await new Promise<string>((resolve, reject) => {
    const socket = createConnection(path);
    let got = '';
    const fail = (what: string) => {
      socket.destroy();
      reject(new AgentError('failed', `control socket ${path}: ${what}`));
    };
    socket.setEncoding('utf8');
    socket.setTimeout(waitMs, () => fail('no answer; the agent hangs: see its log'));
    socket.once('error', (error) => fail(connectMend(error, start)));
    socket.once('connect', () => socket.write(`${JSON.stringify(request)}\n`));
    socket.on('data', (piece: string) => {
      got += piece;
      if (!got.includes('\n')) return;
      socket.destroy();
      resolve(got);
    });
    socket.once('end', () => fail('closed without an answer; the agent is stopping'));
  });
  const answer = JSON.parse(text) as Record<string, unknown>;
  const { error, reason } = answer;
  if (typeof error === 'string') throw new AgentError(isExitReason(reason) ? reason : 'failed', error);
  return answer;
}

function connectMend(error: NodeJS.ErrnoException, start: string): string {
  if (error.code === 'ENOENT' || error.code === 'ECONNREFUSED') return `no agent runs here; start it with "${start}"`;
  if (error.code === 'EACCES') return 'may not be opened; ask as the user that the agent runs as';
  return error.message;
}
