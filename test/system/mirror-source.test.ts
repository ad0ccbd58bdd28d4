/** A source without targets behind the NBD server: real clients, and a process that is killed at any moment. */
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { eventually } from '../support/cluster.ts';
import type { Lab } from '../../agent/demo/lab.ts';
import { tool } from '../../agent/demo/shell.ts';
import { EIO, FaultDisk } from '../support/fault-disk.ts';
import { SourceProcess, type SourceProcessOptions } from '../support/mirror-source.ts';
import type { NbdClient } from '../support/nbd-client.ts';
import { Prng } from '../../agent/base/prng.ts';

const SOON_MS = 60_000;
const MIB = 1 << 20;
const CLIENT_MS_MAX = 60_000;
const sources: SourceProcess[] = [];
afterEach(async () => {
  for (const source of sources.splice(0)) await source.remove();
});

function make(options: Partial<SourceProcessOptions> = {}): SourceProcess {
  const source = new SourceProcess({ ringBytes: 16 * MIB, windowBytes: 4 * MIB, volumeBytes: 32 * MIB, ...options });
  sources.push(source);
  return source;
}

const client = async (argv: readonly string[]) => tool(argv, { timeoutMs: CLIENT_MS_MAX });
const fio = (uri: string, ...more: string[]) => [
  'fio',
  '--name=j',
  '--ioengine=nbd',
  `--uri=${uri}`,
  '--verify=crc32c',
  '--verify_fatal=1',
  '--verify_state_save=0', // or fio leaves a file where the tests were called
  ...more,
];

describe('clients', () => {
  test('fio finds what it wrote, through many laps of the ring, while it writes and afterwards', async () => {
    const source = make();
    await source.start();
    const all = ['--rw=randwrite', '--bsrange=512-128k', '--size=32m', '--iodepth=32', '--verify_backlog=64'];
    await client(fio(source.uri(), ...all, '--loops=3'));
    expect(await source.stop()).toBe(0);
    await source.start();
    await client(fio(source.uri(), '--rw=randwrite', '--bs=4k', '--size=32m', '--iodepth=32', '--do_verify=1'));
  });

  test('[MI1] several volumes and connections: each reads what was answered, and the volumes bear it after a stop', async () => {
    const source = make({ volumeCount: 2 });
    await source.start();
    const job = ['--rw=randwrite', '--bs=4k', '--size=8m', '--iodepth=16'];
    await Promise.all([
      client(fio(source.uri(0), ...job, '--offset=0')),
      client(fio(source.uri(0), ...job, '--offset=16m')),
      client(fio(source.uri(1), ...job, '--bs=64k')),
    ]);
    expect(await source.stop()).toBe(0);
    const verify = ['--rw=read', '--bs=4k', '--size=8m', '--ioengine=psync'];
    await client([
      'fio',
      '--name=j',
      '--verify=crc32c',
      '--verify_state_save=0',
      `--filename=${source.volumes[0]}`,
      ...verify,
    ]);
  });

  test('a payload that is longer than an entry may be, zeroes and trims: qemu-io reads what it wrote', async () => {
    const source = make({ windowBytes: 2 * MIB });
    await source.start();
    const said = await client([
      'qemu-io',
      '-f',
      'raw',
      '-d',
      'unmap',
      ...['write -P 7 0 24M', 'write -z 1M 1M', 'write -z -u 2M 64k', 'write -P 9 3000001 4095', 'discard 4M 64k']
        .concat(['read -P 7 0 1M', 'read -P 0 1M 1M', 'read -P 0 2M 64k', 'read -P 9 3000001 4095', 'read -P 0 4M 64k'])
        .concat(['read -P 7 5M 19M', 'flush', 'write -f -P 3 31M 1M', 'read -P 3 31M 1M'])
        .flatMap((command) => ['-c', command]),
      source.uri(),
    ]);
    expect(said).not.toMatch(/fail|error/i);
    expect(await source.stop()).toBe(0);
    const content = readFileSync(source.volumes[0] ?? '');
    expect(content.subarray(5 * MIB, 24 * MIB).every((byte) => byte === 7)).toBe(true);
    expect(content.subarray(31 * MIB).every((byte) => byte === 3)).toBe(true);
  });
});

const BLOCK = 4096;
const SLOTS = 256;

/** Blocks that bear, all over, the number of the write that made them; and what of it was answered. */
class Writer {
  readonly sent = new Uint32Array(SLOTS);
  readonly acked = new Uint32Array(SLOTS);
  writes = 0;
  readonly #random: Prng;
  #number: number;

  constructor(random: Prng, number: number) {
    this.#random = random;
    this.#number = number;
  }

  get number(): number {
    return this.#number;
  }

