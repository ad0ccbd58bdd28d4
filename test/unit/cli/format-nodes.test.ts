/** `format --add` and `--remove`, and the slots that are kept free for them. */
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { format } from '../../../agent/cli/format.ts';
import { slotsFor } from '../../../agent/cli/format-volume.ts';
import { BlockDevice } from '../../../agent/platform/block-device.ts';
import { alignedMemory } from '../../../agent/platform/memory.ts';
import { decodeHead } from '../../../agent/volume/head.ts';
import { BLOCK_BYTES, HEAD_TABLE_OFFSET, SLOTS_OFFSET, tenantOf } from '../../../agent/volume/layout.ts';
import { SlotReader } from '../../../agent/volume/slot-reader.ts';
import { chooseSuperblock, encodeSuperblock, type Superblock } from '../../../agent/volume/superblock.ts';
import { volumeSeals } from '../../../agent/threads.ts';
import { CLUSTER_KEY, incarnationOf, slotGeometry, TestWriter } from '../../support/volume.ts';

const MIB = 1024 * 1024;
let folder: string;
let volume: string;
let out: string;
let err: string;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'stillbeat-nodes-'));
  volume = join(folder, 'volume');
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => ((out += String(text)), true));
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => ((err += String(text)), true));
  [out, err] = ['', ''];
  expect(await format([volume, '--cluster', 'lab', '--nodes', 'a,b', '--slots', '4', '--size', '20M'])).toBe(0);
  [out, err] = ['', ''];
});
afterEach(() => {
  vi.restoreAllMocks();
  rmSync(folder, { recursive: true });
});

const change = async (...argv: string[]) => format([volume, ...argv]);
function table(): Superblock {
  const bytes = new Uint8Array(readFileSync(volume));
  const chosen = chooseSuperblock([bytes.subarray(0, 4096), bytes.subarray(4096, 8192)]);
  if (!chosen.ok) throw new Error(chosen.fault);
  return chosen.superblock;
}
/** The one line that a refusal is. */
function line(): string {
  expect(err).toMatch(/^stillbeat: [^\n]+\n$/);
  const said = err;
  err = '';
  return said;
}

describe('slots', () => {
  test.each([
    [64 * MIB, 2, 4],
    [9 * MIB, 2, 2],
    [1024 * MIB, 2, 4],
    [1024 * MIB, 5, 10],
    [4096 * MIB, 40, 64],
    [128 * MIB, 12, 15],
  ])('a volume of %i bytes gets for %i nodes %i slots', (bytes, nodes, slots) => {
    expect(slotsFor(bytes, nodes)).toBe(slots);
  });

  test.each([
    [['--slots', '1'], '--slots 1 is no number from 2 (the nodes) to 64'],
    [['--slots', '65'], '--slots 65 is no number'],
    [['--slots', 'x'], '--slots x is no number'],
  ])('%j is refused', async (argv, words) => {
    expect(await change('--cluster', 'lab', '--nodes', 'a,b', ...argv)).toBe(2);
    expect(line()).toContain(words);
  });

  test('a volume too small for the slots asked for says how large it must be', async () => {
    expect(await change('--cluster', 'lab', '--nodes', 'a,b', '--slots', '8')).toBe(3);
    expect(line()).toContain('8 slots need at least 34078720 bytes (32.5 MiB)');
    expect(table().nodes).toEqual(['a', 'b', '', '']);
  });
});

