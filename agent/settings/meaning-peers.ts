/** What must hold among the peers, and between them and this node. */
import { endpointText, familyOf, inSubnet, isEndOfSubnet, parseAddress, parseEndpoint } from './address.ts';
import { each, type Given, type PeerFile, type SettingsFile } from './given.ts';
import type { KeyPath, Problems } from './problems.ts';
import type { InterfaceAddress } from './settings.ts';

/** What is taken so far, and by whom. */
interface Taken {
  readonly names: Map<string, string>;
  readonly addresses: Map<string, string>;
  readonly endpoints: Map<string, string>;
}

/** `subnets` null: not known well enough to hold addresses against them. */
export function checkPeers(
  given: Given<SettingsFile>,
  subnets: readonly InterfaceAddress[] | null,
  problems: Problems,
): void {
  const taken: Taken = { names: new Map(), addresses: new Map(), endpoints: new Map() };
  if (given.node !== undefined) taken.names.set(given.node, 'this node');
  for (const { address } of subnets ?? []) taken.addresses.set(address, 'this node');
  const listen = parseEndpoint(given.primary?.listen ?? '');
  if (!listen.fault) taken.endpoints.set(endpointText(listen.value), 'this node');
  for (const [index, peer] of (given.peers ?? []).entries()) {
    if (peer === undefined) continue;
    const path = ['peers', index];
    const who = peer.node === undefined ? `peers[${index}]` : `peer ${peer.node}`;
    checkName(peer, path, who, taken, problems);
    checkAddresses(peer, path, who, subnets, taken, problems);
    checkEndpoint(peer, path, who, given, taken, problems);
  }
}

function checkName(peer: Given<PeerFile>, path: KeyPath, who: string, taken: Taken, problems: Problems): void {
  if (peer.node === undefined) return;
  const owner = taken.names.get(peer.node);
  if (owner === 'this node') {
    problems.add([...path, 'node'], `${peer.node} is this node's own name`, 'list only the other nodes');
  } else if (owner !== undefined) {
    problems.add([...path, 'node'], `there are two peers named ${peer.node}`, 'give each its own name');
  }
  taken.names.set(peer.node, owner ?? who);
}

function checkAddresses(
  peer: Given<PeerFile>,
  path: KeyPath,
  who: string,
  subnets: readonly InterfaceAddress[] | null,
  taken: Taken,
  problems: Problems,
): void {
  for (const { text, at } of each(peer.address)) {
    const here = [...path, 'address', ...at];
    const parsed = parseAddress(text);
    if (parsed.fault) {
      problems.add(here, parsed.fault.what, parsed.fault.mend);
      continue;
    }
    const { address, family } = parsed.value;
    const owner = taken.addresses.get(address);
    if (owner !== undefined) problems.add(here, `${address} is already the address of ${owner}`, 'give each its own');
    else if (subnets) checkSubnet(address, family, here, subnets, problems);
    taken.addresses.set(address, owner ?? who);
  }
}

function checkSubnet(
  address: string,
  family: 4 | 6,
  path: KeyPath,
  subnets: readonly InterfaceAddress[],
  problems: Problems,
): void {
  const same = subnets.filter((subnet) => subnet.family === family);
  const home = same.find((subnet) => inSubnet(address, family, subnet));
  if (home !== undefined) {
    if (isEndOfSubnet(address, home)) {
      problems.add(path, `${address} is the subnet's own or its broadcast address`, 'give the peer another address');
    }
    return;
  }
  if (same.length === 0) {
    const mend = `add one to vnic.address or remove this one`;
    problems.add(path, `${address} is IPv${family}, and vnic.address has no IPv${family} subnet`, mend);
    return;
  }
  const known = same.map((subnet) => `${subnet.address}/${subnet.prefix}`).join(', ');
  problems.add(
    path,
    `${address} is outside the virtual network (${known})`,
    'correct it or the prefix of vnic.address',
  );
}

function checkEndpoint(
  peer: Given<PeerFile>,
  path: KeyPath,
  who: string,
  given: Given<SettingsFile>,
  taken: Taken,
  problems: Problems,
): void {
  const here = [...path, 'primary'];
  const mode = given.primary?.mode;
  if (peer.primary === undefined) {
    if (mode === undefined || mode === 'none' || problems.knows(here)) return;
    const mend = `write for example primary: 192.168.50.2:7788 (the peer's primary.listen)`;
    problems.add(here, `missing, and mode ${mode} needs it`, mend);
    return;
  }
  const parsed = parseEndpoint(peer.primary);
  if (parsed.fault) {
    problems.add(here, parsed.fault.what, parsed.fault.mend);
    return;
  }
  const text = endpointText(parsed.value);
  const owner = taken.endpoints.get(text);
  if (owner !== undefined) problems.add(here, `${text} is already the endpoint of ${owner}`, 'give each its own');
  taken.endpoints.set(text, owner ?? who);
  const listen = parseEndpoint(given.primary?.listen ?? '');
  if (!listen.fault && familyOf(listen.value.host) !== familyOf(parsed.value.host)) {
    const mend = 'write both as IPv4 or both as IPv6';
    problems.add(here, `${text} is not of the same family as primary.listen (${endpointText(listen.value)})`, mend);
  }
}
