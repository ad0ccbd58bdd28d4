/** Several connections between a source and its target: transfers come in any order, and none of them is needed for ever. */
import { afterEach, expect, test } from 'vitest';
import { tool } from '../../agent/demo/shell.ts';
import { eventually, SOON_MS } from '../support/cluster.ts';
import { fioLoad } from '../support/fio.ts';
import { MirrorPair, PATIENT, type PairOptions } from '../support/mirror-pair.ts';
import { Wires } from '../support/wires.ts';

const MIB = 1 << 20;
const CONNECTIONS = 3;
/** The first one, then the direct question's, then the others. */
const FIRST = 0;
const EXTRAS = [2, 3] as const;
const SLOW_MS = 300;

const ends: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

interface Seen {
  readonly session: number;
  readonly connections: number;
  readonly lag: { readonly marks: number };
}

interface Scene {
  readonly pair: MirrorPair;
  readonly wires: Wires;
}

async function started(options: Partial<PairOptions>, source: object, delayMs?: (i: number) => number): Promise<Scene> {
  let wires!: Wires;
  const through = async (port: number): Promise<number> => {
    wires = await Wires.open(port, delayMs);
    return wires.port;
  };
  const settings = { source: { inquiry: PATIENT, ...source } };
  const pair = await MirrorPair.make({ volumeBytes: 16 * MIB, journalSize: '64M', ...options, through, settings });
  ends.push(
    async () => wires.close(),
    async () => pair.remove(),
  );
  const targets = pair.settings('source')['targets'] as object[];
  pair.configure('source', { targets: targets.map((target) => ({ ...target, connections: CONNECTIONS })) });
  pair.start('target');
  await eventually('the target runs', SOON_MS, async () => pair.status('target').catch(() => null));
  pair.start('source');
  await pair.untilInSync();
  await untilAllJoined(pair);
  return { pair, wires };
}

const seen = async (pair: MirrorPair): Promise<Seen> => (await pair.seen()) as unknown as Seen;

const untilAllJoined = async (pair: MirrorPair): Promise<unknown> =>
  eventually('all connections', SOON_MS, async () => (await seen(pair))?.connections === CONNECTIONS);

const write = async (pair: MirrorPair, ...commands: string[]): Promise<string> =>
  tool(['qemu-io', '-f', 'raw', ...commands.flatMap((command) => ['-c', command]), pair.uri('source')]);

/** The target shows the last mark that was given, and it is what was written. */
async function untilEqual(pair: MirrorPair): Promise<void> {
  await eventually('the cut is the last mark', SOON_MS, async () => {
    const { marks } = (await pair.status('source')) as unknown as { readonly marks: { readonly admitted: number } };
    const { cut } = await pair.status('target');
    return cut === marks.admitted;
  });
  await pair.untilEqual();
}

test.each([
  ['entries', { by: 'entries' }],
  ['references', { by: 'references', ms: 100 }],
] as const)('[CY2] one of three connections is slow: the target is equal at a cut, by %s', async (_, checkpoint) => {
  const slow = EXTRAS[1];
  const delayMs = (index: number): number => (index === slow ? SLOW_MS : 0);
  const { pair, wires } = await started({ acknowledge: 'local' }, { checkpoint }, delayMs);
  // Over one another: in another order the end would be another.
  const over = Array.from({ length: 24 }, (__, i) => `write -P ${i + 1} ${(i % 3) * 512}k 4M`);
  await write(pair, ...over, 'write -P 99 1M 2M', 'flush');
  await untilEqual(pair);
  expect(pair.content('target')[MIB + 17]).toBe(99);
  const carried = [FIRST, ...EXTRAS].map((index) => wires.all[index]?.sentBytes ?? 0);
  expect(Math.min(...carried)).toBeGreaterThan(MIB / 2);
  // The slow one is given less, for more of what it was given waits.
  expect(wires.all[slow]?.sentBytes).toBeLessThan(wires.all[EXTRAS[0]]?.sentBytes ?? 0);
  expect(pair.log('source')).not.toMatch(/target-(connection-)?lost/);
});

test('[CY2] one of three connections breaks under load: the session goes on, and it is made again', async () => {
  const { pair, wires } = await started({ acknowledge: 'sync' }, {});
  const { session } = await seen(pair);
  const load = fioLoad({ uri: pair.uri('source'), seed: 1, offset: 0, size: 16 * MIB, depth: 32 });
  ends.push(async () => load.end());
  for (let round = 0; round < 4; round++) {
    const extras = wires.all.slice(EXTRAS[0]).filter(({ isOpen }) => isOpen);
    const before = extras.map(({ sentBytes }) => sentBytes);
    await eventually('they carry something', SOON_MS, () =>
      extras.some(({ sentBytes }, i) => sentBytes > (before[i] ?? 0) + 65_536),
    );
    for (const wire of round === 3 ? extras : extras.slice(round % 2, 1 + (round % 2))) wire.break();
    await eventually('one is lost', SOON_MS, async () => (await seen(pair)).connections < CONNECTIONS);
    await untilAllJoined(pair);
  }
  await load.end();
  await untilEqual(pair);
  expect((await seen(pair)).session).toBe(session);
  expect(pair.log('source')).toMatch(/target-connection-lost/);
  expect(pair.log('source')).not.toContain('target-lost');
});

test('[CY2] one of three connections falls silent under load: what it held goes on the others', async () => {
  const { pair, wires } = await started({ acknowledge: 'local' }, {});
  const { session } = await seen(pair);
  const wire = wires.all[EXTRAS[0]];
  wire?.silence();
  const before = wire?.sentBytes ?? 0;
  // More than it takes for all three to be given something. For a longer write it would be waited longer.
  await write(pair, ...Array.from({ length: 64 }, (_, i) => `write -P ${i + 1} ${i * 192}k 256k`));
  await untilEqual(pair);
  expect(wire?.sentBytes).toBeGreaterThan(before + 65_536);
  expect(wire?.isOpen).toBe(false);
  expect((await seen(pair)).session).toBe(session);
  await untilAllJoined(pair);
  expect(pair.log('source')).toMatch(/target-connection-lost.*no answer for too long/);
  expect(pair.log('source')).not.toContain('target-lost');
});

test('[CY2] a bound on the link is kept by all connections together', async () => {
  const { pair, wires } = await started({ acknowledge: 'local' }, { limits: { bytesPerSecond: MIB } });
  const beganMs = performance.now();
  await write(pair, 'write -P 5 0 1M', 'write -P 6 1M 1M', 'write -P 7 2M 1M');
  await untilEqual(pair);
  // 3 MiB, less what leaves before the bound is felt.
  expect(performance.now() - beganMs).toBeGreaterThan(2000);
  expect(wires.all.length).toBeGreaterThan(CONNECTIONS);
  expect(pair.log('source')).not.toMatch(/target-(connection-)?lost/);
});
