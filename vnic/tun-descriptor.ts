/**
 * A descriptor of the kernel's TUN driver, bound to one interface by name: the ioctl calls, and what their errors mean
 * to an operator. Nothing here configures addresses (`interface-linux.ts`) or moves frames (`tun-linux.ts`).
 *
 * Binding to a name that does not exist creates the interface; it disappears with the descriptor unless made persistent.
 * One descriptor at a time: the kernel refuses a second one with EBUSY, which is how two agents on one name are told.
 */
import { AgentError } from '../agent/base/errors.ts';
import { ERRNO, errnoName, O_CLOEXEC, O_NONBLOCK, O_RDWR, sys } from '../agent/platform/native.ts';
import { VNET_HEADER_BYTES } from './device.ts';

const TUN_PATH = '/dev/net/tun';

/** linux/if_tun.h, as x86 and ARM encode them. */
const TUNSETIFF = 0x400454ca;
const TUNSETPERSIST = 0x400454cb;
const TUNSETOFFLOAD = 0x400454d0;
const TUNGETIFF = 0x800454d2;
const TUNSETVNETHDRSZ = 0x400454d8;
const TUNSETVNETLE = 0x400454dc;

const IFF_TUN = 0x0001;
const IFF_PERSIST = 0x0800;
const IFF_NO_PI = 0x1000;
const IFF_VNET_HDR = 0x4000;

const TUN_F_CSUM = 0x01;
const TUN_F_TSO4 = 0x02;
const TUN_F_TSO6 = 0x04;
const TUN_F_TSO_ECN = 0x08;
/** Linux 6.2 and later, and only together. */
const TUN_F_USO4 = 0x20;
const TUN_F_USO6 = 0x40;

/** What the reader may be handed, best first: each step drops what some kernel does not know. */
const OFFLOAD_STEPS: readonly number[] = [
  TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN | TUN_F_USO4 | TUN_F_USO6,
  TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN,
  TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6,
  TUN_F_CSUM,
  0,
];

/** Names longer than this do not fit struct ifreq, which has 16 bytes with the closing zero. */
export const INTERFACE_NAME_BYTES_MAX = 15;
const IFREQ_BYTES = 40;
const IFREQ_FLAGS_OFFSET = 16;

const ENXIO = 6;

/** The kernel's own rule for names (dev_valid_name), and no `%`, which would make it choose a number. */
export function isInterfaceName(name: string): boolean {
  return (
    /^[^\s/:%]+$/.test(name) && name !== '.' && name !== '..' && Buffer.byteLength(name) <= INTERFACE_NAME_BYTES_MAX
  );
}

/** Opens the driver and binds to the interface `name`, creating it when there is none. The caller closes it. */
export function openTunDescriptor(name: string): number {
  if (!isInterfaceName(name)) {
    throw new AgentError('vnic', `"${name}" cannot name an interface: at most 15 bytes, no space, "/", ":" or "%"`);
  }
  const fd = sys.open(TUN_PATH, O_RDWR | O_NONBLOCK | O_CLOEXEC, 0);
  if (fd < 0) throw openError(fd);
  const request = interfaceRequest(name);
  new DataView(request.buffer).setUint16(IFREQ_FLAGS_OFFSET, IFF_TUN | IFF_NO_PI | IFF_VNET_HDR, true);
  const bound = sys.ioctl(fd, TUNSETIFF, request);
  if (bound < 0) {
    sys.close(fd);
    throw bindError(name, bound);
  }
  return fd;
}

/** The interface then outlives its descriptors (true), or disappears with the last of them (false). */
export function setPersistent(fd: number, name: string, persistent: boolean): void {
  const result = sys.ioctlNumber(fd, TUNSETPERSIST, persistent ? 1 : 0);
  if (result < 0) throw new AgentError('vnic', `${name} cannot be made persistent (${errnoName(result)}): run as root`);
}

/** False for an interface that binding has just created: nobody has set it up. */
export function isPersistent(fd: number, name: string): boolean {
  const request = interfaceRequest(name);
  if (sys.ioctl(fd, TUNGETIFF, request) < 0) return false;
  return (new DataView(request.buffer).getUint16(IFREQ_FLAGS_OFFSET, true) & IFF_PERSIST) !== 0;
}

/**
 * Fixes the form of frames and asks for super-packets. A device that is found again may carry another header size from
 * its former owner, so the size is always set. Returns the offloads that the kernel took.
 */
export function setFrameForm(fd: number, name: string): number {
  const size = sys.ioctl(fd, TUNSETVNETHDRSZ, boxedInt(VNET_HEADER_BYTES));
  const littleEndian = sys.ioctl(fd, TUNSETVNETLE, boxedInt(1));
  if (size < 0 || littleEndian < 0) {
    const errno = errnoName(Math.min(size, littleEndian));
    throw new AgentError('vnic', `${name} does not take a virtio-net header (${errno}): Linux 4.0 or later is needed`);
  }
  const taken = OFFLOAD_STEPS.find((offloads) => sys.ioctlNumber(fd, TUNSETOFFLOAD, offloads) >= 0);
  if (taken === undefined)
    throw new AgentError('vnic', `${name} refuses even to switch offloads off: remove it and start again`);
  return taken;
}

function interfaceRequest(name: string): Uint8Array {
  const request = new Uint8Array(IFREQ_BYTES);
  new TextEncoder().encodeInto(name, request);
  return request;
}

function boxedInt(value: number): Uint8Array {
  return new Uint8Array(Int32Array.of(value).buffer);
}

function openError(errno: number): AgentError {
  switch (-errno) {
    case ERRNO.ENOENT:
      return new AgentError('vnic', `${TUN_PATH} is missing: run "modprobe tun", or give the container that device`);
    case ERRNO.ENODEV:
    case ENXIO:
      return new AgentError('vnic', `${TUN_PATH} has no driver behind it: run "modprobe tun"`);
    case ERRNO.EPERM:
    case ERRNO.EACCES:
      return new AgentError('vnic', `no right to open ${TUN_PATH}: run as root, or allow the container that device`);
    default:
      return new AgentError(
        'vnic',
        `${TUN_PATH} cannot be opened (${errnoName(errno)}): look at the kernel log (dmesg)`,
      );
  }
}

function bindError(name: string, errno: number): AgentError {
  switch (-errno) {
    case ERRNO.EPERM:
    case ERRNO.EACCES:
      return new AgentError('vnic', `no right to make the interface ${name}: run as root or with CAP_NET_ADMIN`);
    case ERRNO.EBUSY:
      return new AgentError(
        'vnic',
        `${name} is in use by another process: stop the other agent, or choose another vnic.name`,
      );
    case ERRNO.EINVAL:
      return new AgentError(
        'vnic',
        `the name ${name} is taken by another kind of interface: remove that one, or choose another vnic.name`,
      );
    default:
      return new AgentError(
        'vnic',
        `the interface ${name} cannot be made (${errnoName(errno)}): look at the kernel log (dmesg)`,
      );
  }
}
