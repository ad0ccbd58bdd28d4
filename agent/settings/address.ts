/**
 * Addresses as the settings write them. Addresses come back in their one canonical form, so that two spellings of
 * one IPv6 address are equal texts. Names are not accepted where packets go: they cannot be looked up in a cut network.
 */
import { BlockList, isIP, SocketAddress } from 'node:net';
import type { Endpoint, InterfaceAddress } from './settings.ts';

/** What is wrong with a text, and what to do about it. */
export interface Fault {
  readonly what: string;
  readonly mend: string;
}

export type Parsed<T> = { readonly value: T; readonly fault?: never } | { readonly fault: Fault };

const fault = (what: string, mend: string): { fault: Fault } => ({ fault: { what, mend } });

const familyName = (family: 4 | 6): 'ipv4' | 'ipv6' => (family === 4 ? 'ipv4' : 'ipv6');

/** Of a canonical address: nobody but this host reaches it. */
export const isLoopback = (host: string): boolean => host === '::1' || host.startsWith('127.');

/** 4 or 6, 0 for anything else; an address with a zone (fe80::1%eth0) is something else. */
export const familyOf = (text: string): 0 | 4 | 6 => (text.includes('%') ? 0 : (isIP(text) as 0 | 4 | 6));

/** The canonical text of a valid address. */
function canonical(address: string, family: 4 | 6): string {
  return new SocketAddress({ address, family: familyName(family) }).address;
}

/** What no host can have as its address. */
const unusable = new BlockList();
unusable.addSubnet('0.0.0.0', 8, 'ipv4');
unusable.addSubnet('127.0.0.0', 8, 'ipv4');
unusable.addSubnet('224.0.0.0', 3, 'ipv4');
unusable.addAddress('::', 'ipv6');
unusable.addAddress('::1', 'ipv6');
unusable.addSubnet('ff00::', 8, 'ipv6');

/** A host's address without prefix, such as 10.77.0.2. */
export function parseAddress(text: string): Parsed<{ address: string; family: 4 | 6 }> {
  const family = familyOf(text);
  if (family === 0) {
    const slash = text.indexOf('/');
    if (slash > 0 && familyOf(text.slice(0, slash)) !== 0) {
      return fault(`${JSON.stringify(text)} has a prefix length`, `write ${text.slice(0, slash)}`);
    }
    return fault(`${JSON.stringify(text)} is not an IP address`, 'write an address such as 10.77.0.2 or fd77::2');
  }
  const address = canonical(text, family);
  // IPv4 in IPv6 clothes is no address of an interface. (As a rule of the list it would match all of IPv4.)
  if (unusable.check(address, familyName(family)) || address.startsWith('::ffff:')) {
    return fault(`${text} cannot be a host's address`, 'write a private address such as 10.77.0.2 or fd77::2');
  }
  return { value: { address, family } };
}

/** An interface's address with its prefix, such as 10.77.0.1/24. */
export function parseInterfaceAddress(text: string): Parsed<InterfaceAddress> {
  const [host = '', bits, ...rest] = text.split('/');
  const parsed = parseAddress(host);
  if (parsed.fault) return parsed;
  const { address, family } = parsed.value;
  const whole = family === 4 ? 32 : 128;
  const usual = `${address}/${family === 4 ? 24 : 64}`;
  if (bits === undefined) return fault(`${JSON.stringify(text)} has no prefix length`, `write for example ${usual}`);
  const prefix = /^\d{1,3}$/.test(bits) ? Number(bits) : 0;
  if (prefix < 1 || prefix > whole || rest.length > 0) {
    return fault(`${JSON.stringify(text)} has no prefix length from 1 to ${whole}`, `write for example ${usual}`);
  }
  const value = { address, prefix, family };
  if (isEndOfSubnet(address, value)) {
    return fault(`${text} is the subnet's own or its broadcast address`, 'choose an address between the two');
  }
  return { value };
}

