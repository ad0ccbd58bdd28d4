/** A formatted file volume with its nodes' writers, for tests that look at it from outside. Everything by production code. */
import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { formatVolume } from '../../agent/cli/format-volume.ts';
import { BlockDevice } from '../../agent/platform/block-device.ts';
import { newKeyText } from '../../agent/settings/key.ts';
import type { HeadEntry } from '../../agent/volume/head.ts';
import { SLOTS_OFFSET } from '../../agent/volume/layout.ts';
import { incarnationOf, TestWriter } from './volume.ts';

export class VolumeFile {
  readonly folder: string;
  readonly path: string;
  readonly keyFile: string;
  readonly device: BlockDevice;
  readonly clusterUuid: Uint8Array;
  readonly slotBytes: number;
  readonly writers: readonly TestWriter[];

  private constructor(folder: string, uuid: string, slotBytes: number, key: Uint8Array | null) {
    this.folder = folder;
    this.path = join(folder, 'volume');
    this.keyFile = join(folder, 'key');
    this.slotBytes = slotBytes;
    this.device = BlockDevice.open(this.path);
    this.clusterUuid = Uint8Array.from(Buffer.from(uuid.replaceAll('-', ''), 'hex'));
    const { clusterUuid } = this;
    this.writers = [0, 1].map((slot) => {
      const writer = new TestWriter(this.device, {
        slot,
        slotBytes,
        key,
        clusterUuid,
        incarnation: incarnationOf(slot + 1),
      });
      writer.wallUs += slot * 500; // so that the nodes' batches alternate in time
      return writer;
    });
  }

  /** Nodes a and b; `key`: the content of `keyFile`, or null for a volume without one. */
  static async make(key: Uint8Array | null, sizeBytes: number = 9 * 2 ** 20): Promise<VolumeFile> {
    const folder = mkdtempSync(join(tmpdir(), 'stillbeat-volume-'));
    const request = {
      path: join(folder, 'volume'),
      cluster: 'lab',
      nodes: ['a', 'b'],
      sizeBytes,
      force: false,
    };
    const { uuid, slotBytes } = await formatVolume(request);
    writeFileSync(join(folder, 'key'), newKeyText(key ?? new Uint8Array(32)), { mode: 0o600 });
    return new VolumeFile(folder, uuid, slotBytes, key);
  }

  writer(slot: number): TestWriter {
    const writer = this.writers[slot];
    if (!writer) throw new RangeError(`no writer for slot ${slot}`);
    return writer;
  }

  /** What the writer of a head says to its peer in `peer`, whose incarnation is that of the writer made here. */
  entry(peer: number, fields: Partial<HeadEntry> = {}): HeadEntry {
    const cursors = { nextData: 5, nextBulk: 6, floorHeartbeat: 7, floorData: 8, floorBulk: 9, readPosition: 4096 };
    const echo = { echoIncarnation: incarnationOf(peer + 1), echoMonotonicUs: 1, echoDelayUs: 2 };
    return { peerIndex: peer, flags: 0b11111, path: 2, ...cursors, ...echo, ...fields };
  }

  /** Byte of the volume at which a slot's ring position lies. */
  offset(slot: number, position: number): number {
    return SLOTS_OFFSET + slot * this.slotBytes + (position % this.slotBytes);
  }

  /** Inverts a byte: a fixed value could be what stands there already. */
  damage(offset: number): void {
    const fd = openSync(this.path, 'r+');
    const byte = new Uint8Array(1);
    readSync(fd, byte, 0, 1, offset);
    writeSync(fd, Uint8Array.of(~(byte[0] ?? 0)), 0, 1, offset);
    closeSync(fd);
  }

  remove(): void {
    this.device.close();
    rmSync(this.folder, { recursive: true });
  }
}
