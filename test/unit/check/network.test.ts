import { createSocket } from 'node:dgram';
import { describe, expect, test } from 'vitest';
import {
  bindFault,
  linkFindings,
  listenFinding,
  loopFindings,
  mtuFinding,
  portFinding,
  stateFindings,
} from '../../../agent/check/primary.ts';
import { addressFindings, ipv6Findings, nameFinding, rightsFinding, tunFinding } from '../../../agent/check/vnic.ts';
import { parseSettings } from '../../../agent/settings/load.ts';
import { changed } from '../settings/minimal.ts';

const V4 = { address: '10.77.0.1', prefix: 24, family: 4 } as const;
const V6 = { address: 'fd77::1', prefix: 64, family: 6 } as const;

describe('the virtual interface', () => {
  test.each([
    [null, 'ok', null],
    ['ENOENT', 'error', /^modprobe tun/],
    ['ENODEV', 'error', /^modprobe tun/],
    ['EACCES', 'error', /^run as root/],
    ['EPERM', 'error', /^run as root/],
  ])('TUN that answers %s is %s', (code, level, mend) => {
    const finding = tunFinding(code);
    expect(finding.level).toBe(level);
    if (mend) expect(finding.mend).toMatch(mend);
  });

  test('rights', () => {
    expect(rightsFinding('CapEff:\t0000000000001000').level).toBe('ok');
    expect(rightsFinding('CapEff:\t0000000000000000').level).toBe('error');
  });

  test.each([
    ['free', false, null, 'ok'],
    ['of a TUN interface', true, '0x1', 'ok'],
    ['of a persistent TUN with a virtio header', true, '0x5801', 'ok'],
    ['of a TAP interface', true, '0x1002', 'error'],
    ['of another interface', true, null, 'error'],
  ])('a name that is %s', (_, exists, flags, level) => {
    expect(nameFinding('sb0', exists, flags).level).toBe(level);
  });

  test('an address that another interface has', () => {
    const findings = addressFindings([V4, V6], 'sb0', [{ address: 'fd77::1', holder: 'eth1' }]);
    expect(findings.map(({ level }) => level)).toEqual(['ok', 'error']);
    expect(findings[1]?.mend).toBe('ip address del fd77::1/64 dev eth1, or choose another vnic.address');
  });

  test('IPv6 matters only to who uses it', () => {
    expect(ipv6Findings([V4], null)).toEqual([]);
    expect(ipv6Findings([V4, V6], '0')).toEqual([]);
    expect(ipv6Findings([V6], '1')[0]?.mend).toBe('sysctl -w net.ipv6.conf.default.disable_ipv6=0');
    expect(ipv6Findings([V6], null)[0]?.what).toBe('the kernel has no IPv6');
  });
});

describe('the primary interface', () => {
  const UP = { exists: true, flags: '0x1003', carrier: '1', mtu: '1500' };
  const levels = (state: Parameters<typeof stateFindings>[1]) =>
    stateFindings('eth0', state).map(({ name, level }) => `${name} ${level}`);

  test('that is well', () => {
    expect(levels(UP)).toEqual(['primary.interface ok', 'primary.carrier ok', 'primary.mtu ok']);
  });

  test('that is not there', () => {
    expect(levels({ exists: false, flags: null, carrier: null, mtu: null })).toEqual(['primary.interface error']);
  });

  test('that is down', () => {
    const state = { ...UP, flags: '0x1002', carrier: null };
    expect(stateFindings('eth0', state)).toMatchObject([{ level: 'error', mend: 'ip link set eth0 up' }]);
  });

  test('that has no carrier', () => {
    expect(levels({ ...UP, carrier: '0' })).toContain('primary.carrier warning');
  });

  test('whose MTU is small', () => {
    expect(mtuFinding('eth0', 1392).level).toBe('ok');
    expect(mtuFinding('eth0', 1391).level).toBe('warning');
  });

  test('and its link', () => {
    expect(linkFindings('eth0', 10_000, 'full')).toMatchObject([{ level: 'ok', what: 'eth0 runs at 10000 Mbit/s' }]);
    expect(linkFindings('eth0', 100, 'half')).toMatchObject([{ level: 'warning' }]);
    expect(linkFindings('veth0', null, '')).toEqual([]);
    expect(linkFindings('veth0', -1, '')).toEqual([]);
  });
});

describe('listening', () => {
  const listen = { host: '192.168.50.1', port: 7788 };

  test('at an address of the watched interface', () => {
    expect(listenFinding(listen, 'eth0', 'eth0').level).toBe('ok');
    expect(listenFinding(listen, 'eth0', null).level).toBe('ok');
  });

  test('at an address of another interface', () => {
    expect(listenFinding(listen, 'eth1', 'eth0')).toMatchObject({
      level: 'warning',
      mend: 'set primary.interface: eth1',
    });
  });

  test('at an address of no interface', () => {
    expect(listenFinding(listen, null, 'eth0').level).toBe('error');
  });

  test('at every address', () => {
    expect(listenFinding({ host: '0.0.0.0', port: 7788 }, null, 'eth0').level).toBe('ok');
    expect(listenFinding({ host: '::', port: 7788 }, null, 'eth0').level).toBe('ok');
  });

  test('at a port that is taken, and not by an agent', () => {
    expect(portFinding(listen, null, false).level).toBe('ok');
    expect(portFinding(listen, 'EADDRINUSE', true).level).toBe('ok');
    expect(portFinding(listen, 'EADDRINUSE', false)).toMatchObject({
      level: 'error',
      what: 'UDP 192.168.50.1:7788 is taken',
    });
    expect(portFinding(listen, 'EACCES', false).mend).toContain('a port from 1024');
    expect(portFinding(listen, 'EINVAL', false).what).toContain('EINVAL');
  });

  test('is tried for real', async () => {
    const socket = createSocket('udp4');
    await new Promise<void>((resolve) => socket.bind({ address: '127.0.0.1', port: 0, exclusive: true }, resolve));
    const { port } = socket.address();
    expect(await bindFault({ host: '127.0.0.1', port })).toBe('EADDRINUSE');
    await new Promise<void>((resolve) => socket.close(resolve));
    expect(await bindFault({ host: '127.0.0.1', port })).toBeNull();
    expect(await bindFault({ host: '192.0.2.77', port })).toBe('EADDRNOTAVAIL');
  });

  test('inside the virtual network is a loop', () => {
    const inside = parseSettings(changed({ 14: '    primary: 10.77.0.9:7788' }), 'f.yaml');
    expect(loopFindings(inside)).toMatchObject([{ name: 'primary.subnet', level: 'warning' }]);
    expect(loopFindings(parseSettings(changed({}), 'f.yaml'))).toEqual([]);
  });
});
