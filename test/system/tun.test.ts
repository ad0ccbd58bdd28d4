/** The TUN interface against a real kernel: setting up, finding again, refusing, removing. */
import { execFileSync, spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { AgentError } from '../../agent/base/errors.ts';
import { FRAME_BYTES_MAX } from '../../vnic/device.ts';
import { type InterfaceOptions, removeInterface, setUpInterface } from '../../vnic/interface-linux.ts';
import { attachTun, openTun, type TunDevice } from '../../vnic/tun-linux.ts';
import { addressesOf, enterNewNamespace, ip, linkOf } from '../support/namespace.ts';
import { buildUdp4 } from '../support/packets.ts';

const NAME = 'sbt0';
const MODULE = new URL('../../dist/vnic/tun-linux.js', import.meta.url).href;
const CHECKSUM_AND_TSO = 0x07;
const QUIET_MS = 1500;

const options = (addresses: readonly string[], rest: Partial<InterfaceOptions> = {}): InterfaceOptions => ({
  name: NAME,
  mtu: 1500,
  addresses: addresses.map((text) => {
    const [address = '', prefix = ''] = text.split('/');
    return { address, prefix: Number(prefix), family: address.includes(':') ? 6 : 4 };
  }),
  ...rest,
});

/** The line an operator reads. */
function refusal(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    expect(error).toBeInstanceOf(AgentError);
    expect(error).toMatchObject({ reason: 'vnic', exitStatus: 5 });
    expect((error as AgentError).message).not.toContain('\n');
    return (error as AgentError).message;
  }
  return expect.fail('nothing was refused');
}

/** The same, of a process that starts under other conditions; `wrapper` is the command that makes them. */
function refusalUnder(...wrapper: readonly [string, ...string[]]): string {
  const script = `import { openTun } from '${MODULE}'; openTun(${JSON.stringify(options(['10.99.0.1/24']))})`;
  const [command, ...args] = [...wrapper, process.execPath, '--input-type=module', '--eval', script];
  const { status, stderr } = spawnSync(command, args, { encoding: 'utf8', timeout: 20_000 });
  expect(status).toBe(1);
  return /^AgentError: (.*)$/m.exec(stderr)?.[1] ?? stderr;
}

let open: TunDevice[] = [];
const opened = (device: TunDevice): TunDevice => {
  open.push(device);
  return device;
};

beforeAll(enterNewNamespace);
afterEach(() => {
  for (const device of open) device.close();
  open = [];
  if (linkOf(NAME) !== null) ip(`link delete ${NAME}`);
});

describe('setting up', () => {
  test('gives the interface its addresses, MTU and queue length, and brings it up', () => {
    setUpInterface(options(['10.99.0.1/24', 'fd99::1/64'], { mtu: 9000, txQueueLength: 77 }));
    expect(addressesOf(NAME)).toEqual(['10.99.0.1/24', 'fd99::1/64']);
    expect(linkOf(NAME)).toMatchObject({ mtu: 9000, txqlen: 77 });
    expect(linkOf(NAME)?.flags).toContain('UP');
    expect(ip('route show 10.99.0.0/24')).toContain(NAME);
    expect(ip('-6 route show fd99::/64')).toContain(NAME);
  });

  test.each([68, 1500, 65_000])('takes an MTU of %i, also over another one', (mtu) => {
    setUpInterface(options(['10.99.0.1/24'], { mtu: 2000 }));
    setUpInterface(options(['10.99.0.1/24'], { mtu }));
    expect(linkOf(NAME)).toMatchObject({ mtu });
  });

  test('an IPv6 address can be used at once, and comes back when the MTU was too small for IPv6', () => {
    setUpInterface(options(['10.99.0.1/24'], { mtu: 1000 }));
    setUpInterface(options(['fd99::1/64'], { mtu: 1500 }));
    expect(ip(`-json -6 address show dev ${NAME}`)).not.toContain('tentative');
    expect(addressesOf(NAME)).toEqual(['fd99::1/64']);
  });

  test('gives IPv6 addresses where the host has IPv6 off by default', () => {
    writeFileSync('/proc/sys/net/ipv6/conf/default/disable_ipv6', '1');
    try {
      setUpInterface(options(['fd99::1/64']));
    } finally {
      writeFileSync('/proc/sys/net/ipv6/conf/default/disable_ipv6', '0');
    }
    expect(addressesOf(NAME)).toEqual(['fd99::1/64']);
  });

  test('asks for super-packets, and gets at least checksums and TCP segmentation', () => {
    expect(opened(openTun(options(['10.99.0.1/24']))).offloads & CHECKSUM_AND_TSO).toBe(CHECKSUM_AND_TSO);
  });

  test('the interface says nothing of its own', async () => {
    const device = opened(openTun(options(['10.99.0.1/24', 'fd99::1/64'])));
    const into = new Uint8Array(FRAME_BYTES_MAX);
    await new Promise((resolve) => setTimeout(resolve, QUIET_MS));
    expect(device.read(into)).toBe(0);
  });
});

