/** Why there is no session with a target, in an operator's words. */
import { AgentError } from '../../base/errors.ts';
import { linkIdentity } from '../link/link-key.ts';
import { payloadBytesMax, type RingSize } from '../store/ring.ts';
import type { SessionHost, SessionOptions } from './session-host.ts';

/** What the handshake says of a wrong key is no word for people. */
export function dialFault(
  error: NodeJS.ErrnoException,
  { address, name }: SessionOptions,
  { group, key }: Pick<SessionHost, 'group' | 'key'>,
): string {
  const at = `target ${name} at ${address.host}:${address.port}`;
  const isOfTls = error.code === 'EPROTO' || error.code?.startsWith('ERR_SSL') === true || isCutOff(error);
  if (!isOfTls) return `${at} cannot be reached: ${error.message}`;
  const whose = linkIdentity(key(), { group, target: name });
  return `${at} does not take the key of ${whose}: is it that target, and are the key files the same?`;
}

/** A peer that ends the connection within the handshake: it is of another kind, or has another key. */
const isCutOff = ({ code, message }: NodeJS.ErrnoException): boolean =>
  code === 'ECONNRESET' && message.includes('before secure TLS');

/** What its journal could never take, in words; null: all fits. */
export function ringMisfit(ours: RingSize, theirs: RingSize): string | null {
  const [most, takes] = [payloadBytesMax(ours), payloadBytesMax(theirs)];
  if (takes >= most) return null;
  return `entries here have up to ${most} bytes, and the journal of the target takes ${takes}: make journal.window there as large as here (${ours.windowBytes} bytes) and its journal anew, or this one smaller`;
}

/** What only an operator can mend. */
export class RefusedError extends AgentError {
  constructor(reason: string) {
    super('volume', reason);
  }
}
