/** A connection to a target: made in time or not at all, and no faster than the settings allow all that go there. */
import { AgentError } from '../../base/errors.ts';
import type { Pace } from '../core/pace.ts';
import { LinkConnection, type Bound, type ConnectionEvents, type LinkSocket } from '../link/connection.ts';
import { ready } from './joined.ts';
import { dialFault } from './session-faults.ts';
import type { SessionHost, SessionOptions } from './session-host.ts';

/** What either side waits for the other's word before it gives the connection up, in ms. */
export const GREETING_MS = 5000;

/** Errors: AgentError primary, in words that say what an operator can do. */
export async function dialled(
  options: SessionOptions,
  host: SessionHost,
  events: ConnectionEvents,
  pace: Pace,
): Promise<LinkConnection> {
  const { timers } = host.machine;
  const socket = dialSocket(options, host);
  const inTime = timers.after(GREETING_MS, () => socket.destroy(new Error('no connection in time')));
  try {
    await ready(socket);
  } catch (error) {
    const what = dialFault(error as NodeJS.ErrnoException, options, host);
    throw new AgentError('primary', what, { cause: error });
  } finally {
    inTime();
  }
  return new LinkConnection(socket, events, timers.soon, boundBy(pace, host));
}

/** `pace`: of all connections to one target that carry data. */
export function boundBy(pace: Pace, { machine: { clock, timers } }: Pick<SessionHost, 'machine'>): Bound {
  return { pace, nowMs: () => clock.monotonicMs(), after: timers.after };
}

/** Begun, not yet made. */
export function dialSocket({ address, name }: SessionOptions, host: SessionHost): LinkSocket {
  return host.machine.network.dial(address, host.key(), { group: host.group, target: name });
}
