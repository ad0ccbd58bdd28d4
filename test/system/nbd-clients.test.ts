/**
 * The NBD server under the clients that people use: libnbd's tools, QEMU's, fio and nbdfuse with a file system, over TCP,
 * Unix sockets and TLS.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, describe, expect, test } from 'vitest';
import { run, tool, TOOL_PATH } from '../../agent/demo/shell.ts';
import { FileVolume } from '../../agent/nbd/file-volume.ts';
import type { ServedVolume } from '../../agent/nbd/volume.ts';
import { shareMounts } from '../support/shared-mount.ts';
import { until } from '../support/until.ts';
import { client, emptyFile, failing, NbdBed, patchyFile, PskFile, WAYS } from './nbd-bed.ts';
import { OutOfOrderVolume } from './nbd-slow-volume.ts';

const MIB = 1024 * 1024;
const folder = mkdtempSync(join(tmpdir(), 'stillbeat-nbd-clients-'));
afterAll(() => rmSync(folder, { recursive: true }));

let files = 0;
const fresh = (bytes: number) => emptyFile(join(folder, `volume-${files++}`), bytes);
const volumeOf = (path: string, options: { name?: string; readOnly?: boolean } = {}) =>
  FileVolume.open({ name: options.name ?? 'data', path, readOnly: options.readOnly ?? false });

async function withBed(
  way: (typeof WAYS)[number],
  volumes: readonly ServedVolume[],
  use: (bed: NbdBed) => Promise<void>,
) {
  const bed = await NbdBed.open(way, volumes);
  try {
    await use(bed);
    // An orderly client leaves no line behind.
    expect(bed.lines).toEqual([]);
  } finally {
    await bed.close();
  }
}

const sameContent = (a: string, b: string) => readFileSync(a).equals(readFileSync(b));

describe.each(WAYS)('over %s', (way) => {
  test('nbdinfo sees the volumes, what they can do, and where their holes are', async () => {
    const path = fresh(8 * MIB);
    await withBed(way, [volumeOf(path), volumeOf(fresh(MIB), { name: 'copy', readOnly: true })], async (bed) => {
      const list = JSON.parse(await client(['nbdinfo', '--list', '--json', bed.uri('')])) as {
        exports: Record<string, unknown>[];
      };
      expect(list.exports.map((found) => found['export-name'])).toEqual(['data', 'copy']);
      expect(list.exports[0]).toMatchObject({
        'export-size': 8 * MIB,
        description: path,
        is_read_only: false,
        can_multi_conn: true,
        can_flush: true,
        can_fua: true,
        can_trim: true,
        can_zero: true,
        can_fast_zero: true,
        can_df: true,
        can_cache: true,
        block_size_minimum: 1,
        block_size_preferred: 4096,
        block_size_maximum: 32 * MIB,
      });
      expect(list.exports[1]).toMatchObject({ is_read_only: true, can_trim: false, can_zero: false });
      const sparse = emptyFile(join(folder, 'sparse'), 8 * MIB);
      const descriptor = openSync(sparse, 'r+');
      writeSync(descriptor, Buffer.alloc(65_536, 1), 0, 65_536, MIB);
      closeSync(descriptor);
      await client(['nbdcopy', sparse, bed.uri()]);
      const map = JSON.parse(await client(['nbdinfo', '--map', '--json', bed.uri()])) as unknown[];
      expect(map).toEqual([
        { offset: 0, length: MIB, type: 3, description: 'hole,zero' },
        { offset: MIB, length: 65_536, type: 0, description: 'data' },
        { offset: MIB + 65_536, length: 7 * MIB - 65_536, type: 3, description: 'hole,zero' },
      ]);
    });
  });

  test('nbdcopy brings a volume of an odd size there and back', async () => {
    const original = patchyFile(join(folder, `original-${way}`), 24 * MIB + 513, 7);
    const path = fresh(24 * MIB + 513);
    const back = join(folder, `back-${way}`);
    await withBed(way, [volumeOf(path)], async (bed) => {
      await client(['nbdcopy', '--flush', original, bed.uri()]);
      expect(sameContent(original, path)).toBe(true);
      await client(['nbdcopy', '--connections=4', bed.uri(), back]);
      expect(sameContent(original, back)).toBe(true);
    });
  });

  // fio takes no key file; over TLS nbdcopy above uses several connections.
  if (way === 'tls') return;
  test('fio reads what it wrote, over several connections', async () => {
    await withBed(way, [volumeOf(fresh(64 * MIB))], async (bed) => void (await client(verifyJob(bed.uri()))));
  });
});

function verifyJob(uri: string): string[] {
  const work = ['--rw=randrw', '--bsrange=512-128k', '--bs_unaligned', '--iodepth=16', '--numjobs=4'];
  const where = ['--size=16M', '--offset_increment=16M', '--randseed=11'];
  const check = ['--verify=crc32c', '--verify_fatal=1', '--verify_state_save=0', '--do_verify=1', '--fsync=64'];
  return ['fio', '--name=verify', '--ioengine=nbd', `--uri=${uri}`, ...work, ...where, ...check];
}

/** The volume as a file that nbdfuse shows while `use` runs. */
async function throughFuse(bed: NbdBed, use: (disk: string) => Promise<void>): Promise<void> {
  const fuse = mkdtempSync(join(folder, 'fuse-'));
  const disk = join(fuse, 'disk');
  const child = spawn('nbdfuse', [disk, bed.uri()], {
    stdio: 'ignore',
    env: { ...process.env, PATH: TOOL_PATH },
  });
  const gone = once(child, 'exit');
  try {
    await until('nbdfuse shows the volume', () => existsSync(disk), 10_000);
    await use(disk);
  } finally {
    await unmountFuse(fuse);
    await gone;
  }
}

