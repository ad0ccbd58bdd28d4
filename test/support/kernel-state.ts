/** What a node's kernel knows of routing: to hold before against after, and to see where packets would go. */
import type { Lab } from '../../agent/demo/lab.ts';

const LOOKS: readonly (readonly string[])[] = [
  ['ip', 'rule', 'show'],
  ['ip', '-6', 'rule', 'show'],
  ['ip', 'route', 'show', 'table', 'all'],
  ['ip', '-6', 'route', 'show', 'table', 'all'],
  ['nft', 'list', 'ruleset'],
  ['sysctl', '-a', '--pattern', String.raw`^net\.(ipv4|ipv6)\.(conf|route)\.`],
];

/** Rules, routes of all tables, filters and settings, as text. */
export async function kernelState(lab: Lab, node: string): Promise<string> {
  const said = await Promise.all(LOOKS.map(async (argv) => (await lab.exec(node, argv)).stdout));
  // The order of IPv6 routes in the table "all" is that of a hash.
  return said.map((text) => text.split('\n').toSorted().join('\n')).join('\n');
}

/** Numbers of protocols, as IANA gives them. */
export const TCP = 6;
export const UDP = 17;

/** The interface by which a packet to this address and port would leave; by number, for not every host has names for protocols. */
export async function wayOf(lab: Lab, node: string, address: string, port: number, protocol = TCP): Promise<string> {
  const what = ['ipproto', String(protocol), 'dport', String(port)];
  const { stdout } = await lab.exec(node, ['ip', '-json', 'route', 'get', address, ...what]);
  return (JSON.parse(stdout === '' ? '[]' : stdout) as { dev?: string }[])[0]?.dev ?? 'none';
}

/** Bytes that have left by an interface. */
export async function sentBytes(lab: Lab, node: string, name: string): Promise<number> {
  const { stdout } = await lab.exec(node, ['ip', '-json', '-stats', 'link', 'show', 'dev', name]);
  return (JSON.parse(stdout) as { stats64: { tx: { bytes: number } } }[])[0]?.stats64.tx.bytes ?? 0;
}
