/** Checkpoints by reference between two processes: what passes the wire is counted, what the target shows is compared. */
import { randomBytes } from 'node:crypto';
import { closeSync, openSync, readFileSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { tool } from '../../agent/demo/shell.ts';
import { decodeSuper } from '../../agent/mirror/store/superblock.ts';
import { eventually } from '../support/cluster.ts';
import { MirrorPair, PATIENT, type PairOptions } from '../support/mirror-pair.ts';
import { NbdClient } from '../support/nbd-client.ts';
import { WireProxy } from '../../agent/bench/wire-proxy.ts';

const MIB = 1 << 20;
const SOON_MS = 60_000;
/** Of the volume that is written to while processes are killed. */
const BYTES = 256 * 1024;
const pairs: MirrorPair[] = [];
const wires: WireProxy[] = [];
afterEach(async () => {
  for (const pair of pairs.splice(0)) await pair.remove();
  for (const wire of wires.splice(0)) wire.close();
});

interface Checkpoints {
  readonly cuts: number;
  readonly references: number;
  readonly zeroes: number;
  readonly data: number;
  readonly wanted: number;
}

const checkpoint = { by: 'references', ms: 0 } as const;

async function started(
  options: Partial<PairOptions> = {},
  delayMs = 0,
): Promise<{ pair: MirrorPair; wire: WireProxy }> {
  const pair = await MirrorPair.make({
    volumeBytes: 32 * MIB,
    through: async (port) => {
      wires.push(await WireProxy.open(port, { delayMs }));
      return wires.at(-1)?.port ?? 0;
    },
    ...options,
    // References hold for a session: a processor that is not to be had for a second is to end none.
    settings: { source: { inquiry: PATIENT, checkpoint, ...options.settings?.source } },
  });
  pairs.push(pair);
  pair.start('target');
  pair.start('source');
  await pair.untilInSync();
  return { pair, wire: wires.at(-1) as WireProxy };
}

async function seen(pair: MirrorPair): Promise<Checkpoints> {
  const target = (await pair.seen()) as unknown as { readonly checkpoints: Checkpoints };
  return target.checkpoints;
}

const qemu = async (pair: MirrorPair, ...commands: string[]): Promise<string> =>
  tool(['qemu-io', '-f', 'raw', '-d', 'unmap', ...commands.flatMap((command) => ['-c', command]), pair.uri('source')]);

/** The command of an operator: a cut, which is shown when it returns. */
async function cutByCommand(pair: MirrorPair): Promise<void> {
  expect(await pair.command('source', 'checkpoint')).toMatch(/^cut \d+ is shown by east\n$/);
}

/** The same, without a process for it. */
async function cut(pair: MirrorPair): Promise<void> {
  const { cut: mark = Infinity } = await pair.ask('source', { command: 'mirror-checkpoint' });
  await eventually(`cut ${mark} is shown`, SOON_MS, async () => ((await pair.seen())?.applied ?? 0) >= mark);
}

describe('[MI7] a cut by command', () => {
  test('[RF1] [RF2] [RF4] [RF6] whole blocks go once, as entries: at the cut 40 bytes for each; the receive volume is equal', async () => {
    const { pair, wire } = await started({ journalSize: '64M' });
    await qemu(pair, 'write -P 1 0 1M');
    await cutByCommand(pair);
    await qemu(pair, 'write -P 2 0 8M', 'write -P 3 16M 8M', 'write -z 1M 64k', 'discard 2M 64k');
    const shown = (await seen(pair)).references;
    // Nothing of it is shown before the cut.
    await eventually('it is there', SOON_MS, async () => {
      const target = await pair.seen();
      return target !== null && target.durable > target.applied + 4;
    });
    expect(
      pair
        .content('target')
        .subarray(16 * MIB, 24 * MIB)
        .every((byte) => byte === 0),
    ).toBe(true);
    const before = wire.sentBytes;
    await cut(pair);
    const bytes = wire.sentBytes - before;
    await pair.untilEqual();
    const { references, zeroes, data, wanted } = await seen(pair);
    expect({ references: references - shown, zeroes, data, wanted }).toEqual({
      references: 4096 - 32,
      zeroes: 32,
      data: 0,
      wanted: 0,
    });
    // 16 MiB of blocks; entries were 16 MiB before.
    expect(before).toBeGreaterThan(16 * MIB);
    expect(bytes).toBeGreaterThan(4096 * 40);
    expect(bytes).toBeLessThan(0.02 * 16 * MIB);
  });

  test('[RF3] a block that was written in part goes as a whole block, one that was overwritten whole as a reference', async () => {
    const { pair, wire } = await started();
    await cut(pair);
    await qemu(
      pair,
      'write -P 1 4096 4k',
      'write -P 2 5000 10',
      'write -P 3 65536 4k',
      'write -P 4 66000 10',
      'write -P 5 65536 4k',
    );
    await qemu(pair, 'write -P 6 1048577 8192');
    const before = wire.sentBytes;
    await cut(pair);
    await pair.untilEqual();
    const { references, data } = await seen(pair);
    expect({ references, data }).toEqual({ references: 1, data: 4 });
    expect(wire.sentBytes - before).toBeGreaterThan(4 * 4096);
    expect(wire.sentBytes - before).toBeLessThan(6 * 4096);
  });

  test('[MI8] the same writes by redo and by checkpoints, with references and as data: the same bytes', async () => {
    const writes = [
      'write -P 1 0 3M',
      'write -P 2 1000001 77777',
      'write -z 2M 100k',
      'discard 1M 12k',
      'write -P 9 33553920 512',
    ];
    const contents: Buffer[] = [];
    for (const by of ['entries', 'references', 'data']) {
      const { pair } = await started({ settings: { source: { checkpoint: { by, ms: 20 } } } });
      for (const write of writes) await qemu(pair, write);
      await pair.untilEqual();
      contents.push(pair.content('target'));
      await pair.end('source');
      await pair.end('target');
    }
    for (const content of contents) expect(Buffer.compare(content, contents[0] ?? Buffer.alloc(0))).toBe(0);
  });
});

describe('cuts by themselves', () => {
  test('[MI7] by the clock, by cycles, on a flush: each shows what was written', async () => {
    const { pair } = await started();
    for (const [round, when] of [{ ms: 30 }, { ms: 0, everyCycles: 2 }, { ms: 0, onFlush: true }].entries()) {
      await pair.end('source');
      pair.configure('source', { inquiry: PATIENT, checkpoint: { by: 'references', ...when } });
      pair.start('source');
      await pair.untilInSync();
      const write = async (i: number) => qemu(pair, `write -P ${10 * round + i} ${i}M 64k`, 'flush');
      const shown = async (last: number) =>
        eventually(JSON.stringify(when), SOON_MS, async () => {
          const isShown = pair.content('source').equals(pair.content('target'));
          // Whether the last write is in a second cycle or in a first one is up to the clock: so there are more of them.
          if (!isShown && when.everyCycles) await write(last);
          return isShown;
        });
      for (let i = 1; i <= 3; i++) await write(i);
      await shown(3);
      // The first cut of a run is brought by its entries: what it changed is not known. How much is in it is up to the clock.
      await write(4);
      await shown(4);
      expect((await seen(pair)).references, JSON.stringify(when)).toBeGreaterThan(0);
    }
  });

  test('[MI16] a target whose journal fills up is brought to a cut though nobody asks for one', async () => {
    const { pair } = await started({ journalSize: '8M', settings: { source: { checkpoint } } });
    for (let i = 0; i < 4; i++) await qemu(pair, `write -P ${i + 1} 0 12M`);
    await cut(pair);
    await pair.untilEqual();
  });
});

describe('[MI8] where the list is not known or cannot be used, entries are redone', () => {
  test('[MI5] references never survive a session: after a restart of either side the first cut is redone, the next is not', async () => {
    const { pair } = await started();
    await qemu(pair, 'write -P 1 0 1M');
    await cut(pair);
    await qemu(pair, 'write -P 2 0 1M');
    await cut(pair);
    expect((await seen(pair)).references).toBe(512);
    for (const side of ['target', 'source'] as const) {
      await qemu(pair, 'write -P 3 1M 1M');
      await pair.end(side, 'SIGKILL');
      await eventually('the source knows', SOON_MS, async () => {
        const target = await pair.seen();
        return target === null ? side === 'source' : target.state === 'journaling';
      });
      pair.start(side);
      await pair.untilInSync();
      const before = (await seen(pair)).references;
      await qemu(pair, 'write -P 4 2M 1M');
      await cut(pair);
      await pair.untilEqual();
      expect((await seen(pair)).references).toBe(before);
      await qemu(pair, 'write -P 5 2M 1M');
      await cut(pair);
      await pair.untilEqual();
      expect((await seen(pair)).references).toBe(before + 256);
    }
  });

  test('[MI16] more blocks than the list holds', async () => {
    const { pair } = await started({ volumeBytes: 264 * MIB, journalSize: '64M' });
    await cut(pair);
    await qemu(pair, 'discard 0 260M', 'write -P 7 1M 1M');
    await cut(pair);
    await pair.untilEqual();
    expect(await seen(pair)).toMatchObject({ cuts: 1, references: 0, zeroes: 0, data: 0 });
  });
});

test('[I11] a reference whose bytes the target lost brings them as data, and readers see the former cut until then', async () => {
  const { pair } = await started();
  await qemu(pair, 'write -P 1 0 1M');
  await cut(pair);
  // Told apart from anything else in the arrival journal.
  await qemu(pair, 'write -P 0xa7 64k 64k', 'write -P 0xb8 256k 64k');
  const target = await eventually('it is there', SOON_MS, async () => {
    const one = await pair.seen();
    return one !== null && one.durable > one.applied ? one : null;
  });
  expect(target.durable).toBeGreaterThan(target.applied);
  damage(join(pair.folder, 'target.journal'), Buffer.alloc(4096, 0xa7));
  await cut(pair);
  await pair.untilEqual();
  const { wanted, data } = await seen(pair);
  expect(wanted).toBe(1);
  expect(data).toBeGreaterThanOrEqual(1);
  expect(pair.log('target')).toContain('1 blocks of cut');
});

/** The newer superblock of a target's journal. */
function superblockOf(path: string): { readonly sequence: number } {
  const file = readFileSync(path).subarray(0, 8192);
  const copies = [file.subarray(0, 4096), file.subarray(4096)].map((copy) => decodeSuper(copy));
  return { sequence: Math.max(...copies.map((copy) => (copy.ok ? copy.superblock.sequence : 0))) };
}

/** Turns over a byte of the first place that holds these bytes. */
function damage(path: string, what: Buffer): void {
  const at = readFileSync(path).indexOf(what);
  expect(at).toBeGreaterThan(0);
  const fd = openSync(path, 'r+');
  writeSync(fd, Buffer.from([0]), 0, 1, at + 100);
  closeSync(fd);
}

test('[MI9] [I1] killed in the middle of checkpoints, the receive volume is a cut, and all is equal in the end', async () => {
  const source = { checkpoint: { by: 'references', ms: 5 } };
  const { pair } = await started({ volumeBytes: MIB, journalSize: '256M', settings: { source } });
  const writer = await NbdClient.open(pair.socket('source'), 'data');
  let number = 0;
  const state = { isOver: false };
  // Every write fills all of it with its number: any cut is one number throughout.
  const writing = (async () => {
    while (!state.isOver) {
      number++;
      await writer.write(0, new Uint8Array(new Uint32Array(BYTES / 4).fill(number).buffer));
      await delay(10);
    }
  })();
  let shown = 0;
  let isMixed = 0;
  for (let round = 0; round < 3; round++) {
    await eventually('it gets on', SOON_MS, async () => (await seen(pair).catch(() => null))?.references !== 0);
    await delay(20 + round * 7);
    await pair.end('target', 'SIGKILL');
    const superblock = superblockOf(join(pair.folder, 'target.journal'));
    const words = new Uint32Array(Uint8Array.from(pair.content('target').subarray(0, BYTES)).buffer);
    if (superblock.sequence % 2 === 1) isMixed++;
    else expect(words.every((word) => word === words[0])).toBe(true);
    pair.start('target');
    await pair.untilInSync();
    const now = await eventually('it serves', SOON_MS, async () => {
      const reader = await NbdClient.open(pair.socket('target'), 'data').catch(() => null);
      const bytes = await reader?.read(0, BYTES).catch(() => null);
      reader?.close();
      return bytes ?? null;
    });
    const served = new Uint32Array(Uint8Array.from(now).buffer);
    expect(served.every((word) => word === served[0])).toBe(true);
    expect(served[0]).toBeGreaterThanOrEqual(shown);
    shown = served[0] ?? 0;
  }
  state.isOver = true;
  await writing;
  writer.close();
  await cut(pair);
  await pair.untilEqual();
  expect(shown).toBeGreaterThan(0);
  expect((await seen(pair)).references).toBeGreaterThan(0);
  expect(isMixed).toBeGreaterThanOrEqual(0);
});

test('[CR6] over a link with 40 ms each way: writes are answered at once, cuts follow, all is equal', async () => {
  const source = { checkpoint: { by: 'references', ms: 50 }, inquiry: { intervalMs: 200, misses: 10 } };
  const { pair } = await started({ acknowledge: 'local', settings: { source } }, 40);
  // One after the other, each without the way there and back; a processor that is not to be had may take as long.
  let fastestMs = Infinity;
  for (let round = 0; round < 5 && fastestMs >= 50 * 80; round++) {
    const beganMs = performance.now();
    await qemu(pair, ...Array.from({ length: 50 }, (_, i) => `write -P ${i + 1} ${i * 4}k 4k`));
    fastestMs = Math.min(fastestMs, performance.now() - beganMs);
  }
  expect(fastestMs).toBeLessThan(50 * 80);
  await pair.untilEqual();
  expect((await seen(pair)).references).toBeGreaterThan(0);
});

describe('[CR1] [CR2] volumes that are nearly equal are compared by any digest, and only what differs is sent', () => {
  test.each([
    ['crc32', 12],
    ['md5', 16],
    ['sha1', 20],
    ['sha256', 32],
  ] as const)('%s', async (checksum, digestBytes) => {
    const bytes = 8 * MIB;
    const pair = await MirrorPair.make({
      volumeBytes: bytes,
      settings: { source: { checksum } },
      through: async (port) => {
        wires.push(await WireProxy.open(port));
        return wires.at(-1)?.port ?? 0;
      },
    });
    pairs.push(pair);
    const content = randomBytes(bytes);
    writeFileSync(pair.volume.source, content);
    for (let i = 0; i < 20; i++) content[i * 100 * 4096] = (content[i * 100 * 4096] ?? 0) ^ 1;
    writeFileSync(pair.volume.target, content);
    pair.start('target');
    pair.start('source');
    await pair.untilInSync();
    await pair.untilEqual();
    const sent = wires.at(-1)?.sentBytes ?? 0;
    // 8 regions, all of which differ; their 128 chunks; 20 of these by quarters, and 20 quarters by blocks.
    const least = (8 + 128 + 80 + 80) * digestBytes + 20 * 4096;
    expect(sent).toBeGreaterThan(least);
    expect(sent).toBeLessThan(1.2 * least + 20_000);
  });
});
