import { describe, expect, test } from 'vitest';
import { NO_PLAN, nextPlan, seatChange } from '../../agent/plan.ts';
import type { PeerSettings, Settings } from '../../agent/settings/settings.ts';
import { flushSettings, type Plan, type ThreadContext, type VolumeFacts } from '../../agent/threads.ts';
import type { SeenVolumes } from '../../agent/volumes.ts';

const UUID = new Uint8Array(16).fill(3);
const volume = (path: string): VolumeFacts => ({
  path,
  device: 'device 1',
  clusterUuid: UUID,
  slotBytes: 1,
  slotCount: 4,
  slotsOffset: 0,
  ownTenant: 0,
});
const peer = (node: string, receiveVolume = 'v'): PeerSettings => ({
  node,
  addresses: [],
  primary: null,
  receiveVolume,
});
const tenantOfName = (node: string): number => node.charCodeAt(0) - 'a'.charCodeAt(0);

function plan(
  former: Pick<Plan, 'number' | 'seats' | 'receive'>,
  peers: PeerSettings[],
  busy?: Parameters<typeof nextPlan>[3],
  tenant: (node: string) => number = tenantOfName,
): Plan {
  const paths = [...new Set(peers.map(({ receiveVolume }) => receiveVolume))];
  const seen: SeenVolumes = {
    send: volume('v'),
    receive: paths.map((path) => ({
      volume: volume(path),
      peers: peers.flatMap(({ node, receiveVolume }, index) =>
        receiveVolume === path ? [{ index, tenant: tenant(node) }] : [],
      ),
    })),
    peerTenants: peers.map(({ node }) => tenant(node)),
  };
  return nextPlan(former, { peers } as unknown as Settings, seen, busy);
}
const places = ({ seats }: Plan) => Object.fromEntries(seats.map(({ seat, peer: { node } }) => [node, seat]));

describe('nextPlan', () => {
  const first = plan(NO_PLAN, [peer('b'), peer('c')]);

  test('peers get the first seats, in the order of the settings', () => {
    expect(first.number).toBe(1);
    expect(places(first)).toEqual({ b: 0, c: 1 });
    expect(first.receive.map(({ reader, peers }) => [reader, peers.length])).toEqual([[0, 2]]);
  });

  test('who stays keeps seat, reader and inbound ring, wherever the settings name it', () => {
    const next = plan(first, [peer('d'), peer('c'), peer('b')]);
    expect(places(next)).toEqual({ b: 0, c: 1, d: 2 });
    expect(next.receive[0]?.inbound).toBe(first.receive[0]?.inbound);
    expect(next.seats.map(({ since }) => since)).toEqual([2, 1, 1]);
    const { gone, kept, come } = seatChange(first.seats, next.seats);
    expect([gone, kept, come].map((seats) => seats.map((seat) => seat.peer.node))).toEqual([[], ['c', 'b'], ['d']]);
  });

  test('other addresses of a peer are the same seat; another tenant or receive volume is a new one', () => {
    const moved = plan(first, [{ ...peer('b'), addresses: ['10.0.0.9'], primary: { host: 'x', port: 1 } }, peer('c')]);
    expect(seatChange(first.seats, moved.seats).kept).toHaveLength(2);
    const other = plan(first, [peer('b', 'w'), peer('c')]);
    expect(places(other)).toEqual({ b: 2, c: 1 });
    expect(other.receive.map(({ reader }) => reader)).toEqual([1, 0]);
    const again = plan(first, [peer('b'), peer('c')], undefined, (node) => (node === 'c' ? 66 : tenantOfName(node)));
    expect(places(again)).toEqual({ b: 0, c: 2 });
  });

  test('a seat that a thread may still use is not given away; a freed one is', () => {
    const without = plan(first, [peer('c')]);
    expect(places(plan(without, [peer('c'), peer('d')], { seats: new Set([0]), readers: new Set() }))).toEqual({
      c: 1,
      d: 2,
    });
    const reused = plan(without, [peer('c'), peer('d')]);
    expect(places(reused)).toEqual({ c: 1, d: 0 });
    // In the same seat, and yet another: what was b's is told apart.
    expect(seatChange(first.seats, reused.seats).gone.map((seat) => seat.peer.node)).toEqual(['b']);
  });

  test('without a free seat nothing is changed', () => {
    const all = { seats: new Set(Array.from({ length: 63 }, (_, i) => i)), readers: new Set<number>() };
    expect(() => plan(first, [peer('b'), peer('d')], all)).toThrow(/no seat is free/);
  });
});

test('[RING1] the flush thread knows of each peer which reader hears it', () => {
  const made = plan(NO_PLAN, [peer('b', 'v1'), peer('c', 'v2'), peer('d', 'v1')]);
  const storage = { flush: {}, limits: {} };
  const context = { ...made, settings: { storage }, send: volume('v') } as unknown as ThreadContext;
  expect(flushSettings(context).peers.map(({ seat, reader }) => [seat, reader])).toEqual([
    [made.seats[0]?.seat, 0],
    [made.seats[1]?.seat, 1],
    [made.seats[2]?.seat, 0],
  ]);
});
