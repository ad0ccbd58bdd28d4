/** Hooks as real programs: what they are told, and what happens when they hang, fail, are missing or flood. */
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type HookReport, PathHooks } from '../../../agent/operate/path-hooks.ts';
import { eventually, SOON_MS } from '../../support/cluster.ts';

let directory: string;
let hooks: PathHooks;
let reports: HookReport[];
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'stillbeat-hooks-'));
  reports = [];
  hooks = new PathHooks((report) => reports.push(report));
});
afterEach(() => {
  hooks.close();
  rmSync(directory, { recursive: true, force: true });
});

const OWNER = { cluster: 'lab', node: 'a', socket: '/run/a.sock' };
const AT = '2026-11-20T22:47:27.000Z';

function use(text: string, timeoutMs = 10_000, peers = ['b', 'c']): string {
  const program = join(directory, 'hook');
  writeFileSync(program, `#!/bin/sh\ncd ${directory}\n${text}\n`);
  chmodSync(program, 0o755);
  hooks.use({ onPath: program, timeoutMs }, OWNER, peers);
  return program;
}

const done = async (count: number): Promise<void> => {
  await eventually(`${count} runs`, SOON_MS, () => reports.length >= count);
  expect(reports.length).toBe(count);
};

const lines = (file: string): string[] =>
  existsSync(join(directory, file)) ? readFileSync(join(directory, file), 'utf8').trimEnd().split('\n') : [];

const isAlive = (pid: number): boolean => {
  try {
    return !readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ');
  } catch {
    return false;
  }
};

const TELL = 'echo "$STILLBEAT_PEER:$STILLBEAT_FROM>$STILLBEAT_TO" >> told';

test('a program is told everything that the README names, and nothing of systemd', async () => {
  use('env | grep ^STILLBEAT_ | sort > environment');
  hooks.path('c', 'network', 'heard', AT);
  await done(1);
  hooks.path('b', 'storage', '3 probes lost', AT);
  await done(2);
  expect(lines('environment')).toEqual([
    `STILLBEAT_AT=${AT}`,
    'STILLBEAT_CLUSTER=lab',
    'STILLBEAT_FROM=',
    'STILLBEAT_NODE=a',
    'STILLBEAT_PATHS=b=storage c=network',
    'STILLBEAT_PEER=b',
    'STILLBEAT_REASON=3 probes lost',
    'STILLBEAT_SOCKET=/run/a.sock',
    'STILLBEAT_TO=storage',
    'STILLBEAT_WORST=storage',
  ]);
  const readme = readFileSync(new URL('../../../README.md', import.meta.url), 'utf8');
  for (const line of lines('environment')) expect(readme).toContain(`\`${line.split('=')[0]}\``);
});

test('while one runs the newest state of each peer waits; what was told already and suspect are not told', async () => {
  use(`${TELL}; while [ ! -e go ]; do sleep 0.02; done`);
  hooks.path('b', 'network', 'heard', AT);
  for (const path of ['storage', 'returning', 'isolated', 'suspect']) hooks.path('b', path, '', AT);
  for (const path of ['network', 'storage', 'network']) hooks.path('c', path, '', AT);
  writeFileSync(join(directory, 'go'), '');
  await done(3);
  hooks.path('b', 'isolated', 'again', AT);
  hooks.path('zz', 'network', 'no peer', AT);
  hooks.path('c', 'storage', '', AT);
  await done(4);
  expect(lines('told')).toEqual(['b:>network', 'b:network>isolated', 'c:>network', 'c:network>storage']);
  expect(reports.every(({ fault }) => fault === null)).toBe(true);
});

test('one that hangs and does not listen is ended with what it started, and the next state is told', async () => {
  use(`${TELL}; trap '' TERM; sh -c 'trap "" TERM; echo $$ > child; while :; do sleep 1; done' & wait; sleep 100`, 300);
  hooks.path('b', 'storage', '', AT);
  hooks.path('c', 'storage', '', AT);
  await eventually('it has a child', SOON_MS, () => lines('child').length > 0);
  const child = Number(lines('child')[0]);
  await eventually('the first is ended', SOON_MS, () => reports.length > 0);
  expect(reports[0]).toMatchObject({ peer: 'b', fault: 'did not end within 300 ms' });
  await eventually('its child too', SOON_MS, () => !isAlive(child));
  await done(2);
  expect(lines('told')).toEqual(['b:>storage', 'c:>storage']);
});

test('one that fails is told with its status and its last word, without control characters', async () => {
  const program = use('echo first >&2; printf "no \\033[31mmanager\\n\\n" >&2; exit 3');
  hooks.path('b', 'storage', '', AT);
  await done(1);
  expect(reports).toEqual([{ peer: 'b', program, fault: 'ended with status 3', said: 'no  [31mmanager' }]);
});

