/**
 * A socket that receives into memory of ours. Node's `data` events bring new memory each time, which costs more than all
 * else where payload is large; a socket that was made with `onread` does not, but a server's sockets are not made so.
 * So the server's socket is made anew from a duplicate of its descriptor.
 */
import { Socket } from 'node:net';
import { duplicate } from '../platform/duplicate.ts';
import { Intake } from './intake.ts';
import type { Slab, SlabPool } from './slab.ts';

/**
 * The same connection as `accepted`, which is gone then; `received` is called with what came in and the slab it lies in.
 * Null when it cannot be had: then `accepted` is as it was, and brings `data`.
 */
export function receiveInto(
  accepted: Socket,
  pool: SlabPool,
  received: (chunk: Buffer, slab: Slab) => void,
): Socket | null {
  // Not documented, but there since the first versions; without it things go on, only slower.
  const { fd } = (accepted as unknown as { readonly _handle?: { readonly fd?: number } })._handle ?? {};
  const copy = fd === undefined || fd < 0 ? -1 : duplicate(fd);
  if (copy < 0) return null;
  accepted.destroy();
  const intake = new Intake(pool);
  const onread = {
    buffer: () => intake.room(),
    callback: (count: number): boolean => {
      intake.arrived(count, received);
      return true;
    },
  };
  const socket = new Socket({ fd: copy, onread } as ConstructorParameters<typeof Socket>[0]);
  socket.once('close', () => intake.close());
  return socket;
}
