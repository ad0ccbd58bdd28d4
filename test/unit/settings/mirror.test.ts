import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { SettingsErrors } from '../../../agent/settings/problems.ts';
import { parseMirrorSource, parseMirrorTarget } from '../../../agent/settings/mirror.ts';

const sample = (name: string): string => readFileSync(new URL(`../../../config/${name}`, import.meta.url), 'utf8');
const SOURCE = sample('mirror-source.yaml');
const TARGET = sample('mirror-target.yaml');

test('the samples are settings', () => {
  expect(parseMirrorSource(SOURCE, 'f')).toEqual({
    file: 'f',
    group: 'erp',
    role: 'source',
    keyFile: '/etc/stillbeat/cluster.key',
    journal: { path: '/var/lib/stillbeat/erp.journal', ringBytes: 2 ** 30, windowBytes: 2 ** 26 },
    volumes: [{ name: 'data', path: '/dev/vg/data' }],
    listen: { host: '127.0.0.1', port: 10_809 },
    targets: [{ name: 'east', address: { host: '192.168.60.2', port: 7790 }, connections: 1 }],
    recorders: [],
    acknowledge: 'cycle',
    checksum: 'crc32',
    cycles: { cycleMs: 1000, bytes: 67_108_864 },
    limits: { bytesPerSecond: 0 },
    inquiry: { intervalMs: 250, misses: 4 },
    checkpoint: null,
    overflow: { afterMs: 3000, policy: 'degrade' },
    scrub: { everyHours: 24, bytesPerSecond: 67_108_864, idleMs: 200 },
    exportKeyFile: null,
    failback: { name: 'west', address: { host: '192.168.60.1', port: 7790 } },
    log: null,
    metricsListen: null,
    history: null,
    controlSocket: '/run/stillbeat/erp.sock',
  });
  expect(parseMirrorTarget(TARGET, 'f')).toMatchObject({
    role: 'target',
    name: 'east',
    address: { host: '192.168.60.2', port: 7790 },
    listen: { host: '127.0.0.1', port: 10_809 },
    takeover: { targets: [{ name: 'west', address: { host: '192.168.60.1', port: 7790 } }] },
  });
});

test('the two documents of the design, as they stand there', () => {
  const source = `group: erp
role: source
keyFile: /etc/stillbeat/cluster.key
journal: { path: /var/lib/stillbeat/erp.journal, size: 1G }
volumes: [{ name: data, path: /dev/vg/data }]
export: { listen: 127.0.0.1:10809 }
targets: [{ name: east, connect: 192.168.60.2:7790 }]
acknowledge: cycle
cycleMs: 1000
checkpoint: { everyCycles: 8 }
checksum: crc32
scrub: { everyHours: 24 }
control: { socket: /run/stillbeat/erp.sock }
`;
  expect(parseMirrorSource(source, 'f')).toMatchObject({
    journal: { path: '/var/lib/stillbeat/erp.journal', ringBytes: 2 ** 30 },
    targets: [{ name: 'east', address: { host: '192.168.60.2', port: 7790 } }],
    acknowledge: 'cycle',
    checkpoint: { by: 'references', everyCycles: 8, ms: 1000, onFlush: false },
    scrub: { everyHours: 24 },
  });
  const target = `group: erp
role: target
name: east
keyFile: /etc/stillbeat/cluster.key
listen: 192.168.60.2:7790
journal: { path: /var/lib/stillbeat/erp-east.journal, size: 1G }
volumes: [{ name: data, path: /dev/vg/data-copy }]
export: { listen: 127.0.0.1:10809 }
history: { path: /var/lib/stillbeat/erp-history, retention: { hours: 24, bytes: 100G } }
log: { path: /mnt/third/erp-log }
control: { socket: /run/stillbeat/erp-east.sock }
`;
  const settings = parseMirrorTarget(target, 'f');
  expect(settings).toMatchObject({
    name: 'east',
    log: { path: '/mnt/third/erp-log' },
    history: { path: '/var/lib/stillbeat/erp-history', retention: { hours: 24, bytes: 100 * 2 ** 30 } },
  });
});
test('what may be left out has its default, and each role a control socket of its own', () => {
  const source = SOURCE.replace(/^(acknowledge|cycleMs|control):.*\n/gm, '');
  expect(parseMirrorSource(source, 'f')).toMatchObject({
    acknowledge: 'cycle',
    controlSocket: '/run/stillbeat/mirror-erp.sock',
  });
  const target = TARGET.replace(/^(export|control):.*\n/gm, '');
  expect(parseMirrorTarget(target, 'f')).toMatchObject({
    listen: null,
    controlSocket: '/run/stillbeat/mirror-erp-east.sock',
  });
});

