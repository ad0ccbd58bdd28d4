/** [AG10] When a node offers its way to the outside, when it takes a peer's, and which. */
import { describe, expect, test } from 'vitest';
import { GatewayMachine, type GatewayRules, type GatewayState, type Seen } from '../../../agent/gateway/machine.ts';

const RULES: GatewayRules = { offer: true, use: true, pingTells: false, stableForMs: 3000 };
const GOOD: Seen = {
  carrier: true,
  route: true,
  peersHeard: true,
  ping: 'none',
  frames: 0,
  candidates: [
    { peer: 1, offers: true },
    { peer: 0, offers: true },
  ],
};
const START_MS = 10_000;

/** A machine, and a clock that only goes forward: each look is at `afterMs` from the start. */
function machine(rules: Partial<GatewayRules> = {}) {
  const made = new GatewayMachine({ ...RULES, ...rules }, START_MS);
  return (seen: Partial<Seen>, afterMs: number): GatewayState => {
    made.tick({ ...GOOD, ...seen }, START_MS + afterMs);
    return made.state;
  };
}

describe('[AG10] the own way', () => {
  test('is good while a peer is heard: offered, and no other is used', () => {
    const look = machine();
    expect(look({}, 0)).toMatchObject({ outside: 'good', offering: true, using: false });
  });

  test.each([
    ['no carrier', { carrier: false }, 'carrier lost'],
    ['no route', { route: false }, 'no route leads outside over the uplink'],
    ['no peer and no router', { peersHeard: false, ping: 'silent' }, 'neither a peer nor the next router is heard'],
    ['no peer, and no router known', { peersHeard: false, ping: 'none' }, 'no peer is heard over the network'],
  ] as const)('is out: %s; a gateway is used, and none offered', (_name, seen, reason) => {
    const look = machine();
    look({}, 0);
    expect(look(seen, 5000)).toEqual({ outside: 'out', offering: false, using: true, gateway: 1, reason });
  });

  test('is good while the router answers, though no peer is heard', () => {
    const look = machine();
    expect(look({ peersHeard: false, ping: 'answered' }, 5000)).toMatchObject({ outside: 'good', using: false });
  });

  test('is what it was while an answer may still come, and nothing at all at the start', () => {
    const look = machine();
    expect(look({ peersHeard: false, ping: 'pending' }, 0)).toMatchObject({ offering: false, using: false });
    expect(look({ peersHeard: false, ping: 'none' }, 1000)).toMatchObject({ outside: 'unknown', using: false });
    look({}, 1500);
    expect(look({ peersHeard: false, ping: 'pending' }, 9000)).toMatchObject({ outside: 'good', offering: true });
  });

  test('is told by nothing but ping where there are addresses for it', () => {
    const look = machine({ pingTells: true });
    expect(look({ ping: 'answered', peersHeard: false }, 5000)).toMatchObject({ outside: 'good' });
    expect(look({ ping: 'silent', peersHeard: true }, 6000)).toMatchObject({ outside: 'out', using: true });
    expect(look({ ping: 'answered' }, 7000)).toMatchObject({ outside: 'out' });
    expect(look({ ping: 'answered' }, 10_000)).toMatchObject({ outside: 'good', using: false });
  });

  test('is told by carrier and route where the uplink is not the primary network', () => {
    const look = machine();
    expect(look({ peersHeard: null }, 0)).toMatchObject({ outside: 'good', offering: true });
    expect(look({ peersHeard: null, carrier: false }, 100)).toMatchObject({ outside: 'out', offering: false });
  });

  test('is back at once with a peer that the judge has held, after stableFor without one', () => {
    const look = machine();
    look({ carrier: false }, 0);
    expect(look({}, 100)).toMatchObject({ outside: 'good', using: false });
    look({ carrier: false }, 200);
    expect(look({ peersHeard: false, ping: 'answered' }, 300)).toMatchObject({ outside: 'out', using: true });
    expect(look({ peersHeard: false, ping: 'answered' }, 3299)).toMatchObject({ outside: 'out' });
    look({ carrier: false }, 3299.5); // a flap: the time begins anew
    expect(look({ peersHeard: false, ping: 'answered' }, 3300)).toMatchObject({ outside: 'out' });
    expect(look({ peersHeard: false, ping: 'answered' }, 6299)).toMatchObject({ outside: 'out' });
    expect(look({ peersHeard: false, ping: 'answered' }, 6300)).toMatchObject({ outside: 'good', using: false });
  });
});

