/**
 * Where a source would be dialled if it were a target: another source of the group comes here after a takeover, and each hears
 * of the other's generation. Nothing is taken from it.
 */
import { kinship, splitText, type Lineage } from '../core/generation.ts';
import type { Point, Rival, VolumeShape } from '../core/meeting.ts';
import { decodeHello, encodeWelcome, GreetingError } from '../link/greeting.ts';
import type { Address } from '../link/tls.ts';
import type { Machine, Network } from '../machine.ts';
import { cannotListen } from '../../platform/listen.ts';
import { LinkPeer } from '../target/peer.ts';
import type { Peer } from '../target/session.ts';
import { FRAME_KIND, type Frame } from '../wire/frame.ts';

export type Door = Awaited<ReturnType<Network['listen']>>;

export interface DoorOptions {
  readonly group: string;
  /** As which target it would be dialled. */
  readonly name: string;
  readonly listen: Address;
  readonly volumes: readonly VolumeShape[];
  readonly keys: () => readonly Uint8Array[];
  readonly lineage: () => Lineage & { readonly end: Point };
  readonly met: (rival: Rival, reason: string) => void;
  readonly log: (line: string) => void;
}

const GREETING_MS = 10_000;

/** Rejects when the address cannot be listened at. */
export async function openDoor(options: DoorOptions, { network, timers }: Machine): Promise<Door> {
  const { group, name, listen, keys, log } = options;
  const listening = network.listen({
    address: listen,
    names: () => [{ group, target: name }],
    keys,
    onLink: (socket) => {
      const peer = new LinkPeer(socket, timers, {
        frame: (one, frame, body) => answer(options, one, frame, body),
        closed: () => stopWaiting(),
      });
      const stopWaiting = timers.after(GREETING_MS, () => peer.end('it never said who it is'));
    },
    onRefused: (from, why) => log(`somebody at ${from} did not get in: ${why}`),
  });
  return listening.catch((error: Error) => {
    throw cannotListen('failback.listen', listen, error);
  });
}

function answer(options: DoorOptions, peer: Peer, frame: Frame, body: Uint8Array): void {
  if (frame.kind === FRAME_KIND.inquiry) return;
  // What he decides after the welcome is his affair.
  if (frame.kind !== FRAME_KIND.hello) return peer.stop({ reason: 'here is a source', again: true });
  const { group, volumes, lineage, met } = options;
  const ours = lineage();
  peer.send(
    FRAME_KIND.welcome,
    0,
    0,
    encodeWelcome({
      group,
      volumes,
      generation: ours.generation,
      ancestry: ours.ancestry,
      diverged: null,
      hasCut: true,
      cut: ours.end,
      prefix: ours.end,
      isTakenOver: true,
      session: 0,
      roomBytes: 0,
      ringBytes: 0,
      windowBytes: 0,
      isFollowed: false,
    }),
  );
  try {
    const hello = decodeHello(body);
    if (hello.group !== group) return;
    const theirs = { ...hello, end: hello.durable };
    const kin = kinship(ours, theirs);
    if (kin.kin === 'split') {
      met({ kin: 'split', generation: hello.generation, until: kin.ours }, splitText(ours, theirs, kin));
    } else if (kin.kin === 'overtaken') {
      const reason = `generation ${hello.generation.slice(0, 8)} was begun without us behind mark ${kin.until.mark}`;
      met({ kin: 'overtaken', generation: hello.generation, until: kin.until }, reason);
    }
  } catch (error) {
    if (!(error instanceof GreetingError)) throw error;
    peer.stop({ reason: error.message, again: false });
  }
}
