/** The virtual interface: TUN, the right to make it, its name and its addresses. */
import { closeSync, constants, existsSync, openSync } from 'node:fs';
import { hostAddresses } from '../platform/interface-mtu.ts';
import type { InterfaceAddress, Settings } from '../settings/settings.ts';
import { error, ok, type Finding } from './finding.ts';
import { CAP_NET_ADMIN, codeOf, hasCapability, readText } from './system.ts';

const TUN = '/dev/net/tun';

export function checkVnic({ vnic }: Settings): Finding[] {
  return [
    tunFinding(openFault(TUN)),
    rightsFinding(readText('/proc/self/status') ?? ''),
    nameFinding(
      vnic.name,
      existsSync(`/sys/class/net/${vnic.name}`),
      readText(`/sys/class/net/${vnic.name}/tun_flags`),
    ),
    ...addressFindings(vnic.addresses, vnic.name, otherAddresses(vnic.name)),
    ...ipv6Findings(vnic.addresses, readText('/proc/sys/net/ipv6/conf/default/disable_ipv6')),
  ];
}

function openFault(path: string): string | null {
  try {
    closeSync(openSync(path, constants.O_RDWR));
    return null;
  } catch (caught) {
    return codeOf(caught);
  }
}

/** `code`: why /dev/net/tun cannot be opened, null when it can. */
export function tunFinding(code: string | null): Finding {
  const name = 'vnic.tun';
  if (code === null) return ok(name, `${TUN} can be opened`);
  if (code === 'ENOENT' || code === 'ENODEV' || code === 'ENXIO') {
    const mend = 'modprobe tun; in a container give it the device (docker run --device /dev/net/tun)';
    return error(name, `the kernel offers no TUN (${TUN}: ${code})`, mend);
  }
  const mend = `run as root, or chmod 666 ${TUN}; in a container allow the device`;
  return error(name, `${TUN} may not be opened (${code})`, mend);
}

export function rightsFinding(status: string): Finding {
  const name = 'vnic.rights';
  if (hasCapability(status, CAP_NET_ADMIN)) return ok(name, 'interfaces may be made (CAP_NET_ADMIN)');
  const mend = 'run as root, or give the service CAP_NET_ADMIN (docker run --cap-add NET_ADMIN)';
  return error(name, 'interfaces may not be made (no CAP_NET_ADMIN)', mend);
}

const IFF_TUN = 1;

/** `tunFlags`: what the kernel says of TUN and TAP interfaces, null for others. */
export function nameFinding(interfaceName: string, exists: boolean, tunFlags: string | null): Finding {
  const name = 'vnic.name';
  if (!exists) return ok(name, `the name ${interfaceName} is free`);
  if (tunFlags !== null && (Number(tunFlags) & 3) === IFF_TUN) {
    return ok(name, `${interfaceName} is there already and is a TUN interface: it will be taken over`);
  }
  const what = `${interfaceName} is taken by an interface that is not TUN`;
  return error(name, what, 'choose another vnic.name, or remove that interface');
}

export interface HeldAddress {
  readonly address: string;
  readonly holder: string;
}

/** Addresses of the host's other interfaces. */
function otherAddresses(own: string): HeldAddress[] {
  return hostAddresses()
    .filter(({ name }) => name !== own)
    .map(({ name, address }) => ({ address, holder: name }));
}

export function addressFindings(
  addresses: readonly InterfaceAddress[],
  interfaceName: string,
  others: readonly HeldAddress[],
): Finding[] {
  return addresses.map(({ address, prefix }) => {
    const name = 'vnic.address';
    const held = others.find((other) => other.address === address);
    if (held === undefined) return ok(name, `${address}/${prefix} is free for ${interfaceName}`);
    const mend = `ip address del ${address}/${prefix} dev ${held.holder}, or choose another vnic.address`;
    return error(name, `${address} is already on ${held.holder}: packets would not enter ${interfaceName}`, mend);
  });
}

/** `disabled`: the kernel's switch for new interfaces, null where it has no IPv6 at all. */
export function ipv6Findings(addresses: readonly InterfaceAddress[], disabled: string | null): Finding[] {
  if (addresses.every(({ family }) => family === 4) || disabled === '0') return [];
  const what = disabled === null ? 'the kernel has no IPv6' : 'IPv6 is switched off for new interfaces';
  const mend =
    disabled === null
      ? 'boot without ipv6.disable=1, or remove the IPv6 addresses'
      : 'sysctl -w net.ipv6.conf.default.disable_ipv6=0';
  return [error('vnic.ipv6', what, mend)];
}