/** A loop device lets go of its file some time after its file system was unmounted. */
async function unmountFuse(fuse: string): Promise<void> {
  const end = performance.now() + 30_000;
  for (;;) {
    const { status, stderr } = await run(['fusermount3', '-u', fuse], { timeoutMs: 30_000 });
    if (status === 0) return;
    if (!stderr.includes('busy') || performance.now() > end) throw new Error(`${fuse} stays mounted: ${stderr}`);
    await delay(50);
  }
}

describe('a volume that answers late and out of order', () => {
  test('is read as it was written all the same', async () => {
    const volume = new OutOfOrderVolume(volumeOf(fresh(64 * MIB)));
    await withBed('tcp', [volume], async (bed) => {
      await client(verifyJob(bed.uri()));
      expect(volume.mostAtOnce).toBeGreaterThan(8);
    });
  });
});

describe('QEMU', () => {
  const each = (commands: readonly string[]) => commands.flatMap((command) => ['-c', command]);
  const io = (uri: string, ...commands: string[]) => ['qemu-io', '-f', 'raw', '-d', 'unmap', ...each(commands), uri];

  test('qemu-io finds its patterns, zeroes, and what it discarded', async () => {
    const path = fresh(16 * MIB);
    await withBed('unix', [volumeOf(path)], async (bed) => {
      const said = await client(
        io(
          bed.uri(),
          'write -P 0x11 0 4M',
          'write -P 0x22 1000k 3k',
          'write -f -P 0x33 2M 512',
          'write -z 3M 100k',
          'write -z -u 3500k 64k',
          'discard 8M 1M',
          'aio_write -P 0x44 5M 1M',
          'aio_write -P 0x55 6M 1M',
          'aio_flush',
          'flush',
          'read -P 0x11 0 1000k',
          'read -P 0x22 1000k 3k',
          'read -P 0x33 2M 512',
          'read -P 0x11 2097664 1k',
          'read -P 0 3M 100k',
          'read -P 0 3500k 64k',
          'read -P 0x44 5M 1M',
          'read -P 0x55 6M 1M',
        ),
      );
      expect(said).not.toMatch(/fail|error/i);
    });
    const file = readFileSync(path);
    expect([2 * MIB - 1, 2 * MIB, 2 * MIB + 511, 2 * MIB + 512].map((at) => file[at])).toEqual([
      0x11, 0x33, 0x33, 0x11,
    ]);
  });

  test('a request beyond the end and one that writes a read-only volume fail, and the volume stays', async () => {
    const path = patchyFile(join(folder, 'kept'), MIB, 3);
    const before = readFileSync(path);
    await withBed('tcp', [volumeOf(path, { readOnly: true })], async (bed) => {
      expect(await failing(io(bed.uri(), 'write 0 4k'))).toMatch(/read-only|not permitted|denied/i);
      expect(await client(['qemu-io', '-r', '-f', 'raw', '-c', 'read 0 1M', bed.uri()])).toContain(
        'read 1048576/1048576',
      );
    });
    expect(readFileSync(path).equals(before)).toBe(true);
  });

  test('qemu-io does so over TLS', async () => {
    await withBed('tls', [volumeOf(fresh(4 * MIB))], async (bed) => {
      renameSync(bed.keyFile, join(bed.folder, 'keys.psk'));
      const key = `tls-creds-psk,id=key,endpoint=client,username=alice,dir=${bed.folder}`;
      const disk = `driver=nbd,host=127.0.0.1,port=${bed.server.port},export=data,tls-creds=key`;
      const commands = each(['write -P 0x66 1M 2M', 'flush', 'read -P 0x66 1M 2M', 'read -P 0 0 1M']);
      const said = await client(['qemu-io', '--object', key, '--image-opts', ...commands, disk]);
      expect(said).not.toMatch(/fail|error/i);
    });
  });

  test('qemu-img tells, converts, compares and maps', async () => {
    const original = patchyFile(join(folder, 'image'), 16 * MIB, 5);
    const packed = join(folder, 'image.qcow2');
    await client(['qemu-img', 'convert', '-f', 'raw', '-O', 'qcow2', original, packed]);
    const path = fresh(16 * MIB);
    await withBed('tcp', [volumeOf(path)], async (bed) => {
      const info = JSON.parse(await client(['qemu-img', 'info', '--output=json', bed.uri()])) as Record<
        string,
        unknown
      >;
      expect(info).toMatchObject({ 'virtual-size': 16 * MIB, format: 'raw' });
      await client(['qemu-img', 'convert', '-n', '-f', 'qcow2', '-O', 'raw', packed, bed.uri()]);
      expect(sameContent(original, path)).toBe(true);
      expect(await client(['qemu-img', 'compare', '-f', 'raw', '-F', 'raw', original, bed.uri()])).toContain(
        'identical',
      );
      const map = JSON.parse(await client(['qemu-img', 'map', '--output=json', '-f', 'raw', bed.uri()])) as {
        start: number;
        length: number;
        zero: boolean;
      }[];
      // Where the map says zero, there is nothing: to trust it must never lose data.
      const content = readFileSync(original);
      for (const { start, length, zero } of map) {
        if (zero) expect(content.subarray(start, start + length).every((byte) => byte === 0)).toBe(true);
      }
      expect(map.some(({ zero }) => zero)).toBe(true);
    });
  });
});