/** A network such as 0.0.0.0/0 or "2001:db8::/32": what is behind it, not an address in it. */
export function parsePrefix(text: string): Parsed<InterfaceAddress> {
  const [host = '', bits, ...rest] = text.split('/');
  const family = familyOf(host);
  if (family === 0) return fault(`${JSON.stringify(text)} is not a network`, 'write for example 0.0.0.0/0 or "::/0"');
  if (host.includes(':') && host.includes('.')) return fault(`${text} is IPv4 in IPv6 clothes`, 'write it as IPv4');
  const whole = family === 4 ? 32 : 128;
  const prefix = /^\d{1,3}$/.test(bits ?? '') ? Number(bits) : -1;
  if (prefix < 0 || prefix > whole || rest.length > 0) {
    const usual = `${canonical(host, family)}/${family === 4 ? 24 : 64}`;
    return fault(`${JSON.stringify(text)} has no prefix length from 0 to ${whole}`, `write for example ${usual}`);
  }
  const address = networkOf(canonical(host, family), prefix, family);
  if (address !== canonical(host, family)) {
    return fault(`${text} has bits behind its prefix length`, `write ${address}/${prefix}`);
  }
  return { value: { address, prefix, family } };
}

/** The first address of a network: everything behind the prefix is zero. */
export function networkOf(address: string, prefix: number, family: 4 | 6): string {
  const behind = BigInt((family === 4 ? 32 : 128) - prefix);
  const bits = (bitsOf(address, family) >> behind) << behind;
  if (family === 4) return [24n, 16n, 8n, 0n].map((shift) => (bits >> shift) & 0xffn).join('.');
  const groups = Array.from({ length: 8 }, (_, i) => ((bits >> BigInt(112 - 16 * i)) & 0xffffn).toString(16));
  return canonical(groups.join(':'), 6);
}

/** A canonical address as one number. */
function bitsOf(address: string, family: 4 | 6): bigint {
  if (family === 4) return address.split('.').reduce((sum, part) => sum * 256n + BigInt(part), 0n);
  const [head = '', tail = ''] = address.split('::');
  const groups = (text: string) => (text === '' ? [] : text.split(':'));
  const missing = 8 - groups(head).length - groups(tail).length;
  const all = [...groups(head), ...Array<string>(missing).fill('0'), ...groups(tail)];
  return all.reduce((sum, group) => sum * 65_536n + BigInt(`0x${group}`), 0n);
}

export function inSubnet(address: string, family: 4 | 6, subnet: InterfaceAddress): boolean {
  if (family !== subnet.family) return false;
  const list = new BlockList();
  list.addSubnet(subnet.address, subnet.prefix, familyName(subnet.family));
  return list.check(address, familyName(family));
}

/** Whether an IPv4 address is the first (the network's own) or last (broadcast) of the subnet. */
export function isEndOfSubnet(address: string, subnet: InterfaceAddress): boolean {
  if (subnet.family !== 4 || subnet.prefix > 30) return false;
  const size = 2 ** (32 - subnet.prefix);
  const host = address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0) % size;
  return host === 0 || host === size - 1;
}

/** The address as an endpoint, for a message that shows how to write it. */
const withPort = (address: string): string => (familyOf(address) === 6 ? `"[${address}]:7788"` : `${address}:7788`);

const ENDPOINT = /^(?:\[([^[\]]+)\]|([^:[\]]+)):(\d{1,5})$/;

/** address:port or [IPv6]:port; names cannot be looked up while the network is out. */
export function parseEndpoint(text: string): Parsed<Endpoint> {
  const match = ENDPOINT.exec(text);
  const quoted = JSON.stringify(text);
  if (!match) {
    const example = familyOf(text) === 0 ? 'address:port, or "[IPv6 address]:port" in quotes' : withPort(text);
    return fault(`${quoted} is not an address with a port`, `write ${example}`);
  }
  const host = match[1] ?? match[2] ?? '';
  const port = Number(match[3]);
  if (port < 1 || port > 65_535)
    return fault(`${quoted} has no port from 1 to 65535`, `write for example ${withPort(host)}`);
  const family = familyOf(host);
  if (family !== 0) return { value: { host: canonical(host, family), port } };
  return fault(`${JSON.stringify(host)} is not an IP address`, 'write the address: names cannot be looked up in a cut');
}

/** "5404-5412" or 5405 as its two ends. */
export function parsePorts(text: string | number): Parsed<readonly [low: number, high: number]> {
  const [low = 0, high = low] = String(text).split('-').map(Number);
  if (low < 1 || high > 65_535) return fault(`${text} is not within 1 to 65535`, 'correct the range');
  if (low > high) return fault(`${text} ends before it begins`, `write "${high}-${low}"`);
  return { value: [low, high] };
}

export const endpointText = ({ host, port }: Endpoint): string =>
  host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
