/**
 * A process that is many simulated nodes (`simulated-node.ts`): its one argument is a CrowdRole as JSON. Says `ready` on
 * stdout when all have begun, and ends when its stdin does.
 */
import { VNET_HEADER_BYTES } from '../../vnic/device.ts';
import { BlockDevice } from '../platform/block-device.ts';
import { alignedMemory } from '../platform/memory.ts';
import { loadSettings } from '../settings/load.ts';
import { BLOCK_BYTES, HEAD_TABLE_OFFSET } from '../volume/layout.ts';
import { readSuperblock } from '../volumes.ts';
import type { CrowdRole } from './crowd.ts';
import { SimulatedNode } from './simulated-node.ts';

/** Well below the interval of probes, and often enough to let beacons come in time. */
const TURN_MS = 20;
const HEADS_MS = 50;
const FRAME_BYTES = 84;
const IPV4_20_BYTES = 0x45;

/** A packet that the receiver's kernel takes from the interface and then throws away, for it has no checksum. */
function deafFrame(): Uint8Array {
  const frame = new Uint8Array(VNET_HEADER_BYTES + FRAME_BYTES);
  frame[VNET_HEADER_BYTES] = IPV4_20_BYTES;
  frame[VNET_HEADER_BYTES + 3] = FRAME_BYTES;
  return frame;
}

async function run({ settingsFiles, sending, perSecond }: CrowdRole): Promise<void> {
  const [first = ''] = settingsFiles;
  const device = BlockDevice.open(loadSettings(first).storage.sendVolume, { readOnly: true });
  const { slotCount } = readSuperblock(device);
  const table = new Uint8Array(alignedMemory(slotCount * BLOCK_BYTES)).subarray(0, slotCount * BLOCK_BYTES);
  const nodes: SimulatedNode[] = [];
  for (const file of settingsFiles) nodes.push(await SimulatedNode.open(loadSettings(file), table, deafFrame()));
  setInterval(() => {
    if (device.read(HEAD_TABLE_OFFSET, table) === table.length) for (const node of nodes) node.seeHeads();
  }, HEADS_MS);
  setInterval(() => {
    for (const node of nodes) node.turn();
  }, TURN_MS);
  nodes.slice(0, sending).forEach((node, i) => {
    // Not all in the same moment.
    setTimeout(() => setInterval(() => node.send(), 1000 / perSecond), (i * 1000) / perSecond / sending);
  });
  process.stdout.write('ready\n');
  process.stdin.resume().on('end', () => process.exit(0));
}

await run(JSON.parse(process.argv[2] ?? '{}') as CrowdRole);
