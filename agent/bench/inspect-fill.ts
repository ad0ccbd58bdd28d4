/** Fills a node's ring by what its agent writes when it is sent as much as it takes. */
import { setTimeout as delay } from 'node:timers/promises';
import { AgentError } from '../base/errors.ts';
import type { Lab } from '../demo/lab.ts';
import { systemClock } from '../platform/clock.ts';
import { listening } from './limits.ts';

/** A transfer that gets no further for so long will not. */
const STUCK_MS = 20_000;

export async function bytesWritten(lab: Lab, node: string): Promise<number> {
  return (await lab.status(node)).storage?.bytesWritten ?? 0;
}

/** Sends until the sender has written so much. */
export async function fill(
  lab: Lab,
  from: string,
  to: string,
  options: readonly string[],
  bytes: number,
): Promise<void> {
  const target = lab.vnicAddress(to);
  const server = lab.spawn(to, ['iperf3', '-s', '-1', '-B', target], { stdio: 'ignore' });
  await listening(lab, to, target);
  const client = lab.spawn(from, ['iperf3', '-c', target, '-t', '3600', ...options], { stdio: 'ignore' });
  try {
    const began = await bytesWritten(lab, from);
    let [last, lastMs] = [began, systemClock.monotonicMs()];
    while (last - began < bytes) {
      await delay(100);
      const now = await bytesWritten(lab, from);
      if (now > last) [last, lastMs] = [now, systemClock.monotonicMs()];
      else if (systemClock.monotonicMs() - lastMs > STUCK_MS) {
        throw new AgentError('failed', `iperf3 from ${from} to ${to} gets no further than ${last - began} bytes`);
      }
    }
  } finally {
    client.kill('SIGKILL');
    server.kill('SIGKILL');
  }
}
