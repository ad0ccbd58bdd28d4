/** The raw limits: what the device and the kernel's network do without us, measured in the same run. */
import { AgentError } from '../base/errors.ts';
import type { Lab } from '../demo/lab.ts';
import { BlockDevice } from '../platform/block-device.ts';
import { systemClock } from '../platform/clock.ts';
import { alignedMemory } from '../platform/memory.ts';

const BLOCK_BYTES = 4096;
const ROUNDS = 3000;

/** Times, in ms, of a write of 4 KiB and a read of it, around the page cache, done twice: a ping there and back. */
export function storageRoundTrips(path: string): number[] {
  const device = BlockDevice.open(path);
  const memory = new Uint8Array(alignedMemory(BLOCK_BYTES)).subarray(0, BLOCK_BYTES);
  const samples: number[] = [];
  const blocks = Math.floor(device.bytes / BLOCK_BYTES / 2);
  for (let i = 0; i < ROUNDS; i++) {
    const began = systemClock.monotonicMs();
    for (let way = 0; way < 2; way++) {
      const offset = (blocks + ((2 * i + way) % blocks)) * BLOCK_BYTES;
      device.write(offset, memory);
      device.read(offset, memory);
    }
    samples.push(systemClock.monotonicMs() - began);
  }
  device.close();
  return samples;
}

const RAW = { interface: 'raw0', prefix: '192.168.51' } as const;

/** A veth pair straight between the nodes, without switch or agent; it goes with their namespaces. */
export async function layRawVeth(lab: Lab): Promise<void> {
  const [a = '', b = ''] = lab.nodes;
  const must = async (node: string, argv: string[]) => {
    const done = await lab.exec(node, argv);
    if (done.status !== 0) throw new AgentError('failed', `${argv.join(' ')}: ${done.stderr.trim()}`);
  };
  const peer = lab.network.namespace(b);
  await must(a, ['ip', 'link', 'add', RAW.interface, 'type', 'veth', 'peer', 'name', RAW.interface, 'netns', peer]);
  for (const [i, node] of [a, b].entries()) {
    await must(node, ['ip', 'address', 'add', `${RAW.prefix}.${i + 1}/24`, 'dev', RAW.interface]);
    await must(node, ['ip', 'link', 'set', RAW.interface, 'up']);
  }
}

export const rawAddress = (index: number): string => `${RAW.prefix}.${index + 1}`;

export interface Ends {
  readonly from: string;
  readonly to: string;
}

/** One TCP stream by iperf3 to `address`, from the first node to the second unless said; Gbit/s as received. `more`: of its options. */
export async function iperf(
  lab: Lab,
  address: string,
  seconds: number,
  ends?: Ends,
  more: readonly string[] = [],
): Promise<number> {
  const { from: a, to: b } = ends ?? { from: lab.nodes[0] ?? '', to: lab.nodes[1] ?? '' };
  const server = lab.spawn(b, ['iperf3', '-s', '-1', '-B', address], { stdio: ['ignore', 'pipe', 'pipe'] });
  await listening(lab, b, address);
  const args = ['iperf3', '-c', address, '-t', String(seconds), '-O', '1', '-J', ...more];
  const client = await lab.exec(a, args, { timeoutMs: (seconds + 20) * 1000 });
  server.kill('SIGKILL');
  const text = client.stdout.slice(client.stdout.indexOf('{'));
  try {
    const document = JSON.parse(text) as { end: { sum_received: { bits_per_second: number } } };
    return document.end.sum_received.bits_per_second / 1e9;
  } catch {
    throw new AgentError('failed', `iperf3 to ${address}: ${client.stderr.trim() || text.slice(0, 200)}`);
  }
}

/** Resolves when iperf3 listens there. */
export async function listening(lab: Lab, node: string, address: string): Promise<void> {
  const deadline = systemClock.monotonicMs() + 5000;
  while (systemClock.monotonicMs() < deadline) {
    const { stdout } = await lab.exec(node, ['ss', '-Htln', 'sport', '=', ':5201']);
    if (stdout.includes(address)) return;
  }
  throw new AgentError('failed', `iperf3 does not listen on ${address} in node ${node}`);
}
