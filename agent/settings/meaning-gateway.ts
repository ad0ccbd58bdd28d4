/** What must hold between `gateway` and the rest of the settings. */
import { inSubnet, parseAddress, parsePrefix } from './address.ts';
import type { Given, SettingsFile } from './given.ts';
import type { Problems } from './problems.ts';
import type { InterfaceAddress } from './settings.ts';

/** `subnets` null: not known well enough to hold addresses against them. */
export function checkGateway(
  given: Given<SettingsFile>,
  subnets: readonly InterfaceAddress[] | null,
  problems: Problems,
): void {
  checkUplink(given, problems);
  checkUse(given, problems);
  checkPrefixes(given, subnets, problems);
  checkPing(given, subnets, problems);
}

function checkUplink(given: Given<SettingsFile>, problems: Problems): void {
  const { offer, uplink, use } = given.gateway ?? {};
  const path = ['gateway', 'uplink'];
  if (uplink !== undefined && uplink === given.vnic?.name) {
    problems.add(path, `${uplink} is the virtual interface`, 'name the interface that leads outside, such as eth0');
  }
  if (uplink !== undefined || problems.knows(path)) return;
  if (offer === true) problems.add(path, 'missing, and offer needs it', 'write for example uplink: eth0');
  else if ((use ?? []).length > 0 && given.primary?.interface === undefined) {
    const mend = 'write for example uplink: eth0 (the interface whose loss makes this node use a gateway)';
    problems.add(path, 'missing, and use needs it where primary.interface is not set', mend);
  }
}

function checkUse(given: Given<SettingsFile>, problems: Problems): void {
  const known = (given.peers ?? []).flatMap((peer) => peer?.node ?? []);
  const all = given.peers !== undefined && known.length === given.peers.length;
  const seen = new Set<string>();
  for (const [index, name] of (given.gateway?.use ?? []).entries()) {
    if (name === undefined) continue;
    const path = ['gateway', 'use', index];
    if (name === given.node) problems.add(path, `${name} is this node itself`, 'list only other nodes');
    else if (all && !known.includes(name)) {
      problems.add(path, `there is no peer ${name}`, `use one of: ${known.join(', ')}`);
    } else if (seen.has(name)) problems.add(path, `${name} is there twice`, 'remove one of them');
    seen.add(name);
  }
}

function checkPrefixes(
  given: Given<SettingsFile>,
  subnets: readonly InterfaceAddress[] | null,
  problems: Problems,
): void {
  const { offer, use } = given.gateway ?? {};
  // The default prefix is of IPv4; where nobody uses it, it may stand beside IPv6 addresses alone.
  const isUsed = offer === true || (use ?? []).length > 0;
  const seen = new Set<string>();
  for (const [index, text] of (given.gateway?.prefixes ?? []).entries()) {
    if (text === undefined) continue;
    const path = ['gateway', 'prefixes', index];
    const parsed = parsePrefix(text);
    if (parsed.fault) {
      problems.add(path, parsed.fault.what, parsed.fault.mend);
      continue;
    }
    const { address, prefix, family } = parsed.value;
    const key = `${address}/${prefix}`;
    const home = subnets?.find((subnet) => prefix >= subnet.prefix && inSubnet(address, family, subnet));
    if (seen.has(key)) problems.add(path, `${key} is there twice`, 'remove one of them');
    else if (home) {
      const what = `${key} lies inside the virtual network (${home.address}/${home.prefix})`;
      problems.add(path, what, 'name only what is outside: peers are reached without a gateway');
    } else if (isUsed && subnets && subnets.every((subnet) => subnet.family !== family)) {
      const what = `${key} is IPv${family}, and vnic.address has no IPv${family} address to send from`;
      problems.add(path, what, 'add one to vnic.address or remove this one');
    }
    seen.add(key);
  }
}

function checkPing(given: Given<SettingsFile>, subnets: readonly InterfaceAddress[] | null, problems: Problems): void {
  for (const [index, text] of (given.gateway?.ping ?? []).entries()) {
    if (text === undefined) continue;
    const path = ['gateway', 'ping', index];
    const parsed = parseAddress(text);
    if (parsed.fault) problems.add(path, parsed.fault.what, parsed.fault.mend);
    else if (subnets?.some((subnet) => inSubnet(parsed.value.address, parsed.value.family, subnet))) {
      const what = `${parsed.value.address} lies inside the virtual network, which is reached without the own network`;
      problems.add(path, what, 'name an address outside');
    }
  }
}
