/** Three nodes and more: each pair is judged on its own, and whatever befalls one, the others do not notice. */
import { describe, expect, test } from 'vitest';
import type { Simulation } from '../simulation.ts';
import { expectAllPairs, pathsBut, scenario } from './scenario.ts';

const [A, B, C] = [0, 1, 2] as const;
const EIO = 5;
const AB_ON_STORAGE = ['a-b storage', 'b-a storage'];
const A_ALONE = ['a-b storage', 'a-c storage', 'b-a storage', 'c-a storage'];

for (const volumes of ['shared', 'separate'] as const) {
  const three = (play: (sim: Simulation) => void): void => scenario(play, { nodes: 3, volumes, slotBytes: 4 << 20 });

  describe(`[AG12] three nodes, ${volumes} volumes`, () => {
    test('a and b cut: this pair takes the storage, the others stay on the network', () => {
      three((sim) => {
        expect(pathsBut(sim)).toEqual([]);
        sim.cutPair(A, B);
        sim.run(500);
        expect(pathsBut(sim)).toEqual(AB_ON_STORAGE);
        expectAllPairs(sim);
        sim.healPair(A, B);
        sim.run(sim.settings.stableForMs + 500);
        expect(pathsBut(sim)).toEqual([]);
        expectAllPairs(sim, 2100);
      });
    });

    test('one direction of one pair cut: both of its sides change, nobody else', () => {
      three((sim) => {
        sim.net(A, { up: false }, B);
        sim.run(500);
        expect(pathsBut(sim)).toEqual(AB_ON_STORAGE);
        sim.run(4000);
        expect(pathsBut(sim)).toEqual(AB_ON_STORAGE);
        expectAllPairs(sim, 2100);
      });
    });

    test('a isolated, silently or by its carrier: it reaches both by storage, they reach each other by network', () => {
      for (const isolate of [() => 'isolate', () => 'carrier'] as const) {
        three((sim) => {
          if (isolate() === 'carrier') sim.carrier(A, false);
          else sim.isolate(A);
          sim.run(500);
          expect(pathsBut(sim)).toEqual(A_ALONE);
          expectAllPairs(sim);
          sim.heal();
          sim.run(sim.settings.stableForMs + 500);
          expect(pathsBut(sim)).toEqual([]);
          expectAllPairs(sim, 2100);
        });
      }
    });

    test('a cut from b, and a without storage: nobody but this pair is parted, and it is one again with either', () => {
      three((sim) => {
        sim.cutPair(A, B);
        sim.disk(A, { writeErrno: EIO, readErrno: EIO });
        sim.run(4500);
        expect(pathsBut(sim)).toEqual(['a-b isolated', 'b-a isolated']);
        sim.disk(A, { writeErrno: 0, readErrno: 0 });
        sim.run(1500);
        expect(pathsBut(sim)).toEqual(AB_ON_STORAGE);
        expectAllPairs(sim, 2100);
      });
    });

    test('b restarts again and again while a and c lean on storage: their packets go on, once and in order', () => {
      three((sim) => {
        sim.cutPair(A, C);
        Object.assign(sim.workload.everyMs, { heartbeat: 20, data: 10 });
        sim.run(1000);
        for (let i = 0; i < 6; i++) {
          sim.crash(B, i % 3 === 2);
          sim.run(250);
          sim.start(B);
          sim.run(650);
          expect(pathsBut(sim).filter((text) => !text.includes('b'))).toEqual(['a-c storage', 'c-a storage']);
        }
        sim.run(5500);
        expectAllPairs(sim, 2100);
      });
    });

    test('one pair flaps, another is under an operator, the third does not notice', () => {
      three((sim) => {
        sim.override(B, 'storage', C);
        sim.override(C, 'storage', B);
        for (let i = 0; i < 6; i++) {
          sim.cutPair(A, B);
          sim.run(300);
          expect(pathsBut(sim)).toEqual([...AB_ON_STORAGE, 'b-c storage', 'c-b storage'].sort());
          sim.healPair(A, B);
          sim.run(400);
        }
        sim.override(B, 'auto');
        sim.override(C, 'auto');
        sim.run(6000);
        expect(pathsBut(sim)).toEqual([]);
        expectAllPairs(sim, 2100);
      });
    });
  });
}

test('[AG12] five nodes: two halves and a bridge; who has no network to whom takes the storage, and all to all arrive', () => {
  scenario(
    (sim) => {
      for (const left of [0, 1]) for (const right of [3, 4]) sim.cutPair(left, right);
      sim.run(500);
      expect(pathsBut(sim)).toEqual([
        'a-d storage',
        'a-e storage',
        'b-d storage',
        'b-e storage',
        'd-a storage',
        'd-b storage',
        'e-a storage',
        'e-b storage',
      ]);
      expectAllPairs(sim);
      sim.run(2100);
    },
    { nodes: 5, slotBytes: 4 << 20 },
  );
});

test('a wall clock that is stepped by hours, on one node or by turns on all: nobody notices', () => {
  scenario(
    (sim) => {
      sim.cutPair(A, B);
      for (const byMs of [3_600_000, -7_200_000, 1e12, -1e12]) {
        sim.stepWall(A, byMs);
        sim.run(700);
        sim.stepWall(C, -byMs);
        sim.run(700);
        expect(pathsBut(sim)).toEqual(AB_ON_STORAGE);
      }
      expectAllPairs(sim, 2100);
    },
    { nodes: 3 },
  );
});

test('a reader of one volume hangs, the other volumes are read on: only what comes from there has to wait', () => {
  scenario(
    (sim) => {
      sim.isolate(A);
      sim.run(1000);
      sim.hang(A, 4500, 'reads', B);
      sim.run(4000);
      expect(pathsBut(sim)).toEqual(['a-b isolated', 'a-c storage', 'b-a storage', 'c-a storage']);
      sim.run(2500);
      expect(pathsBut(sim)).toEqual(A_ALONE);
      expectAllPairs(sim, 2100);
    },
    { nodes: 3, volumes: 'separate', slotBytes: 4 << 20 },
  );
});
