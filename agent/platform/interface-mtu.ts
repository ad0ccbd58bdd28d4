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
      readonly addr_info?: readonly { readonly local?: string }[];
    }[];
    return links.flatMap(({ ifname = '', addr_info: all = [] }) =>
      all.flatMap(({ local }) => (local === undefined ? [] : { name: ifname, address: local })),
    );
  } catch {
    return Object.entries(networkInterfaces()).flatMap(([name, all = []]) =>
      all.map(({ address }) => ({ name, address })),
    );
  }
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