describe('finding it again', () => {
  test('closed, the interface stays with its addresses, and a second attach works', () => {
    openTun(options(['10.99.0.1/24'])).close();
    expect(addressesOf(NAME)).toEqual(['10.99.0.1/24']);
    const device = opened(attachTun(NAME));
    expect(device.write(buildUdp4({ source: '10.99.0.2', target: '10.99.0.1' }))).toBe(true);
  });

  test('addresses that are not configured any more are removed, whoever added them', () => {
    setUpInterface(options(['10.99.0.1/24', '10.98.0.1/16', 'fd99::1/64', 'fd98::1/64']));
    ip(`address add 10.97.0.1/32 dev ${NAME}`);
    ip(`address add fe80::1234/64 dev ${NAME}`);
    setUpInterface(options(['10.99.0.1/25', 'fd99::1/64']));
    expect(addressesOf(NAME)).toEqual(['10.99.0.1/25', 'fd99::1/64']);
  });

  test('an address survives its stale neighbour in the same subnet', () => {
    setUpInterface(options(['10.99.0.1/24', '10.99.0.2/24', '10.99.0.3/24']));
    setUpInterface(options(['10.99.0.2/24']));
    expect(addressesOf(NAME)).toEqual(['10.99.0.2/24']);
  });

  test('what is right stays untouched: routes that hang on an address are still there', () => {
    setUpInterface(options(['10.99.0.1/24', 'fd99::1/64']));
    ip(`route add 10.200.0.0/16 dev ${NAME} src 10.99.0.1`);
    ip(`-6 route add fd98::/64 dev ${NAME} src fd99::1`);
    setUpInterface(options(['10.99.0.1/24', 'FD99:0:0:0:0::1/64']));
    expect(ip('route show 10.200.0.0/16')).toContain('src 10.99.0.1');
    expect(ip('-6 route show fd98::/64')).toContain('src fd99::1');
  });
});

