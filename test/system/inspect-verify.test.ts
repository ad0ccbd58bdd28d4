/** `inspect --verify` and `diff` as people run them, on volumes written by the production writer and damaged by hand. */
import { spawnSync } from 'node:child_process';
import { closeSync, copyFileSync, openSync, readFileSync, statSync, truncateSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { BATCH, BLOCK_BYTES, HEAD_TABLE_OFFSET } from '../../agent/volume/layout.ts';
import { CLI, filledVolume, FRAMES, keyOptions } from '../support/inspected.ts';
import type { VolumeFile } from '../support/volume-file.ts';

let file: VolumeFile;
let key: string[];

interface Verified {
  readonly verify: {
    readonly ok: boolean;
    readonly batches: number;
    readonly bytes: Readonly<Record<'proven' | 'structure' | 'damaged' | 'unused', number>>;
    readonly problems: readonly string[];
    readonly damaged: readonly { node: string; position: number; fault: string; reason: string }[];
  };
}

function stillbeat(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [CLI, ...args], { encoding: 'utf8' });
}

function verify(...more: string[]): Verified['verify'] & { readonly status: number | null } {
  const { status, stdout, stderr } = stillbeat('inspect', file.path, '--verify', '--json', ...key, ...more);
  expect(stderr).toBe('');
  return { status, ...(JSON.parse(stdout) as Verified).verify };
}

/** Changes a byte that no proof covers: the batch still opens. */
function poke(offset: number, value: number): void {
  const fd = openSync(file.path, 'r+');
  writeSync(fd, Uint8Array.of(value), 0, 1, offset);
  closeSync(fd);
}

async function fill(withKey: boolean): Promise<void> {
  file = await filledVolume(withKey);
  key = keyOptions(file, withKey);
}

beforeEach(async () => fill(true));
afterEach(() => file.remove());

describe('inspect --verify', () => {
  test('a good volume: every byte is accounted for, sealed or not; without the key only the structure is', async () => {
    const sealed = verify();
    const { proven, structure, damaged, unused } = sealed.bytes;
    expect(sealed).toMatchObject({ status: 0, ok: true, batches: 4, problems: [], damaged: [] });
    // Superblocks, heads, and the blocks of the four batches.
    expect(proven).toBe((2 + 2 + 7 + 2) * BLOCK_BYTES);
    expect([structure, damaged, proven + unused]).toEqual([0, 0, statSync(file.path).size]);
    const text = stillbeat('inspect', file.path, '--verify', ...key);
    expect([text.status, text.stdout.split('\n').at(-2)]).toEqual([
      0,
      'good: 4 batches; 52 KiB proven, 8.9 MiB unused',
    ]);
    key = [];
    expect(verify()).toMatchObject({ status: 0, bytes: { proven: 2 * BLOCK_BYTES, structure: 11 * BLOCK_BYTES } });
    file.remove();
    await fill(false);
    expect(verify()).toMatchObject({ status: 0, ok: true, bytes: { proven: 13 * BLOCK_BYTES, structure: 0 } });
  });

  const inBatch = (at: number) => () => file.damage(file.offset(0, 0) + at);
  test.each<[string, () => void, object]>([
    ['a sealed byte', inBatch(300), { fault: 'damaged' }],
    ['the header', inBatch(BATCH.at.wallUs), { fault: 'damaged' }],
    ['a position that claims a later lap', inBatch(BATCH.at.position + 4), { fault: 'ahead' }],
    ['the tail', inBatch(BLOCK_BYTES - 1), { fault: 'torn' }],
    [
      'a byte between payload and tail, which no proof covers',
      () => poke(file.offset(0, 0) + BLOCK_BYTES - 100, 1),
      { fault: 'inconsistent', reason: expect.stringMatching(/byte 3996 behind its payload is not zero/) as unknown },
    ],
  ])('%s', (_, damage, found) => {
    damage();
    const { status, ok, damaged, bytes } = verify();
    expect([status, ok, bytes.damaged]).toEqual([1, false, BLOCK_BYTES]);
    expect(damaged).toEqual([expect.objectContaining({ node: 'a', position: 0, ...found })]);
  });

  test('copies of the superblock, head blocks, and a volume that was cut short', () => {
    file.damage(200);
    file.damage(HEAD_TABLE_OFFSET + 1000);
    truncateSync(file.path, statSync(file.path).size - 1_048_576);
    const { status, problems, bytes } = verify();
    expect(status).toBe(1);
    expect(problems).toEqual([
      'copy 0 of the superblock: checksum',
      expect.stringMatching(/^1048576 of \d+ bytes are not here: the volume was cut short$/),
      'head block of node a: damaged',
    ]);
    expect(bytes.damaged).toBe(1_048_576 + 2 * BLOCK_BYTES);
  });

  test('a batch whose records are for nobody that its header names, though its proof holds', async () => {
    file.remove();
    await fill(false);
    const writer = file.writer(0);
    writer.seal(FRAMES.slice(0, 1), { peer: 1 });
    // The writer itself is wrong: the header is changed before it is proven.
    const { memory } = writer.writer.builder;
    memory[BATCH.at.addressed] = 0b1000;
    const header = memory.subarray(0, BATCH.at.tag);
    const { crc32 } = await import('node:zlib');
    const payload = new DataView(memory.buffer, memory.byteOffset).getUint32(BATCH.at.payloadBytes, true);
    const crc = crc32(memory.subarray(BATCH.bytes, BATCH.bytes + payload), crc32(header));
    new DataView(memory.buffer, memory.byteOffset).setUint32(BATCH.at.tag, crc, true);
    writer.writer.writePending();
    expect(verify().damaged).toEqual([
      expect.objectContaining({ fault: 'inconsistent', reason: expect.stringContaining('nobody reads it') as unknown }),
    ]);
  });

  test.each([['--follow'], ['--type', 'data'], ['--node', 'a'], ['--since', '-5m'], ['--content'], ['--pcap', '-']])(
    'it looks at everything: %s is refused in one line',
    (...option) => {
      const { status, stdout, stderr } = stillbeat('inspect', file.path, '--verify', ...key, ...option);
      expect([status, stdout]).toEqual([2, '']);
      expect(stderr).toMatch(/^stillbeat: inspect: --verify looks at everything: leave --\S+ out; usage: .*\n$/);
    },
  );
});