test('checkpoints: by references, a cut a second; on command alone', () => {
  const of = (checkpoint: string) => parseMirrorSource(`${SOURCE}checkpoint: ${checkpoint}\n`, 'f').checkpoint;
  expect(of('{ by: references }')).toEqual({ by: 'references', everyCycles: 0, ms: 1000, onFlush: false });
  expect(of('{ by: data, ms: 0 }')).toEqual({ by: 'data', everyCycles: 0, ms: 0, onFlush: false });
  expect(of('{ by: references, everyCycles: 3, onFlush: true }')).toMatchObject({ everyCycles: 3, onFlush: true });
  expect(of('{ everyCycles: 8 }')).toEqual({ by: 'references', everyCycles: 8, ms: 1000, onFlush: false });
  expect(of('{ by: entries, everyCycles: 8 }')).toBeNull();
  expect(of('{ ms: 500 }')).toBeNull();
});

test('[CY2] connections to a target, and to what was the source when this one has taken over', () => {
  const several = (text: string): string => text.replace(/connect: \S+7790/, '$&, connections: 3');
  expect(parseMirrorSource(several(SOURCE), 'f').targets[0]).toMatchObject({ name: 'east', connections: 3 });
  const { takeover } = parseMirrorTarget(several(TARGET), 'f');
  expect(takeover.targets[0]).toMatchObject({ name: 'west', connections: 3 });
});

test('an export by a Unix socket; a window that is no more than the journal', () => {
  const source = SOURCE.replace('127.0.0.1:10809', 'unix:/run/x.nbd').replace('size: 1G', 'size: 32M, window: 6M');
  const { listen, journal } = parseMirrorSource(source, 'f');
  expect(listen).toEqual({ path: '/run/x.nbd' });
  expect(parseMirrorSource(SOURCE.replace('size: 1G', 'size: 8M'), 'f').journal).toMatchObject({
    windowBytes: 8 * 2 ** 20,
    ringBytes: 8 * 2 ** 20,
  });
  expect(journal).toMatchObject({ windowBytes: 6 * 2 ** 20, ringBytes: 30 * 2 ** 20 });
});

function problems(text: string): readonly string[] {
  try {
    parseMirrorSource(text, 'f');
  } catch (error) {
    if (error instanceof SettingsErrors) return error.problems;
    throw error;
  }
  return [];
}

describe('what is wrong is told with its line and what to do', () => {
  test.each([
    ['another role', 'role: source', 'role: target', /^f:4: role: must be source, but is "target"/],
    [
      'no volumes',
      /volumes:\n.*\n/,
      'volumes: []\n',
      /^f:7: volumes: must be a list of 1 to 64 volumes, but is an empty list/,
    ],
    [
      'a log device that is a volume',
      /^# log:.*$/m,
      'log: { path: /dev/vg/data }',
      /^f:\d+: log\.path: is one of the volumes too/,
    ],
    [
      'a log device that is the journal',
      /^# log:.*$/m,
      'log: { path: /var/lib/stillbeat/erp.journal }',
      /^f:\d+: log\.path: is the journal too; give/,
    ],
    [
      'a size that is none',
      'size: 1G',
      'size: much',
      /^f:6: journal\.size: must be a size such as 64M or 1G, but is "much"/,
    ],
    [
      'a journal that is too small',
      'size: 1G',
      'size: 1M',
      /^f:6: journal\.size: must be from 4M to 64G, but is 1M; write for example/,
    ],
    [
      'a window beyond the journal',
      'size: 1G',
      'size: 8M, window: 9M',
      /^f:6: journal\.window: must be from 1M to the journal's size/,
    ],
    [
      'a target without a port',
      '192.168.60.2:7790',
      '192.168.60.2',
      /^f:11: targets\[0\]\.connect: "192\.168\.60\.2" is not an address with a port/,
    ],
    [
      'an unknown policy',
      'acknowledge: cycle',
      'acknowledge: maybe',
      /^f:12: acknowledge: must be sync, receipt, local or cycle/,
    ],
    [
      'a key that there is not',
      'cycleMs: 1000',
      'cycleMS: 1000',
      /^f:13: cycleMS: unknown key; did you mean cycleMs\?/,
    ],
    [
      'more connections than there may be',
      'connect: 192.168.60.2:7790',
      'connect: 192.168.60.2:7790, connections: 9',
      /^f:11: targets\[0\]\.connections: must be a whole number from 1 to 8, but is 9;/,
    ],
    ['a socket without a path', '127.0.0.1:10809', '"unix:"', /^f:9: export\.listen: names no socket/],
  ])('%s', (_, from, to, line) => {
    expect(SOURCE).toMatch(from);
    expect(problems(SOURCE.replace(from, to))).toEqual([expect.stringMatching(line)]);
  });

  test('two volumes of one name, and of one path', () => {
    const twice = SOURCE.replace(
      '- { name: data, path: /dev/vg/data }',
      '- { name: data, path: /a }\n  - { name: data, path: /a }',
    );
    expect(problems(twice)).toEqual([
      'f:9: volumes[1].name: data is there twice; give each its own',
      'f:9: volumes[1].path: /a is there twice; give each its own',
    ]);
  });

  test('an empty file', () => {
    expect(problems('')).toEqual([expect.stringMatching(/the file is empty; start from config\/mirror-source\.yaml$/)]);
  });
});
