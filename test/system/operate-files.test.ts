/** The files for an operator's tools, each accepted by the tool itself: unit, user, alert rules, dashboard, resource agent, hook. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { run, tool } from '../../agent/demo/shell.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const config = (name: string): string => join(ROOT, 'config', name);
const UNPACKED = join(ROOT, 'node_modules/.cache/stillbeat/usr/bin/promtool');
const PROMTOOL = existsSync(UNPACKED) ? UNPACKED : 'promtool';
const ALERT_TESTS = fileURLToPath(new URL('fixtures/alerts.test.yml', import.meta.url));

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'stillbeat-files-'));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** In a mount namespace where these shell commands have been run first. */
const inOwnMounts = (commands: string, argv: readonly string[]): string[] => [
  'unshare',
  '--mount',
  '--propagation',
  'slave',
  'sh',
  '-ec',
  `${commands}; exec "$@"`,
  'sh',
  ...argv,
];

describe('the unit', () => {
  const unit = config('systemd/stillbeat@.service');

  test.each([
    ['the agent', unit],
    ['the mirror', config('systemd/stillbeat-mirror@.service')],
  ])('of %s is accepted by systemd-analyze verify, with nothing to say', async (_, file) => {
    const install =
      'mount -t tmpfs none /usr/local/bin; printf "#!/bin/sh\\n" > /usr/local/bin/stillbeat; chmod 755 /usr/local/bin/stillbeat';
    const verified = await run(inOwnMounts(install, ['systemd-analyze', 'verify', file]));
    expect(verified).toEqual({ status: 0, stdout: '', stderr: '' });
  });

  test('is exposed less than 3.0 of 10, as systemd-analyze security reckons', async () => {
    const exposed = await run(['systemd-analyze', 'security', '--offline=true', '--threshold=30', '--no-pager', unit]);
    expect(exposed.stdout).toMatch(/Overall exposure level for stillbeat@\S+: [12]\.\d/);
    expect(exposed.status).toBe(0);
  });

  test('notifies, drains, reloads, runs without root, and starts again unless the settings are wrong', () => {
    const text = readFileSync(unit, 'utf8');
    for (const line of [
      'Type=notify',
      'WatchdogSec=30',
      'User=stillbeat',
      'Restart=on-failure',
      'RestartPreventExitStatus=2 4',
      'ExecReload=kill -HUP $MAINPID',
      'Before=corosync.service pacemaker.service',
      'DeviceAllow=/dev/net/tun rw',
    ]) {
      expect(text.split('\n')).toContain(line);
    }
    expect(text).not.toMatch(/\/dev\/watchdog|reboot-force|FailureAction|StartLimitAction/);
  });

  test('has its user made by systemd-sysusers', async () => {
    const root = join(directory, 'root');
    await tool(['mkdir', '-p', join(root, 'etc')]);
    await tool([
      'systemd-sysusers',
      `--root=${root}`,
      '--inline',
      readFileSync(config('systemd/stillbeat.sysusers.conf'), 'utf8').split('\n')[1] ?? '',
    ]);
    expect(readFileSync(join(root, 'etc/passwd'), 'utf8')).toMatch(
      /^stillbeat:x:\d+:\d+:stillbeat agent:\/:\S*nologin$/m,
    );
  });
});

describe('alerts', () => {
  const rules = (
    parse(readFileSync(config('prometheus/alerts.yml'), 'utf8')) as { groups: { rules: { alert: string }[] }[] }
  ).groups;
  const names = rules.flatMap((group) => group.rules.map(({ alert }) => alert));

  test('promtool accepts the rules, and each is told when it should be and not else', async () => {
    expect(await run([PROMTOOL, 'check', 'rules', config('prometheus/alerts.yml')])).toMatchObject({
      status: 0,
      stderr: '',
    });
    const tested = await run([PROMTOOL, 'test', 'rules', ALERT_TESTS]);
    expect(`${tested.stdout}${tested.stderr}`).toMatch(/SUCCESS/);
    expect(tested.status).toBe(0);
    const cases = (parse(readFileSync(ALERT_TESTS, 'utf8')) as { tests: { name: string }[] }).tests.map(
      ({ name }) => name,
    );
    for (const name of names) expect(cases).toEqual(expect.arrayContaining([`${name} is told`, `${name} is not told`]));
  });

  test('README says what each means and what to do, and of no other', () => {
    const section =
      /^### What each alert means$(.*?)^##/ms.exec(readFileSync(join(ROOT, 'README.md'), 'utf8'))?.[1] ?? '';
    const told = [...section.matchAll(/^\| `(\w+)` \| .{10,} \| .{10,} \|$/gm)].map(([, name]) => name);
    expect(told).toEqual(names);
  });
});

