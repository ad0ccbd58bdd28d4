/** The MTU of a network interface, and which interface bears an address. */
import { networkInterfaces } from 'node:os';
import { textBytes } from '../base/bytes.ts';
import { sys } from './native.ts';

const SIOCGIFMTU = 0x8921;
const MTU_DEFAULT = 1500;

/** The interface that has `host` as an address, or null. */
export function interfaceOf(host: string): string | null {
  for (const [name, addresses] of Object.entries(networkInterfaces())) {
    if (addresses?.some(({ address }) => address === host)) return name;
  }
  return null;
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