describe('[AG12] format --add and --remove', () => {
  test('a node gets the first free slot, zeroed; --json prints the document of format', async () => {
    const device = BlockDevice.open(volume);
    const former = new TestWriter(device, { slot: 2, slotBytes: table().slotBytes });
    former.head(2);
    former.batch([new Uint8Array(100).fill(9)]);
    device.close();
    expect(await change('--add', 'c', '--json')).toBe(0);
    expect(table()).toMatchObject({ nodes: ['a', 'b', 'c', ''], tenants: [0, 1, 2, 3], revision: 2 });
    expect(JSON.parse(out)).toMatchObject({ ok: true, cluster: 'lab', nodes: ['a', 'b', 'c'], slots: 4, volume });
    const start = SLOTS_OFFSET + 2 * table().slotBytes;
    expect(
      readFileSync(volume)
        .subarray(start, start + 65_536)
        .every((byte) => byte === 0),
    ).toBe(true);
    out = '';
    expect(await change('--remove', 'a,c')).toBe(0);
    expect(out).toContain('nodes b; 4 slots of 4.9 MiB, 3 free');
    expect(table()).toMatchObject({ nodes: ['', 'b', '', ''], tenants: [64, 1, 66, 3], revision: 3 });
  });

  test.each([
    [['--add', 'a'], 3, 'has a node a already'],
    [['--add', 'c,c'], 2, 'node c is named twice'],
    [['--add', 'c,,d'], 2, 'node name "" is not'],
    [['--remove', 'zz'], 3, 'has no node zz (it has a, b): name one of these'],
    [['--remove', 'a,b'], 3, 'would be left without a node'],
    [['--add', 'c', '--remove', 'a'], 2, '--add changes a volume that is there: leave --remove out'],
    [['--remove', 'a', '--force'], 2, 'leave --force out'],
    [['--add', 'c', '--nodes', 'a,b'], 2, 'leave --nodes out'],
  ])('%j is refused in one line', async (argv, status, words) => {
    const before = readFileSync(volume);
    expect(await change(...argv)).toBe(status);
    expect(line()).toContain(words);
    expect(readFileSync(volume).equals(before)).toBe(true);
  });

  test('a volume that is not there, or not formatted', async () => {
    expect(await format([join(folder, 'none'), '--add', 'c'])).toBe(3);
    expect(line()).toContain('does not exist');
    writeFileSync(join(folder, 'empty'), new Uint8Array(8192));
    expect(await format([join(folder, 'empty'), '--remove', 'c'])).toBe(3);
    expect(line()).toContain('is not formatted');
  });

  test('slots exhausted: how many there are, and how to format larger', async () => {
    expect(await change('--add', 'c,d,e')).toBe(3);
    const said = line();
    expect(said).toContain('has 4 slots, 2 free, for 3 more');
    expect(said).toContain(`stillbeat format ${volume} --cluster lab --nodes a,b,c,d,e --slots 10`);
    expect(said).toContain('on a device of at least 40.5 MiB');
  });

  test('[ONE1] the removal of a node whose agent is live is refused: by its lock on this host', async () => {
    const agent = BlockDevice.open(volume);
    const { slotBytes } = table();
    expect(agent.lock(SLOTS_OFFSET + slotBytes, slotBytes)).toBe(0);
    try {
      expect(await change('--remove', 'b')).toBe(7);
      expect(line()).toContain('the agent of node b is live');
      // The others' agents are no hindrance.
      expect(await change('--add', 'c')).toBe(0);
      expect(await change('--remove', 'a')).toBe(0);
    } finally {
      agent.close();
    }
  });

  test('[ONE1] and by its beacon on another host', async () => {
    const device = BlockDevice.open(volume);
    const agent = new TestWriter(device, { slot: 1 });
    agent.head();
    const refused = change('--remove', 'b', '--json');
    await delay(200);
    agent.head();
    expect(await refused).toBe(7);
    expect(line()).toContain('an agent of node b is live');
    expect(JSON.parse(out)).toMatchObject({ ok: false, error: { reason: 'taken' } });
    device.close();
  });

  test('of two changes at a time on one host none is lost', async () => {
    expect(await Promise.all([change('--add', 'c'), change('--add', 'd'), change('--remove', 'a')])).toEqual([0, 0, 0]);
    expect(table().nodes.filter(Boolean).toSorted()).toEqual(['b', 'c', 'd']);
  });

  test('a change on another host that overwrites ours is seen, and ours is made once more', async () => {
    const before = table();
    const added = change('--add', 'c');
    while (table().revision === 1) await delay(5);
    const device = openSync(volume, 'r+');
    // What another host writes that had read the table before us.
    const theirs = { ...before, revision: 2, nodes: ['a', 'b', 'x', ''] };
    for (const copy of [0, 1]) writeSync(device, encodeSuperblock(theirs, copy), 0, BLOCK_BYTES, copy * BLOCK_BYTES);
    closeSync(device);
    expect(await added).toBe(0);
    expect(table()).toMatchObject({ nodes: ['a', 'b', 'x', 'c'], revision: 3 });
  });

  test('a crash at any write leaves the old table or the new one', { timeout: 60_000 }, async () => {
    const write: unknown = Reflect.get(BlockDevice.prototype, 'write');
    const real = write as (this: BlockDevice, at: number, from: Uint8Array) => number;
    for (let good = 0, isDone = false; !isDone; good++) {
      let writes = 0;
      const cut = vi.spyOn(BlockDevice.prototype, 'write').mockImplementation(function (this: BlockDevice, at, bytes) {
        if (writes++ < good) return real.call(this, at, bytes);
        // Torn: half a block, and then nobody writes any more.
        if (writes === good + 1) real.call(this, at, bytes.subarray(0, 512));
        throw new Error('power is gone');
      });
      const ended = await change('--add', 'c').catch(() => 'crashed');
      cut.mockRestore();
      isDone = ended === 0;
      expect([
        ['a', 'b', '', ''],
        ['a', 'b', 'c', ''],
      ]).toContainEqual(table().nodes);
      if (table().nodes[2] === 'c' && !isDone) expect(await change('--remove', 'c')).toBe(0);
      err = '';
    }
  });
});