describe('TLS', () => {
  test('a client without the key, with another one, or in the clear gets nothing', async () => {
    const bed = await NbdBed.open('tls', [volumeOf(fresh(MIB))]);
    const other = join(folder, 'other-keys');
    new PskFile('alice').write(other);
    await failing(['nbdinfo', bed.uri('data', 'alice', other)]);
    expect(bed.lines).toEqual([expect.stringMatching(/^NBD client 127\.0\.0\.1:\d+: TLS failed \(.*\): closed$/)]);
    const stranger = join(folder, 'stranger-keys');
    new PskFile('mallory').write(stranger);
    await failing(['nbdinfo', bed.uri('data', 'mallory', stranger)]);
    expect(bed.lines).toHaveLength(2);
    const plain = bed.uri().replace('nbds://alice@', 'nbd://').replace(/\?.*/, '');
    await failing(['nbdcopy', plain, '-']);
    await failing(['nbdinfo', '--list', plain]);
    expect(await client(['nbdinfo', '--size', bed.uri()])).toBe(`${MIB}\n`);
    await bed.close();
  });
});

const WORK = [
  'for i in $(seq 200); do head -c $((i * 700)) /dev/urandom > f$i; done',
  'sha256sum f* > sums; rm f1??; sync; cp f99 again; fstrim .',
].join('; ');

describe('a file system', () => {
  test('made, mounted and worked on through nbdfuse is whole, on the client and in the volume', async () => {
    const path = fresh(64 * MIB);
    const mounted = join(folder, 'mounted');
    mkdirSync(mounted);
    const unshare = await shareMounts(folder);
    try {
      await withBed('unix', [volumeOf(path)], async (bed) => {
        await throughFuse(bed, async (disk) => {
          await client(['mkfs.ext4', '-q', '-F', disk]);
          await tool(['mount', '-o', 'loop', disk, mounted], { timeoutMs: 30_000 });
          try {
            // The server runs in this process: it must not wait for its own client's file system.
            await client(['sh', '-c', `cd ${mounted} && ${WORK}`]);
          } finally {
            await tool(['umount', mounted], { timeoutMs: 30_000 });
          }
          await client(['e2fsck', '-f', '-n', disk]);
        });
      });
    } finally {
      await unshare();
    }
    const said = await client(['e2fsck', '-f', '-n', path]);
    expect(said).not.toMatch(/fix\?|WARNING/i);
    expect(await client(['debugfs', '-R', 'cat sums', path])).toMatch(/ f99\n/);
    const copy = join(folder, 'f99');
    await client(['debugfs', '-R', `dump f99 ${copy}`, path]);
    const sums = await client(['debugfs', '-R', 'cat sums', path]);
    writeFileSync(
      join(folder, 'sums'),
      sums
        .split('\n')
        .filter((line) => line.endsWith(' f99'))
        .join('\n') + '\n',
    );
    expect(await client(['sh', '-c', `cd ${folder} && sha256sum -c sums`])).toContain('f99: OK');
  });
});