describe('[AG10] the gateway', () => {
  const offers = (...peers: number[]): Seen['candidates'] =>
    [1, 0].map((peer) => ({ peer, offers: peers.includes(peer) }));

  test('is the first that offers, and the next when it does no more', () => {
    const look = machine();
    expect(look({ carrier: false, candidates: offers(0) }, 0)).toMatchObject({ gateway: 0, using: true });
    expect(look({ carrier: false, candidates: offers() }, 100)).toMatchObject({ gateway: -1, using: false });
    expect(look({ carrier: false, candidates: offers(0, 1) }, 200)).toMatchObject({ gateway: 1, using: true });
  });

  test('stays while packets go to it, also over the return, and gives way after a minute of quiet', () => {
    const look = machine();
    look({ carrier: false, candidates: offers(0), frames: 0 }, 0);
    look({ carrier: false, candidates: offers(0), frames: 7 }, 5000);
    expect(look({ frames: 7 }, 5100)).toMatchObject({ gateway: 0, using: false, outside: 'good' });
    expect(look({ frames: 8 }, 60_000)).toMatchObject({ gateway: 0 });
    expect(look({ frames: 8 }, 119_999)).toMatchObject({ gateway: 0 });
    expect(look({ frames: 8 }, 120_000)).toMatchObject({ gateway: 1 });
  });

  test('is not held at the start, where the second may have spoken first', () => {
    const look = machine();
    look({ candidates: offers(0), frames: 0 }, 0);
    look({ candidates: offers(0), frames: 3 }, 100);
    expect(look({ candidates: offers(0, 1), frames: 4 }, 200)).toMatchObject({ gateway: 1 });
  });

  test('that was lost is not held when it is the first to speak again', () => {
    const look = machine();
    look({ candidates: offers(0), frames: 0 }, 5000);
    look({ candidates: offers(0), frames: 9 }, 5100);
    expect(look({ candidates: offers(), frames: 9 }, 5200)).toMatchObject({ gateway: -1 });
    expect(look({ candidates: offers(0), frames: 9 }, 5300)).toMatchObject({ gateway: 0 });
    expect(look({ candidates: offers(0, 1), frames: 9 }, 5400)).toMatchObject({ gateway: 1 });
  });

  test('is none for a node that only offers; a node that only takes never offers', () => {
    expect(machine({ use: false })({ carrier: false }, 0)).toMatchObject({ gateway: -1, using: false });
    expect(machine({ offer: false })({}, 0)).toMatchObject({ offering: false, outside: 'good' });
  });

  test('two nodes that have each other never both use, whatever happens to their networks and however late they hear', () => {
    const looks = [machine(), machine()] as const;
    const said: [boolean, boolean][] = [[false, false]];
    let seed = 1;
    for (let round = 1; round < 5000; round++) {
      seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
      const way = (bit: number): boolean => ((seed >>> (16 + bit)) & 3) !== 0;
      const late = said[Math.max(0, said.length - 1 - ((seed >>> 24) & 7))] ?? [false, false];
      const now = looks.map((look, i) =>
        look({ carrier: way(i * 2), candidates: [{ peer: 0, offers: late[1 - i] === true }] }, round * 200),
      );
      for (const { offering, using, outside } of now) {
        expect(offering && using).toBe(false);
        if (using) expect(outside).toBe('out');
      }
      said.push([now[0]?.offering === true, now[1]?.offering === true]);
      // Old news may let both try for a moment; with the news of now they cannot.
      const fresh = looks.map((look, i) =>
        look({ carrier: way(i * 2), candidates: [{ peer: 0, offers: now[1 - i]?.offering === true }] }, round * 200),
      );
      expect(fresh.every(({ using }) => using)).toBe(false);
    }
  });

  test('answers a state only when something has changed', () => {
    const made = new GatewayMachine(RULES, 0);
    expect(made.tick(GOOD, 0)).not.toBeNull();
    expect(made.tick(GOOD, 200)).toBeNull();
    expect(made.tick({ ...GOOD, carrier: false }, 400)).toMatchObject({ using: true });
    expect(made.tick({ ...GOOD, carrier: false }, 600)).toBeNull();
  });
});