test('one that is missing, or may not be run, is told as such', async () => {
  const program = use('true');
  rmSync(program);
  hooks.path('b', 'storage', '', AT);
  await done(1);
  writeFileSync(program, '#!/bin/sh\n', { mode: 0o600 });
  hooks.path('b', 'network', '', AT);
  await done(2);
  expect(reports[0]?.fault).toMatch(/^is missing/);
  expect(reports[1]?.fault).toMatch(/^may not be run: make it executable/);
});

test('one that floods its output is ended; its standard output goes nowhere', async () => {
  use('echo $$ > pid; yes | head -c 1000000; yes too much >&2');
  hooks.path('b', 'storage', '', AT);
  await done(1);
  expect(reports[0]).toMatchObject({ fault: 'wrote more than 65536 bytes to stderr' });
  expect(reports[0]?.said.length).toBeLessThan(301);
  const pid = Number(lines('pid')[0]);
  await eventually('it is gone', SOON_MS, () => !isAlive(pid));
});

test('a child that it leaves at work holds nothing up', async () => {
  use('sleep 5 >/dev/null & exit 0');
  hooks.path('b', 'storage', '', AT);
  await done(1);
  expect(reports[0]?.fault).toBeNull();
});

test('at the end nobody waits: what runs is killed, and nothing more is started or told', async () => {
  use(`${TELL}; echo $$ > pid; trap '' TERM; while :; do sleep 1; done`);
  hooks.path('b', 'storage', '', AT);
  hooks.path('c', 'storage', '', AT);
  await eventually('it runs', SOON_MS, () => lines('pid').length > 0);
  const pid = Number(lines('pid')[0]);
  hooks.close();
  await eventually('it is gone', SOON_MS, () => !isAlive(pid));
  expect(lines('told')).toEqual(['b:>storage']);
  expect(reports).toEqual([]);
});

test('peers that leave the settings are told and forgotten, new ones are told, and no program is no work', async () => {
  hooks.use({ onPath: null, timeoutMs: 1000 }, OWNER, ['b']);
  hooks.path('b', 'network', '', AT);
  use(TELL, 10_000, ['b', 'c']);
  await done(1);
  hooks.path('c', 'network', '', AT);
  await done(2);
  use(TELL, 10_000, ['c']);
  hooks.path('b', 'storage', '', AT);
  await done(3);
  use(TELL, 10_000, ['b', 'c']);
  hooks.path('b', 'storage', '', AT);
  await done(4);
  hooks.use({ onPath: null, timeoutMs: 1000 }, OWNER, ['c']);
  use(TELL, 10_000, ['b', 'c']);
  hooks.path('b', 'network', '', AT);
  await done(5);
  expect(lines('told')).toEqual(['b:>network', 'c:>network', 'b:network>removed', 'b:>storage', 'b:>network']);
});

test('a removal is told without the peer among the paths; of one that returns meanwhile nothing but its path', async () => {
  const text = 'echo "$STILLBEAT_PEER:$STILLBEAT_FROM>$STILLBEAT_TO worst=$STILLBEAT_WORST $STILLBEAT_PATHS" >> told';
  use(text, 10_000, ['b', 'c', 'd']);
  hooks.path('b', 'isolated', '', AT);
  await done(1);
  hooks.path('c', 'network', '', AT);
  await done(2);
  use(`${text}; while [ ! -e go ]; do sleep 0.02; done`, 10_000, ['b', 'c', 'd']);
  hooks.path('c', 'storage', '', AT);
  hooks.use({ onPath: join(directory, 'hook'), timeoutMs: 10_000 }, OWNER, ['c']);
  hooks.use({ onPath: join(directory, 'hook'), timeoutMs: 10_000 }, OWNER, ['b', 'c']);
  hooks.use({ onPath: join(directory, 'hook'), timeoutMs: 10_000 }, OWNER, ['c', 'e']);
  writeFileSync(join(directory, 'go'), '');
  await done(4);
  hooks.use({ onPath: join(directory, 'hook'), timeoutMs: 10_000 }, OWNER, ['c', 'b']);
  hooks.path('b', 'network', '', AT);
  await done(5);
  expect(lines('told')).toEqual([
    'b:>isolated worst=isolated b=isolated c= d=',
    'c:>network worst=isolated b=isolated c=network d=',
    'c:network>storage worst=isolated b=isolated c=storage d=',
    'b:isolated>removed worst=storage c=storage e=',
    'b:>network worst=storage c=storage b=network',
  ]);
});