test('promtool accepts every query of the dashboard', async () => {
  const dashboard = JSON.parse(readFileSync(config('grafana/dashboard.json'), 'utf8')) as {
    panels: { title: string; targets: { expr: string }[] }[];
  };
  const queries = dashboard.panels.flatMap(({ targets }) => targets.map(({ expr }) => expr));
  expect(queries.length).toBeGreaterThan(15);
  const plain = queries.map((expr) => expr.replaceAll('$__rate_interval', '1m').replaceAll(/\$\w+/g, '.*'));
  const rules = plain.map((expr, i) => ({ record: `query:${i}`, expr }));
  const file = join(directory, 'queries.json');
  writeFileSync(file, JSON.stringify({ groups: [{ name: 'queries', rules }] }));
  expect(await run([PROMTOOL, 'check', 'rules', file])).toMatchObject({ status: 0 });
});

describe('Pacemaker', () => {
  const place = `mount -t tmpfs none /usr/lib/ocf/resource.d; mkdir /usr/lib/ocf/resource.d/stillbeat; install ${config('ocf/stillbeat')} /usr/lib/ocf/resource.d/stillbeat`;

  test('knows the resource agent by its metadata', async () => {
    const shown = await run(inOwnMounts(place, ['crm_resource', '--show-metadata', 'ocf:stillbeat:stillbeat']));
    expect(shown.status).toBe(0);
    for (const action of ['start', 'stop', 'monitor', 'meta-data', 'validate-all']) {
      expect(shown.stdout).toContain(`<action name="${action}"`);
    }
    for (const name of ['config', 'program', 'attribute', 'degrade'])
      expect(shown.stdout).toContain(`<parameter name="${name}"`);
  });

  test('the hook and the resource agent are plain shell, and may be run', async () => {
    for (const file of ['ocf/stillbeat', 'hooks/pacemaker-attribute.sh']) {
      expect(await run(['sh', '-n', config(file)])).toEqual({ status: 0, stdout: '', stderr: '' });
      expect((await run(['test', '-x', config(file)])).status).toBe(0);
    }
  });
});

describe.each([
  ['dd', 1, 'dd is not installed here: install coreutils'],
  ['drbd', 1, 'drbdsetup is not installed here: install drbd-utils'],
  ['ceph-rbd', 3, 'rbd is not installed here: install ceph-common'],
])('[AG8] the example config/copy/%s', (name, count, missing) => {
  const example = config(`copy/${name}`);

  test('is plain shell, may be run, and says what it guarantees and how it is set', async () => {
    expect(await run(['sh', '-n', example])).toEqual({ status: 0, stdout: '', stderr: '' });
    expect((await run(['test', '-x', example])).status).toBe(0);
    const text = readFileSync(example, 'utf8');
    expect(text).toMatch(/^# It guarantees/m);
    expect(text).toContain(`run: [/etc/stillbeat/copy/${name}, `);
  });

  test('refuses in one line where its tool is missing, and where it is called in another way', async () => {
    const words = Array.from({ length: count }, (_, i) => `word${i}`);
    const without = ['env', '-i', 'PATH=/nowhere', `STILLBEAT_SEND=/dev/null`, example];
    expect(await run([...without, ...words])).toEqual({ status: 1, stdout: '', stderr: `${missing}\n` });
    expect(await run(without)).toEqual({ status: 1, stdout: '', stderr: expect.stringMatching(/^usage: .+\n$/) });
  });
});
