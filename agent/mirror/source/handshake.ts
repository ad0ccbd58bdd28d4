/** Hello and welcome with a target, and what is to come of them (MI11). Nothing of a session is begun here. */
import { meet, type Meeting, type Point } from '../core/meeting.ts';
import type { OutOfSync } from '../core/out-of-sync.ts';
import type { LinkConnection } from '../link/connection.ts';
import { decodeWelcome, encodeHello, type Welcome } from '../link/greeting.ts';
import type { TargetOrder } from '../store/orders.ts';
import type { RingPlace } from '../store/ring.ts';
import { FRAME_KIND } from '../wire/frame.ts';
import { GREETING_MS } from './dial.ts';
import type { Expected } from './expected.ts';
import { RingCursor } from './ring-cursor.ts';
import { ringMisfit } from './session-faults.ts';
import type { SessionHost } from './session-host.ts';

export interface HandshakeParts {
  readonly connection: LinkConnection;
  readonly host: SessionHost;
  /** Where the welcome comes. */
  readonly greeting: Expected;
  readonly lacks: OutOfSync;
  readonly order: TargetOrder;
  /** It has answered in a session of this process: its marks are ours. */
  readonly isMet: boolean;
}

export interface Handshake {
  /** As the hello said it. */
  readonly view: Parameters<typeof encodeHello>[0];
  readonly welcome: Welcome;
  readonly meeting: Meeting;
  /** At the target's prefix, where the ring holds it. */
  readonly cursor: RingCursor;
  /** What was durable here when it began. */
  readonly present: RingPlace;
}

/** Rejects when nothing comes in time, or what comes cannot be read. */
export async function shakeHands(parts: HandshakeParts): Promise<Handshake> {
  const { connection, host, greeting, lacks, order, isMet } = parts;
  const present = await host.durable();
  const durable = commonEnd(host, present, isMet);
  const { oldest } = host;
  const view = { ...host.shape, tail: pointOf(oldest), durable: pointOf(durable) };
  const answer = greeting.wait(GREETING_MS);
  connection.send(FRAME_KIND.hello, 0, 0, 0, encodeHello(view, host.policy, 0));
  const welcome = decodeWelcome(await answer);
  const { mark } = welcome.prefix;
  const cursor = new RingCursor(host.ring, host.placeBefore(mark) ?? oldest, host.readFile);
  if (mark >= oldest.mark && mark <= durable.mark) await cursor.seek(mark);
  const met = meet(
    {
      ...view,
      chainAt: () => cursor.place.chain,
      isCovered: (cut) => lacks.covers(cut),
      isScanWanted: order.compare !== null,
      isInPlaceWanted: order.compare === 'in place',
    },
    welcome,
  );
  const misfit = met.how === 'refuse' ? null : ringMisfit(host.ring, welcome);
  const meeting: Meeting = misfit === null ? met : { how: 'refuse', reason: misfit };
  return { view, welcome, meeting, cursor, present };
}

/**
 * [MI3] Up to where its marks can be ours. What a crash took from us it may still have, and other writes bear those marks by now:
 * before it has answered in a session of this process, what we had at the begin is all that both can have.
 */
function commonEnd({ begun, oldest }: SessionHost, durable: RingPlace, isMet: boolean): RingPlace {
  return isMet || begun.mark < oldest.mark ? durable : begun;
}

export const pointOf = ({ mark, chain }: RingPlace): Point => ({ mark, chain });