describe('diff', () => {
  interface Node {
    readonly node: string;
    readonly behindMs: number | null;
    readonly same: { readonly batches: number };
    readonly notCopied: { batches: number; bytes: number; firstMark: number | null; lastMark: number | null };
    readonly differences: { readonly position: number; readonly orderMark: number | null; readonly reason: string }[];
  }
  interface Document {
    readonly same: boolean;
    readonly nodes: readonly Node[];
  }

  let copy: string;
  beforeEach(() => {
    copy = join(file.folder, 'copy');
    copyFileSync(file.path, copy);
  });

  function diff(...more: string[]): Document & { readonly status: number | null } {
    const { status, stdout, stderr } = stillbeat('diff', file.path, copy, '--json', ...more);
    expect(stderr).toBe('');
    return { status, ...(JSON.parse(stdout) as Document) };
  }

  /** Changes the copy, not the volume. */
  function change(offset: number, from: Uint8Array): void {
    const fd = openSync(copy, 'r+');
    writeSync(fd, from, 0, from.length, offset);
    closeSync(fd);
  }

  test('a whole copy, without the key', () => {
    const { status, same, nodes } = diff();
    expect([status, same]).toEqual([0, true]);
    expect(nodes.map(({ node, same, notCopied, differences }) => [node, same.batches, notCopied.batches, differences])).toEqual([
      ['a', 2, 0, []],
      ['b', 2, 0, []],
    ]); // prettier-ignore
  });

  test('a copy that is behind differs in nothing: what it lacks is named, and how old it is', () => {
    for (let i = 0; i < 3; i++) file.writer(0).batch(FRAMES.slice(0, 1), { peer: 1 });
    file.writer(0).head();
    const { status, nodes } = diff();
    expect(status).toBe(0);
    expect(nodes[0]).toMatchObject({
      behindMs: 4,
      same: { batches: 2 },
      notCopied: { batches: 3, bytes: 3 * BLOCK_BYTES, firstMark: 3, lastMark: 5 },
      differences: [],
    });
    const { stdout } = stillbeat('diff', file.path, copy);
    expect(stdout).toMatch(/^node a \(slot 0\): position 40960 \(#5\) on the send volume, position 28672 \(#2\) on the copy, 0\.004 s behind$/m); // prettier-ignore
    expect(stdout).toMatch(/^ {2}not copied yet {2}3 batches, 12 KiB: #3 to #5, the oldest of 2023-11-14T22:13:20\.\d{6}Z$/m); // prettier-ignore
  });

  test('a batch that the head of the copy names, and that is not there', () => {
    change(file.offset(0, 0), new Uint8Array(BLOCK_BYTES));
    const { status, same, nodes } = diff();
    expect([status, same]).toEqual([1, false]);
    expect(nodes[0]?.differences).toEqual([
      { position: 0, bytes: 4096, orderMark: 1, reason: expect.stringMatching(/^the copy has it not: no batch/) as unknown },
    ]); // prettier-ignore
  });

  test('of many batches that are missing in a row one line is made', () => {
    for (let i = 0; i < 30; i++) file.writer(0).batch(FRAMES.slice(0, 1), { peer: 1 });
    file.writer(0).head();
    const from = file.writer(0).writer.position - 30 * BLOCK_BYTES;
    copyFileSync(file.path, copy);
    change(file.offset(0, from), new Uint8Array(20 * BLOCK_BYTES));
    change(file.offset(0, from + 25 * BLOCK_BYTES), new Uint8Array(BLOCK_BYTES));
    expect(diff().nodes[0]?.differences).toHaveLength(21);
    const { stdout } = stillbeat('diff', file.path, copy);
    expect(stdout.split('\n').filter((line) => line.startsWith('  ! '))).toEqual([
      expect.stringMatching(
        new RegExp(`^  ! from ${from} on, 81920 bytes, 20 batches, #3 to #22: the copy has it not`),
      ),
      expect.stringMatching(new RegExp(`^  ! at ${from + 25 * BLOCK_BYTES}, 4096 bytes of #28: the copy has it not`)),
    ]);
  });

  test('with the key, the side that is damaged', () => {
    change(file.offset(0, 0) + 300, Uint8Array.of(~(readFileSync(copy)[file.offset(0, 0) + 300] ?? 0)));
    expect(diff().nodes[0]?.differences[0]?.reason).toBe('bytes differ from 300 on');
    expect(diff(...key).nodes[0]?.differences[0]?.reason).toBe('bytes differ from 300 on: the copy is damaged');
    copyFileSync(file.path, copy);
    file.damage(file.offset(1, 0) + 200);
    const { status, nodes } = diff(...key);
    expect(status).toBe(1);
    expect(nodes[1]?.differences[0]?.reason).toBe('bytes differ from 200 on: the send volume is damaged');
  });

  test('what the send volume lacks itself', () => {
    const fd = openSync(file.path, 'r+');
    writeSync(fd, new Uint8Array(BLOCK_BYTES), 0, BLOCK_BYTES, file.offset(0, 0));
    closeSync(fd);
    expect(diff().nodes[0]?.differences).toEqual([
      expect.objectContaining({ orderMark: null, reason: expect.stringMatching(/; on the copy: a batch$/) as unknown }),
    ]);
  });

  test('two volumes that are no copies, and bad usage: one line each', async () => {
    const other = await filledVolume(true);
    try {
      const strangers = stillbeat('diff', file.path, other.path);
      expect([strangers.status, strangers.stdout]).toEqual([3, '']);
      expect(strangers.stderr).toMatch(
        /^stillbeat: diff: .* is no copy of .*: one is of cluster .*; check the two paths\n$/,
      );
    } finally {
      other.remove();
    }
    for (const args of [[], [file.path], [file.path, copy, copy], [file.path, copy, '--nonsense']]) {
      const { status, stdout, stderr } = stillbeat('diff', ...args);
      expect([status, stdout, stderr.split('\n').length]).toEqual([2, '', 2]);
    }
  });
});
