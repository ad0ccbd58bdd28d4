import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { deviceNumber, mountedAt } from '../../../agent/check/block-device.ts';
import {
  accessFinding,
  checkVolume,
  checkVolumes,
  deviceFindings,
  directFinding,
  fileFindings,
  speedFinding,
  useFinding,
} from '../../../agent/check/volume.ts';
import { parseSettings } from '../../../agent/settings/load.ts';
import { changed } from '../settings/minimal.ts';

const folder = mkdtempSync(join(tmpdir(), 'stillbeat-volume-'));
afterAll(() => rmSync(folder, { recursive: true }));

const MIB = 2 ** 20;

describe('a block device', () => {
  const device = { sizeBytes: 64 * MIB, sectorBytes: 512, readOnly: false };

  test.each([512, 4096])('with sectors of %i bytes will do', (sectorBytes) => {
    const findings = deviceFindings('/dev/x', { ...device, sectorBytes }, true);
    const what = `/dev/x is a block device of 64 MiB with sectors of ${sectorBytes} bytes`;
    expect(findings).toMatchObject([{ level: 'ok', what }]);
  });

  test('with other sectors will not', () => {
    expect(deviceFindings('/dev/x', { ...device, sectorBytes: 8192 }, true)).toMatchObject([{ level: 'error' }]);
  });

  test('with nothing behind it will not', () => {
    expect(deviceFindings('/dev/x', { ...device, sizeBytes: 0 }, true)).toMatchObject([{ level: 'error' }]);
  });

  test('that is read-only can be read from and not written to', () => {
    expect(deviceFindings('/dev/x', { ...device, readOnly: true }, true)).toMatchObject([{ level: 'error' }]);
    expect(deviceFindings('/dev/x', { ...device, readOnly: true }, false)).toMatchObject([{ level: 'ok' }]);
  });

  test('that something uses is refused', () => {
    expect(useFinding('/dev/x', null).level).toBe('ok');
    expect(useFinding('/dev/x', 'mounted at /srv')).toMatchObject({
      level: 'error',
      what: '/dev/x is mounted at /srv',
    });
  });

  test.each([
    [0x0800n, '8:0'],
    [0xfd02n, '253:2'],
    [0x1_0301n, '259:1'],
    [0x120_0834n, '8:4660'],
    [0x1000_0000_0800n, '4104:0'],
  ])('number %i is %s', (rdev, number) => {
    expect(deviceNumber(rdev)).toBe(number);
  });

  test('is found among the mounts by its number', () => {
    const mounts = [
      '22 27 0:21 / /proc rw,relatime - proc proc rw',
      '30 1 253:2 / /srv/my\\040data rw shared:1 - ext4 /dev/mapper/x rw',
    ].join('\n');
    expect(mountedAt(mounts, '253:2')).toBe('/srv/my\\040data');
    expect(mountedAt(mounts, '253:22')).toBeNull();
    expect(mountedAt('', '253:2')).toBeNull();
  });
});

describe('a file', () => {
  test('that is stored whole', () => {
    expect(fileFindings('/x', MIB, MIB, true)).toMatchObject([{ level: 'ok', what: '/x is a file of 1 MiB' }]);
  });

  test('with holes is a danger to who writes it', () => {
    expect(fileFindings('/x', MIB, 0, true)).toMatchObject([{}, { level: 'warning', mend: `fallocate -l ${MIB} /x` }]);
    expect(fileFindings('/x', MIB, 0, false)).toHaveLength(1);
  });

  test('that is empty', () => {
    expect(fileFindings('/x', 0, 0, true)).toMatchObject([{ level: 'error' }]);
  });
});

test.each([
  [null, 'ok', null],
  ['EACCES', 'error', /^run as root/],
  ['EPERM', 'error', /^run as root/],
  ['EROFS', 'error', /writable$/],
  ['EIO', 'error', /dmesg/],
])('access that answers %s is %s', (code, level, mend) => {
  const finding = accessFinding('/x', true, code);
  expect(finding.level).toBe(level);
  if (mend) expect(finding.mend).toMatch(mend);
});

test('the page cache and slow storage are warnings', () => {
  expect(directFinding('/x', true).level).toBe('ok');
  expect(directFinding('/x', false).level).toBe('warning');
  expect(speedFinding('/x', [50, 10, 12])).toMatchObject({ level: 'ok', what: '/x is read in 10.00 ms' });
  expect(speedFinding('/x', [50, 10.1])).toMatchObject({ level: 'warning' });
});

describe('for real', () => {
  test('a file that can be used', async () => {
    const path = join(folder, 'whole');
    writeFileSync(path, new Uint8Array(8192).fill(1));
    const findings = await checkVolume(path, true);
    expect(findings.map(({ name }) => name)).toEqual(['volume', 'volume.access', 'volume.direct', 'volume.read']);
    expect(findings.filter(({ level }) => level === 'error')).toEqual([]);
  });

  test('what cannot be a volume', async () => {
    const empty = join(folder, 'empty');
    writeFileSync(empty, '');
    for (const path of [folder, '/dev/null', empty, join(folder, 'none')]) {
      expect(await checkVolume(path, true)).toMatchObject([{ name: 'volume', level: 'error' }]);
    }
  });

  test('each volume is looked at once, and only the send volume must be written', async () => {
    const [send, receive] = [join(folder, 'send'), join(folder, 'receive')];
    for (const path of [send, receive]) writeFileSync(path, '');
    for (const path of [send, receive]) truncateSync(path, MIB);
    const two = [
      `    receive: { volume: ${receive} }`,
      `  - { node: c, address: 10.77.0.3, primary: 192.168.50.3:7788, receive: { volume: ${receive} } }`,
    ];
    const findings = await checkVolumes(parseSettings(changed({ 8: `    volume: ${send}` }, ...two), 'f.yaml'));
    const access = findings.filter(({ name }) => name === 'volume.access').map(({ what }) => what);
    expect(access).toEqual([`${send} may be read and written`, `${receive} may be read`]);
  });
});
