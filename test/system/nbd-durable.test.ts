/** [NBD2] What a client was told is on stable storage is there after a power cut: of a model, and of a real block device. */
import { closeSync, mkdtempSync, openSync, readSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import type { Lab } from '../../agent/demo/lab.ts';
import { tool } from '../../agent/demo/shell.ts';
import { FileVolume } from '../../agent/nbd/file-volume.ts';
import { EIO, FaultDisk } from '../support/fault-disk.ts';
import { MemoryVolume } from '../unit/nbd/memory-volume.ts';
import { client, emptyFile, failing, NbdBed } from './nbd-bed.ts';

const MIB = 1024 * 1024;
const folder = mkdtempSync(join(tmpdir(), 'stillbeat-nbd-durable-'));
afterAll(() => rmSync(folder, { recursive: true }));

const io = (bed: NbdBed, ...commands: string[]) => [
  'qemu-io',
  '-f',
  'raw',
  ...commands.flatMap((command) => ['-c', command]),
  bed.uri(),
];

describe('after a power cut', () => {
  test('what was written with FUA, or flushed, is there; what was not may be gone', async () => {
    const volume = new MemoryVolume(4 * MIB);
    const bed = await NbdBed.open('unix', [volume]);
    await client(['fio', ...fio(bed), '--offset=1M', '--size=256k', '--end_fsync=1', '--buffer_pattern=0x22']);
    // It dies: QEMU sends a flush when it closes, which would hide a FUA that was lost.
    await failing(['qemu-io', '-f', 'raw', '-c', 'write -f -P 0x11 0 64k', '-c', 'sigraise 9', bed.uri()]);
    await client(['fio', ...fio(bed), '--offset=2M', '--size=64k', '--buffer_pattern=0x33']);
    volume.cutPower();
    expect(volume.bytes.subarray(MIB, MIB + 256 * 1024).every((byte) => byte === 0x22)).toBe(true);
    expect(volume.bytes.subarray(0, 65_536).every((byte) => byte === 0x11)).toBe(true);
    // The test can tell: nobody asked for this.
    expect(volume.bytes[2 * MIB]).toBe(0);
    await bed.close();
  });
});

const fio = (bed: NbdBed) => ['--name=w', '--ioengine=nbd', `--uri=${bed.uri()}`, '--rw=write', '--bs=4k'];

/** A loop device over a file: what lies in the file has left the page cache of the device. */
async function withLoop(use: (device: string, onMedium: (offset: number) => number) => Promise<void>): Promise<void> {
  const file = emptyFile(join(folder, 'medium'), 16 * MIB);
  const device = (await tool(['losetup', '--find', '--show', file])).trim();
  const descriptor = openSync(file, 'r');
  try {
    await use(device, (offset) => {
      const byte = Buffer.alloc(1);
      readSync(descriptor, byte, 0, 1, offset);
      return byte[0] ?? 0;
    });
  } finally {
    closeSync(descriptor);
    await tool(['losetup', '--detach', device]);
  }
}

describe('a block device', () => {
  test('has on its medium what FUA and FLUSH were answered for', async () => {
    await withLoop(async (device, onMedium) => {
      const volume = FileVolume.open({ name: 'data', path: device, readOnly: false });
      expect(volume.size).toBe(16 * MIB);
      const write = async (offset: number, value: number, fua: boolean) =>
        new Promise<number>((resolve) => {
          volume.write(offset, 4096, [new Uint8Array(4096).fill(value)], fua, resolve);
        });
      expect(await write(0, 1, false)).toBe(0);
      // The kernel writes back after many seconds: this is not there yet, so the next one can be told from luck.
      expect(onMedium(0)).toBe(0);
      expect(await write(MIB, 2, true)).toBe(0);
      expect(onMedium(MIB)).toBe(2);
      expect(await write(2 * MIB, 3, false)).toBe(0);
      expect(onMedium(2 * MIB)).toBe(0);
      expect(
        await new Promise<number>((resolve) => {
          volume.flush(resolve);
        }),
      ).toBe(0);
      expect(onMedium(2 * MIB)).toBe(3);
      volume.close();
    });
  });

  test('serves zeroes, trim and status as a file does', async () => {
    await withLoop(async (device) => {
      const volume = FileVolume.open({ name: 'data', path: device, readOnly: false });
      const bed = await NbdBed.open('unix', [volume]);
      const said = await client([
        'qemu-io',
        '-f',
        'raw',
        '-d',
        'unmap',
        ...['write -P 7 0 4M', 'write -z 1M 1M', 'write -z -u 2M 64k', 'write -z 3000k 3k', 'discard 3M 64k', 'flush']
          .concat(['read -P 7 0 1M', 'read -P 0 1M 1M', 'read -P 0 2M 64k', 'read -P 0 3000k 3k', 'read -P 7 3003k 1k'])
          .flatMap((command) => ['-c', command]),
        bed.uri(),
      ]);
      expect(said).not.toMatch(/fail|error/i);
      const map = JSON.parse(await client(['nbdinfo', '--map', '--json', bed.uri()])) as { type: number }[];
      expect(map.map(({ type }) => type)).toEqual([0]);
      await bed.close();
    });
  });
});

describe('a medium that fails', () => {
  test('fails the flush, and nothing that changes it succeeds afterwards', async () => {
    const file = emptyFile(join(folder, 'failing'), 16 * MIB);
    const disk = await FaultDisk.over({ directory: folder } as Lab, file);
    const volume = FileVolume.open({ name: 'data', path: disk.path, readOnly: false });
    const bed = await NbdBed.open('unix', [volume]);
    try {
      expect(await client(io(bed, 'write -P 1 0 64k', 'flush'))).toContain('wrote 65536/65536');
      await disk.fault('none', EIO);
      expect(await failing(['qemu-io', '-f', 'raw', '-c', 'write -f -P 2 1M 64k', bed.uri()])).toMatch(/Input\/output/);
      await disk.heal();
      // The kernel has dropped what it could not write and tells nobody twice: to go on would be to lose it silently.
      expect(await failing(['qemu-io', '-f', 'raw', '-c', 'write -P 3 2M 64k', bed.uri()])).toMatch(/Input\/output/);
      await failing(['qemu-io', '-f', 'raw', '-c', 'flush', bed.uri()]);
      expect(await client(io(bed, 'read -P 1 0 64k'))).toContain('read 65536/65536');
    } finally {
      await bed.close();
      await disk.close();
    }
  });
});
