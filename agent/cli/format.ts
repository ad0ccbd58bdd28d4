/** `stillbeat format VOLUME --cluster NAME --nodes a,b`: makes a volume. */
import { randomBytes } from 'node:crypto';
import { parseArgs } from 'node:util';
import { AgentError } from '../base/errors.ts';
import { BlockDevice } from '../platform/block-device.ts';
import { alignedMemory } from '../platform/memory.ts';
import { BLOCK_BYTES, FORMAT_VERSION, HEAD_TABLE_OFFSET, SLOTS_OFFSET } from '../volume/layout.ts';
import { encodeSuperblock, slotBytesFor } from '../volume/superblock.ts';

export async function format(argv: string[]): Promise<number> {
  const options = { cluster: { type: 'string' }, nodes: { type: 'string' }, size: { type: 'string' }, force: { type: 'boolean' }, json: { type: 'boolean' } } as const;
  const { values, positionals } = parseArgs({ args: argv, options, allowPositionals: true });
  const [volume] = positionals;
  if (volume === undefined || values.cluster === undefined || values.nodes === undefined) throw new AgentError('usage', 'stillbeat format needs VOLUME, --cluster and --nodes');
  const nodes = values.nodes.split(',');
  const device = BlockDevice.open(volume);
  const slotBytes = slotBytesFor(device.bytes, nodes.length);
  const memory = new Uint8Array(alignedMemory(SLOTS_OFFSET)).subarray(0, SLOTS_OFFSET);
  device.write(0, memory);
  const sb = { version: FORMAT_VERSION, clusterUuid: new Uint8Array(randomBytes(16)), clusterName: values.cluster, createdWallMs: Date.now(), volumeBytes: SLOTS_OFFSET + slotBytes * nodes.length, slotBytes, slotCount: nodes.length, sectorBytes: device.sectorBytes, revision: 1, nodes };
  for (const copy of [0, 1]) {
    memory.set(encodeSuperblock(sb, copy));
    device.write(copy * BLOCK_BYTES, memory.subarray(0, BLOCK_BYTES));
  }
  void HEAD_TABLE_OFFSET;
  device.close();
  return 0;
}
