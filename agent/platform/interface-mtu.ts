/** The MTU of a network interface, and which interface bears an address. */
import { execFileSync } from 'node:child_process';
import { networkInterfaces } from 'node:os';
import { textBytes } from '../base/bytes.ts';
import { sys } from './native.ts';

const SIOCGIFMTU = 0x8921;
const MTU_DEFAULT = 1500;

const IP_TIMEOUT_MS = 5000;

export interface HostAddress {
  readonly name: string;
  readonly address: string;
  /** Left out where the host's tools do not say. */
  readonly prefix?: number;
}

/**
 * Every address of this host with its interface. Node's own list leaves out interfaces without a carrier, whose addresses
 * are there all the same; it has to do where there is no `ip`.
 */
export function hostAddresses(): HostAddress[] {
  try {
    const said = execFileSync('ip', ['-json', 'address', 'show'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
      timeout: IP_TIMEOUT_MS,
    });
    const links = JSON.parse(said) as {
      readonly ifname?: string;
      readonly addr_info?: readonly { readonly local?: string; readonly prefixlen?: number }[];
    }[];
    return links.flatMap(({ ifname = '', addr_info: all = [] }) =>
      all.flatMap(({ local, prefixlen = 0 }) => {
        return local === undefined ? [] : { name: ifname, address: local, prefix: prefixlen };
      }),
    );
  } catch {
    return Object.entries(networkInterfaces()).flatMap(([name, all = []]) =>
      all.map(({ address }) => ({ name, address })),
    );
  }
}

/** The addresses of one interface with their prefix lengths; none where there is no such interface. */
export function addressesOn(interfaceName: string): { address: string; prefix: number; family: 4 | 6 }[] {
  return hostAddresses()
    .filter(({ name, prefix }) => name === interfaceName && prefix !== undefined)
    .map(({ address, prefix = 0 }) => ({ address, prefix, family: address.includes(':') ? 6 : 4 }));
}

/** The interface that has `host` as an address, or null. */
export function interfaceOf(host: string): string | null {
  return hostAddresses().find(({ address }) => address === host)?.name ?? null;
}

/** MTU in bytes; 1500 where the kernel does not say. */
export function interfaceMtu(name: string): number {
  const query = sys.socket(2, 2, 0);
  const request = new Uint8Array(40);
  request.set(textBytes(name, 16));
  const got = sys.ioctl(query, SIOCGIFMTU, request);
  sys.close(query);
  return got === 0 ? new DataView(request.buffer).getInt32(16, true) : MTU_DEFAULT;
}
