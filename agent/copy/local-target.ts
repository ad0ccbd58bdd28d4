/** What a volume must be to be copied to: large enough, empty or a copy already, and nobody else's. */
import { sameBytes } from '../base/bytes.ts';
import { AgentError } from '../base/errors.ts';
import { BlockDevice } from '../platform/block-device.ts';
import { alignedMemory } from '../platform/memory.ts';
import type { SlotGeometry } from '../volume/disk.ts';
import { BLOCK_BYTES } from '../volume/layout.ts';
import { chooseSuperblock } from '../volume/superblock.ts';

/** File systems and partition tables begin within it; a volume's second superblock too. */
const LOOK_BYTES = 128 * 1024;

export interface SentVolume {
  readonly path: string;
  readonly identity: string;
  readonly cluster: string;
  readonly volumeBytes: number;
}

/** Opens it and locks our slot on it. Throws an AgentError that says what to do. */
export function openTarget(path: string, sent: SentVolume, geometry: SlotGeometry): BlockDevice {
  const device = BlockDevice.open(path);
  try {
    examineTarget(device, sent);
    if (device.lock(geometry.slotOffset, geometry.slotBytes) < 0) {
      const what = `volume ${path} is copied to by another process of this host`;
      throw new AgentError('taken', `${what}: stop that one, or name another volume in storage.local.volume`);
    }
    return device;
  } catch (error) {
    device.close();
    throw error;
  }
}

/** Throws like {@link openTarget}; changes nothing. */
export function examineTarget(device: BlockDevice, sent: SentVolume): void {
  const is = `volume ${device.path}, which the send volume is copied to,`;
  if (device.identity === sent.identity) {
    throw new AgentError('volume', `${is} is the send volume ${sent.path} by another path: name another one`);
  }
  if (device.bytes < sent.volumeBytes) {
    const figures = `${device.bytes} bytes, the send volume has ${sent.volumeBytes}`;
    throw new AgentError('volume', `${is} is too small (${figures}): make it as large`);
  }
  examineContent(device, sent.cluster, is);
}

/** Refuses a volume that holds what would be destroyed; `is`: how the refusal begins. */
export function examineContent(device: BlockDevice, cluster: string, is: string): void {
  const bytes = new Uint8Array(alignedMemory(LOOK_BYTES)).subarray(0, LOOK_BYTES);
  if (device.read(0, bytes) !== LOOK_BYTES) {
    throw new AgentError('volume', `${is} cannot be read: see dmesg, the storage is at fault`);
  }
  const chosen = chooseSuperblock([bytes.slice(0, BLOCK_BYTES), bytes.slice(BLOCK_BYTES, 2 * BLOCK_BYTES)]);
  if (chosen.ok) {
    const { clusterName } = chosen.superblock;
    if (clusterName === cluster) return;
    throw new AgentError('volume', `${is} belongs to cluster ${clusterName}: name another one, or wipe it (wipefs -a)`);
  }
  if (chosen.fault === 'absent' && !sameBytes(bytes, 0, new Uint8Array(LOOK_BYTES), 0, LOOK_BYTES)) {
    throw new AgentError('volume', `${is} holds something else: name another one, or wipe its first 128 KiB`);
  }
}