  /** Writes until the server is gone, one block at a time to each slot. */
  async run(client: NbdClient, depth: number): Promise<void> {
    const busy = new Set<number>();
    const one = async () => {
      while (!client.isLost) {
        const slot = this.#random.below(SLOTS);
        if (busy.has(slot)) continue;
        busy.add(slot);
        const number = ++this.#number;
        this.sent[slot] = number;
        const data = new Uint32Array(BLOCK / 4).fill(number);
        try {
          await client.write(slot * BLOCK, new Uint8Array(data.buffer), this.#random.below(4) === 0);
        } catch {
          return;
        }
        this.acked[slot] = number;
        this.writes++;
        busy.delete(slot);
      }
    };
    await Promise.all(Array.from({ length: depth }, one));
  }

  /** Each slot is whole, holds no less than what was answered, and nothing that was never sent. */
  check(content: Buffer, label: string): void {
    const words = new Uint32Array(content.buffer, content.byteOffset, content.length / 4);
    for (let slot = 0; slot < SLOTS; slot++) {
      const first = words[(slot * BLOCK) / 4] ?? -1;
      const part = words.subarray((slot * BLOCK) / 4, ((slot + 1) * BLOCK) / 4);
      const isWhole = part.every((word) => word === first);
      const isFine = isWhole && first >= (this.acked[slot] ?? 0) && first <= (this.sent[slot] ?? 0);
      if (isFine) continue;
      const wanted = `${this.acked[slot]} to ${this.sent[slot]}`;
      throw new Error(`${label}: slot ${slot} holds ${first}${isWhole ? '' : ' in part'}, wanted ${wanted}`);
    }
    // What is there now is the past of the next round.
    for (let slot = 0; slot < SLOTS; slot++) {
      const now = words[(slot * BLOCK) / 4] ?? 0;
      this.sent[slot] = now;
      this.acked[slot] = now;
    }
  }
}

const ROUNDS = 8;

describe('a process that is killed', () => {
  test('[I16] at any moment: every answered write is there, over NBD and on the volume, others are whole or not there', async () => {
    const source = make({ ringBytes: 4 * MIB, windowBytes: MIB });
    const random = new Prng(11);
    const writer = new Writer(random, 0);
    await source.start();
    // Something that no crash may touch.
    const kept = ['--bs=4k', '--size=4m', '--offset=16m', '--iodepth=16'];
    await client(fio(source.uri(), '--rw=randwrite', '--do_verify=0', ...kept));
    for (let round = 0; round < ROUNDS; round++) {
      const nbd = await source.client();
      const before = writer.writes;
      const running = writer.run(nbd, 32);
      await eventually('a write is answered', SOON_MS, () => writer.writes > before);
      await sleep(30 + random.below(400));
      await source.kill();
      await running;
      await source.start();
      const reader = await source.client();
      writer.check(await reader.read(0, SLOTS * BLOCK), `round ${round}, over NBD`);
      reader.close();
      if (round % 4 !== 3) continue;
      expect(await source.stop()).toBe(0);
      const content = readFileSync(source.volumes[0] ?? '').subarray(0, SLOTS * BLOCK);
      writer.check(Buffer.from(Uint8Array.from(content).buffer), `round ${round}, on the volume`);
      await source.start();
    }
    await client(fio(source.uri(), '--rw=randread', '--verify_only', ...kept));
    expect(writer.writes).toBeGreaterThan(500);
  });

  test('while it brings to the volume what a crash had left: killed again and again, it ends whole', async () => {
    const source = make({ ringBytes: 64 * MIB, windowBytes: 16 * MIB });
    const random = new Prng(12);
    const writer = new Writer(random, 0);
    await source.start();
    for (let round = 0; round < 3; round++) {
      const nbd = await source.client();
      const running = writer.run(nbd, 32);
      await sleep(500);
      await source.kill();
      await running;
      for (let again = 0; again < 3; again++) {
        await source.start();
        await sleep(random.below(20));
        await source.kill();
      }
      await source.start();
      const reader = await source.client();
      writer.check(await reader.read(0, SLOTS * BLOCK), `round ${round}`);
      reader.close();
    }
    expect(await source.stop()).toBe(0);
    const content = readFileSync(source.volumes[0] ?? '').subarray(0, SLOTS * BLOCK);
    writer.check(Buffer.from(Uint8Array.from(content).buffer), 'on the volume');
  });
});

describe('[CY8] a send volume that does not answer', () => {
  test.each(['hang', EIO] as const)(
    '(%s): writes are answered and read again, from memory and from the journal',
    async (fault) => {
      const folder = mkdtempSync(join(tmpdir(), 'stillbeat-away-'));
      const file = join(folder, 'medium');
      writeFileSync(file, '');
      truncateSync(file, 32 * MIB);
      const disk = await FaultDisk.over({ directory: folder } as Lab, file);
      const source = make({ ringBytes: 64 * MIB, windowBytes: 4 * MIB, volumePaths: [disk.path] });
      try {
        await source.start({ awayAfterMs: 300 });
        const nbd = await source.client();
        await nbd.write(0, block(200));
        await disk.fault(fault, fault);
        // Several windows of it: the older ones are in the file alone.
        for (let i = 0; i < 180; i++) await nbd.write(i * BIG, block(i));
        for (let i = 0; i < 180; i++) await nbd.write(i * BIG + 1000, block(i + 50).subarray(0, 3000));
        await nbd.flush();
        for (let i = 0; i < 180; i++) expect(isBlock(await nbd.read(i * BIG, BIG), i)).toBe(true);
        await disk.heal();
        expect(isBlock(await nbd.read(0, BIG), 0)).toBe(true);
        nbd.close();
        expect(await source.stop()).toBe(0);
        const content = readFileSync(file);
        for (let i = 0; i < 180; i++) expect(isBlock(content.subarray(i * BIG, (i + 1) * BIG), i)).toBe(true);
      } finally {
        await disk.heal();
        await source.remove();
        await disk.close();
        rmSync(folder, { recursive: true });
      }
    },
  );
});

const BIG = 128 * 1024;
const block = (value: number): Uint8Array => new Uint8Array(BIG).fill(value);

/** A block as it is with the change in its middle. */
function isBlock(found: Buffer, value: number): boolean {
  const wanted = block(value);
  wanted.fill(value + 50, 1000, 4000);
  return Buffer.compare(found, wanted) === 0;
}
