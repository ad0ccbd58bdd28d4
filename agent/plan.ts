/**
 * Makes the next plan out of the present one, new settings and what the volumes say.
 *
 * Always true:
 * - A peer keeps its seat as long as it has the same name, the same tenant numbers and the same receive volume, on the same
 *   device: then all that is known of it stays true. Otherwise it is a new peer in a new seat.
 * - A seat, and a reader's number, is given away again only when all threads have taken over the plan that freed it.
 */
import { AgentError } from './base/errors.ts';
import { sameBytes } from './base/bytes.ts';
import { allocateMessageRing } from './messages/memory.ts';
import { SEATS_MAX } from './queue/shared-state.ts';
import type { PeerSettings, Settings } from './settings/settings.ts';
import { allocateInbound, type Plan, type ReceiveFacts, type Seat, type VolumeFacts } from './threads.ts';
import { nodeNumber, type SeenVolumes } from './volumes.ts';

/** The plan before the first one. */
export const NO_PLAN: Pick<Plan, 'number' | 'seats' | 'receive'> = { number: 0, seats: [], receive: [] };

/** Seats and readers that a thread may still use, beside those of the present plan. */
export interface Busy {
  readonly seats: ReadonlySet<number>;
  readonly readers: ReadonlySet<number>;
}

export const NOT_BUSY: Busy = { seats: new Set(), readers: new Set() };

export function nextPlan(
  former: Pick<Plan, 'number' | 'seats' | 'receive'>,
  settings: Settings,
  seen: SeenVolumes,
  busy: Busy = NOT_BUSY,
): Plan {
  const number = former.number + 1;
  const readers = new Numbers(
    former.receive.map(({ reader }) => reader),
    busy.readers,
  );
  const numbers = new Numbers(
    former.seats.map(({ seat }) => seat),
    busy.seats,
  );
  const seats: Seat[] = [];
  const receive = seen.receive.map(({ volume, peers }): ReceiveFacts => {
    const same = former.receive.find((each) => isSameVolume(each.volume, volume));
    const readPeers = peers.map(({ index, tenant }) => {
      const peer = settings.peers[index] as PeerSettings;
      const sendTenant = seen.peerTenants[index] ?? 0;
      const kept = former.seats.find(
        (seat) =>
          seat.peer.node === peer.node &&
          seat.tenant === sendTenant &&
          same?.peers.some((reads) => reads.seat === seat.seat && reads.tenant === tenant),
      );
      const place = kept ?? { seat: numbers.take(), since: number };
      const { seat, since } = place;
      seats[index] = { seat, since, peer, tenant: sendTenant, nodeNumber: nodeNumber(peer.node) };
      return { seat, since, tenant };
    });
    const { reader, inbound, messages } = same ?? {
      reader: readers.take(),
      inbound: allocateInbound(),
      messages: allocateMessageRing(),
    };
    return { reader, volume, peers: readPeers, inbound, messages };
  });
  return { number, settings, seats, receive };
}

const isSameVolume = (a: VolumeFacts, b: VolumeFacts): boolean =>
  a.path === b.path &&
  a.device === b.device &&
  sameBytes(a.clusterUuid, 0, b.clusterUuid, 0, 16) &&
  a.ownTenant === b.ownTenant &&
  a.slotBytes === b.slotBytes &&
  a.slotCount === b.slotCount;

/** Gives out the lowest numbers that nobody has. */
class Numbers {
  readonly #taken: Set<number>;

  constructor(used: readonly number[], busy: ReadonlySet<number>) {
    this.#taken = new Set([...used, ...busy]);
  }

  take(): number {
    for (let number = 0; number < SEATS_MAX; number++) {
      if (this.#taken.has(number)) continue;
      this.#taken.add(number);
      return number;
    }
    const what = `peers come and go faster than the threads take it over, or there are more than ${SEATS_MAX}`;
    throw new AgentError('failed', `no seat is free (${what}): try again, or restart the agent`);
  }
}

export interface SeatChange {
  readonly gone: readonly Seat[];
  readonly kept: readonly Seat[];
  readonly come: readonly Seat[];
}

/** Who goes, stays and comes from one plan to the next. `kept` has the next plan's facts. */
export function seatChange(before: readonly Seat[], after: readonly Seat[]): SeatChange {
  const isIn = (seats: readonly Seat[]) => (one: Seat) =>
    seats.some(({ seat, since }) => seat === one.seat && since === one.since);
  const wasThere = isIn(before);
  const stays = isIn(after);
  return {
    gone: before.filter((seat) => !stays(seat)),
    kept: after.filter((seat) => wasThere(seat)),
    come: after.filter((seat) => !wasThere(seat)),
  };
}
