/** From settings and volumes to the writer of this node's slot: the same for the flush thread and whoever plays one. */
import { ipBytes } from '../../vnic/ip-address.ts';
import { clusterKeys, slotGeometry, volumeSeals, type ThreadContext } from '../threads.ts';
import type { Disk } from '../volume/disk.ts';
import { SlotWriter } from '../volume/slot-writer.ts';

/** `blocks`: page-aligned, at least {@link SlotWriter.memoryBytes}. `pid`: what our head block says. */
export function slotWriter(context: ThreadContext, disk: Disk, blocks: Uint8Array, pid: number): SlotWriter {
  const { send, settings, incarnation, hostId } = context;
  const keys = clusterKeys(context);
  const identity = {
    nodeIndex: send.ownTenant,
    clusterUuid: send.clusterUuid,
    incarnation,
    hostId,
    pid,
    sealed: keys !== null,
    addresses: settings.vnic.addresses.map(({ address }) => ipBytes(address)),
  };
  const geometry = slotGeometry(send, send.ownTenant);
  const state = new Float64Array(context.memory.writer);
  return new SlotWriter(disk, geometry, identity, volumeSeals(keys, send.clusterUuid), state, blocks);
}
