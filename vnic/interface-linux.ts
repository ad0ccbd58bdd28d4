/**
 * Makes the persistent TUN interface and gives it its addresses, with `ip` of iproute2; blocks, so only start-up calls it.
 *
 * Afterwards the interface is up and has exactly the addresses asked for: what an earlier run left is removed. It says
 * nothing on its own account (no link-local address, no router solicitation), so that an idle agent stays idle.
 */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { AgentError } from '../agent/base/errors.ts';
import { sys } from '../agent/platform/native.ts';
import { ipText } from './ip-address.ts';
import { isPersistent, openTunDescriptor, setFrameForm, setPersistent } from './tun-descriptor.ts';

export interface TunAddress {
  readonly address: string;
  readonly prefix: number;
  readonly family: 4 | 6;
}

export interface InterfaceOptions {
  readonly name: string;
  readonly mtu: number;
  readonly addresses: readonly TunAddress[];
  /** How many frames wait in the kernel for the agent before it drops. */
  readonly txQueueLength?: number;
}

/** A few milliseconds of frames at full speed: room for a busy agent, and still no second of stale ones. */
const TX_QUEUE_LENGTH_DEFAULT = 1000;
const IP_TIMEOUT_MS = 10_000;

/** The part of `ip -json address show` that is used. */
interface AddressInfo {
  readonly local: string;
  readonly prefixlen: number;
}

/**
 * Creates the interface, or takes over the one an earlier agent left, and configures it. An interface that this call
 * created and could not configure is removed again. Answers true when it created one.
 */
export function setUpInterface(options: InterfaceOptions): boolean {
  const { name } = options;
  const fd = openTunDescriptor(name);
  const found = isPersistent(fd, name);
  try {
    setFrameForm(fd, name);
    setPersistent(fd, name, true);
    configure(options);
    return !found;
  } catch (error) {
    if (!found) setPersistent(fd, name, false);
    throw error;
  } finally {
    sys.close(fd);
  }
}

/**
 * Removes the interface and returns whether there was one. Never touches an interface that is not a TUN device, or that
 * another process holds: both are refused with an AgentError.
 */
export function removeInterface(name: string): boolean {
  // Through the driver rather than `ip link delete`, which would take a running agent's interface away.
  const fd = openTunDescriptor(name);
  try {
    const found = isPersistent(fd, name);
    setPersistent(fd, name, false);
    return found;
  } finally {
    sys.close(fd);
  }
}

function configure(options: InterfaceOptions): void {
  const { name, mtu, addresses } = options;
  const txQueueLength = options.txQueueLength ?? TX_QUEUE_LENGTH_DEFAULT;
  // The MTU first: below 1280 the kernel takes IPv6 off the interface, and its settings with it.
  ip(name, ['link', 'set', 'dev', name, 'mtu', String(mtu), 'txqueuelen', String(txQueueLength)]);
  silence(name);
  if (addresses.some(({ family }) => family === 6)) enableIpv6(name);
  removeStaleAddresses(name, new Set(addresses.map(addressKey)));
  for (const { address, prefix, family } of addresses) {
    const noProbe = family === 6 ? ['nodad'] : [];
    ip(name, ['address', 'replace', `${address}/${prefix}`, 'dev', name, ...noProbe]);
  }
  ip(name, ['link', 'set', 'dev', name, 'up']);
}

/** Wishes, not needs: without IPv6 there is nothing to silence, and a read-only /proc costs some dropped chatter. */
function silence(name: string): void {
  const NO_LINK_LOCAL_ADDRESS = 1;
  setIpv6Setting(name, 'addr_gen_mode', NO_LINK_LOCAL_ADDRESS);
  setIpv6Setting(name, 'accept_ra', 0);
}

/** The host's default may be off, and then `ip` answers an IPv6 address with a bare "Permission denied". */
function enableIpv6(name: string): void {
  if (setIpv6Setting(name, 'disable_ipv6', 0) === 'ENOENT') {
    throw new AgentError(
      'vnic',
      `${name} cannot have an IPv6 address, the kernel runs without IPv6: use an IPv4 address`,
    );
  }
}

/** Returns the code of the error, or null. */
function setIpv6Setting(name: string, setting: string, value: number): string | null {
  try {
    writeFileSync(`/proc/sys/net/ipv6/conf/${name}/${setting}`, String(value));
    return null;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? 'unknown';
  }
}

/**
 * Before the wanted ones are added, and looking again after each: an IPv4 address that goes takes the secondary ones of
 * its subnet along, stale and wanted alike.
 */
function removeStaleAddresses(name: string, wanted: ReadonlySet<string>): void {
  for (let stale = findStale(name, wanted); stale !== undefined; stale = findStale(name, wanted)) {
    ip(name, ['address', 'delete', `${stale.local}/${stale.prefixlen}`, 'dev', name]);
  }
}

function findStale(name: string, wanted: ReadonlySet<string>): AddressInfo | undefined {
  const links = JSON.parse(ip(name, ['-json', 'address', 'show', 'dev', name])) as { addr_info?: AddressInfo[] }[];
  const present = links.flatMap((link) => link.addr_info ?? []);
  return present.find(({ local, prefixlen }) => !wanted.has(addressKey({ address: local, prefix: prefixlen })));
}

/** One key for every spelling of an address. */
function addressKey({ address, prefix }: { readonly address: string; readonly prefix: number }): string {
  return `${ipText(address)}/${prefix}`;
}

/** Runs `ip` and returns what it printed. */
function ip(name: string, args: readonly string[]): string {
  try {
    return execFileSync('ip', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], timeout: IP_TIMEOUT_MS });
  } catch (error) {
    throw ipError(name, args, error as NodeJS.ErrnoException & { stderr?: string });
  }
}

function ipError(
  name: string,
  args: readonly string[],
  cause: NodeJS.ErrnoException & { stderr?: string },
): AgentError {
  if (cause.code === 'ENOENT') {
    return new AgentError('vnic', `${name} cannot be configured, the command "ip" is missing: install iproute2`, {
      cause,
    });
  }
  const said = cause.stderr?.trim().split('\n')[0] || cause.message.split('\n')[0];
  const advice = /not permitted/.test(said ?? '') ? 'run as root or with CAP_NET_ADMIN' : 'check vnic in the settings';
  return new AgentError('vnic', `${name} cannot be configured, "ip ${args.join(' ')}" said "${said}": ${advice}`, {
    cause,
  });
}