describe('[AUTH1] a slot that is given to another node', () => {
  const seals = (key: Uint8Array | null) => volumeSeals(key, table().clusterUuid);

  test.each([[CLUSTER_KEY], [null]])(
    'its reader of former times takes nothing of the new node (key %#)',
    async (key) => {
      const { slotBytes, clusterUuid } = table();
      const options = { slot: 2, slotBytes, key, clusterUuid };
      expect(await change('--add', 'c')).toBe(0);
      const device = BlockDevice.open(volume);
      const old = new TestWriter(device, options);
      old.head(2);
      old.batch([new Uint8Array(100)]);
      expect(await change('--remove', 'c')).toBe(0);
      expect(await change('--add', 'd')).toBe(0);
      const tenant = tenantOf(2, 1);
      expect(table()).toMatchObject({ nodes: ['a', 'b', 'd', ''], tenants: [0, 1, tenant, 3] });
      // The worst case: the very same incarnation, mark and position.
      const young = new TestWriter(device, { ...options, tenant });
      young.head();
      young.batch([new Uint8Array(100)]);
      const head = new Uint8Array(readFileSync(volume))
        .subarray(HEAD_TABLE_OFFSET + 2 * BLOCK_BYTES)
        .slice(0, BLOCK_BYTES);
      expect(decodeHead(head, 2, clusterUuid, seals(key))).toEqual({ ok: false, fault: 'foreign' });
      expect(decodeHead(head, tenant, clusterUuid, seals(key)).ok).toBe(true);
      const readAs = (nodeIndex: number) => {
        const memory = new Uint8Array(alignedMemory(MIB)).subarray(0, MIB);
        const geometry = slotGeometry(2, slotBytes);
        const reader = new SlotReader(device, geometry, nodeIndex, clusterUuid, seals(key), memory, 0);
        reader.accept(incarnationOf(1), 0, 0);
        reader.sawHead(4096);
        return [1, 2, 3].map((at) => reader.poll(at, () => true)).includes('batch') && reader.counters.batches;
      };
      expect(readAs(tenant)).toBe(1);
      expect(readAs(2)).not.toBe(1);
      // The former node's agent, should it go on, sees that the slot is no longer its own; the new one's does not mind.
      const next = new TestWriter(device, { ...options, tenant, incarnation: incarnationOf(2) });
      next.head();
      expect([old.writer.ownsHead(), next.writer.ownsHead()]).toEqual([false, true]);
      old.head();
      expect([old.writer.ownsHead(), next.writer.ownsHead()]).toEqual([true, true]);
      device.close();
    },
  );
});