describe('refusing', () => {
  test.each(['type bridge', 'mode tap', 'mode tun multi_queue'])(
    'a name taken by another kind of interface: %s',
    (kind) => {
      ip(kind.startsWith('mode') ? `tuntap add dev ${NAME} ${kind}` : `link add ${NAME} ${kind}`);
      const line = `the name ${NAME} is taken by another kind of interface: remove that one, or choose another vnic.name`;
      expect(refusal(() => setUpInterface(options(['10.99.0.1/24'])))).toBe(line);
      expect(refusal(() => removeInterface(NAME))).toBe(line);
      expect(linkOf(NAME)).not.toBeNull();
      expect(addressesOf(NAME)).toEqual([]);
    },
  );

  test('an interface that another agent holds', () => {
    const device = opened(openTun(options(['10.99.0.1/24'])));
    const line = `${NAME} is in use by another process: stop the other agent, or choose another vnic.name`;
    expect(refusal(() => openTun(options(['10.99.0.9/24'])))).toBe(line);
    expect(refusal(() => attachTun(NAME))).toBe(line);
    expect(refusal(() => removeInterface(NAME))).toBe(line);
    expect(addressesOf(NAME)).toEqual(['10.99.0.1/24']);
    expect(device.write(buildUdp4({ source: '10.99.0.2', target: '10.99.0.1' }))).toBe(true);
  });

  test('to attach to an interface that nobody has set up, and leaves none behind', () => {
    expect(refusal(() => attachTun(NAME))).toBe(
      `the interface ${NAME} is gone: somebody removed it; restart the agent to make it again`,
    );
    expect(linkOf(NAME)).toBeNull();
  });

  test.each(['', 'sixteen-bytes-xx', 'a b', 'a/b', 'sb%d', '.', '..', 'ä'.repeat(8)])('the name %j', (name) => {
    expect(refusal(() => setUpInterface({ ...options([]), name }))).toContain('cannot name an interface');
  });

  test('what "ip" refuses, in its words; the new interface is taken back, an older one stays', () => {
    const tooLarge = options(['10.99.0.1/24'], { mtu: 70_000 });
    expect(refusal(() => setUpInterface(tooLarge))).toMatch(
      /^sbt0 cannot be configured, "ip link set .*" said ".*": check vnic/,
    );
    expect(linkOf(NAME)).toBeNull();
    setUpInterface(options(['10.99.0.1/24']));
    refusal(() => setUpInterface(tooLarge));
    expect(addressesOf(NAME)).toEqual(['10.99.0.1/24']);
  });

  test('without iproute2', () => {
    const path = process.env['PATH'];
    process.env['PATH'] = '/nonexistent';
    try {
      expect(refusal(() => setUpInterface(options([])))).toBe(
        `${NAME} cannot be configured, the command "ip" is missing: install iproute2`,
      );
    } finally {
      process.env['PATH'] = path;
    }
    expect(linkOf(NAME)).toBeNull();
  });

  test('without the right to make interfaces', () => {
    expect(refusalUnder('setpriv', '--inh-caps=-net_admin', '--bounding-set=-net_admin')).toBe(
      `no right to make the interface ${NAME}: run as root or with CAP_NET_ADMIN`,
    );
  });

  test('without the right to open the driver', () => {
    const closed = 'mount -t tmpfs none /dev/net && mknod -m 0 /dev/net/tun c 10 200 && exec "$@"';
    const drop = ['setpriv', '--inh-caps=-dac_override', '--bounding-set=-dac_override'];
    expect(refusalUnder('unshare', '--mount', 'sh', '-c', closed, 'sh', ...drop)).toBe(
      'no right to open /dev/net/tun: run as root, or allow the container that device',
    );
  });

  test('without the driver', () => {
    const without = (command: string): string => refusalUnder('unshare', '--mount', 'sh', '-c', command, 'sh');
    expect(without('mount -t tmpfs none /dev/net && exec "$@"')).toBe(
      '/dev/net/tun is missing: run "modprobe tun", or give the container that device',
    );
    expect(without('mount -t tmpfs none /dev/net && mknod /dev/net/tun c 60 200 && exec "$@"')).toBe(
      '/dev/net/tun has no driver behind it: run "modprobe tun"',
    );
  });
});

describe('removing', () => {
  test('says whether there was an interface', () => {
    setUpInterface(options(['10.99.0.1/24']));
    expect([removeInterface(NAME), linkOf(NAME), removeInterface(NAME), linkOf(NAME)]).toEqual([
      true,
      null,
      false,
      null,
    ]);
  });

  test('an interface that is removed under its reader says so, and can be set up anew', () => {
    const device = opened(openTun(options(['10.99.0.1/24'])));
    execFileSync('ip', ['link', 'delete', NAME]);
    expect(device.read(new Uint8Array(FRAME_BYTES_MAX))).toBeLessThan(0);
    expect(device.write(buildUdp4())).toBe(false);
    expect(device).toMatchObject({ writesRefused: 1, lastRefusal: 77 });
    opened(openTun(options(['10.99.0.1/24'])));
    expect(addressesOf(NAME)).toEqual(['10.99.0.1/24']);
  });
});
