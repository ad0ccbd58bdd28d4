import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { runChecks } from '../../../agent/check/checks.ts';
import { error, ok, warning, type Finding } from '../../../agent/check/finding.ts';
import { check, jsonText, listText, settingsFindings } from '../../../agent/cli/check.ts';
import { AgentError } from '../../../agent/base/errors.ts';
import { parseSettings, type SettingsErrors } from '../../../agent/settings/load.ts';
import { changed } from '../settings/minimal.ts';

const FINDINGS: Finding[] = [
  ok('vnic.tun', 'TUN is there'),
  warning('primary.carrier', 'no carrier', 'plug it in'),
  error('key', 'too short', 'make one'),
];

describe('the list', () => {
  test('is in columns, the mend on the same line, and ends with a summary', () => {
    expect(listText(FINDINGS).split('\n')).toEqual([
      'ok       vnic.tun         TUN is there',
      'warning  primary.carrier  no carrier -> plug it in',
      'error    key              too short -> make one',
      'run would stop: 1 error, 1 warning',
    ]);
  });

  test('of warnings only says that nothing stops run', () => {
    expect(listText(FINDINGS.slice(0, 2))).toMatch(/\nnothing stops run: 0 errors, 1 warning$/);
  });
});

describe('the document', () => {
  test('has every finding, and ok only without an error', () => {
    expect(JSON.parse(jsonText(FINDINGS))).toEqual({ ok: false, findings: FINDINGS });
    expect(JSON.parse(jsonText(FINDINGS.slice(0, 2)))).toMatchObject({ ok: true });
  });
});

describe('settings that cannot be used', () => {
  test('are one finding for each problem, its mend apart', () => {
    let thrown: unknown;
    try {
      parseSettings(changed({ 2: 'node: a b' }, 'colour: red'), 'f.yaml');
    } catch (caught) {
      thrown = caught;
    }
    const [name, key, ...rest] = settingsFindings(thrown as SettingsErrors);
    expect(name).toEqual({
      name: 'settings',
      level: 'error',
      what: 'f.yaml:2: node: must be 1 to 32 characters of A-Z a-z 0-9 . _ -, but is "a b"',
      mend: 'write for example node: a',
    });
    expect(key).toMatchObject({
      what: 'f.yaml:15: colour: unknown key',
      mend: expect.stringMatching(/^remove it; known here: /) as string,
    });
    expect(rest).toEqual([]);
  });

  test('because there is no file are one finding', () => {
    const fault = new AgentError('usage', 'settings file x: y does not exist: name one');
    expect(settingsFindings(fault)).toEqual([error('settings', 'settings file x: y does not exist', 'name one')]);
  });
});

describe('running the checks', () => {
  const settings = parseSettings(changed({}), 'f.yaml');

  test('keeps their order, whichever ends first', async () => {
    const slow = async () => {
      await new Promise((resolve) => setTimeout(resolve, 5));
      return [ok('slow', 'a')];
    };
    const found = await runChecks(settings, [slow, () => [ok('fast', 'b')]]);
    expect(found.map(({ name }) => name)).toEqual(['slow', 'fast']);
  });

  test('tells of one that fails, and what the others found', async () => {
    const broken = () => {
      throw new Error('no such thing\nat all');
    };
    const found = await runChecks(settings, [broken, () => [ok('other', 'b')]]);
    expect(found).toEqual([
      error('check', 'broken could not finish: no such thing', 'report this as a bug of stillbeat'),
      ok('other', 'b'),
    ]);
  });
});

describe('the command', () => {
  const folder = mkdtempSync(join(tmpdir(), 'stillbeat-check-'));
  const printed = { stdout: '', stderr: '' };
  afterAll(() => rmSync(folder, { recursive: true }));
  beforeEach(() => {
    for (const name of ['stdout', 'stderr'] as const) {
      printed[name] = '';
      vi.spyOn(process[name], 'write').mockImplementation((text) => {
        printed[name] += String(text);
        return true;
      });
    }
  });
  afterEach(() => vi.restoreAllMocks());

  const file = (text: string): string => {
    const path = join(folder, 'a.yaml');
    writeFileSync(path, text);
    return path;
  };

  test.each([
    [[], '--config is missing'],
    [['--config'], "Option '--config <value>' argument missing"],
    [['--colour'], "Unknown option '--colour'"],
    [['a.yaml'], "Unexpected argument 'a.yaml'"],
  ])('%j is bad usage', async (argv, why) => {
    expect(await check(argv)).toBe(2);
    expect(printed.stderr).toMatch(/^stillbeat: check: [^\n]*; usage: stillbeat check --config FILE \[--json\]\n$/);
    expect(printed.stderr).toContain(why);
    expect(printed.stdout).toBe('');
  });

  test('with bad settings tells every problem and ends with 2', async () => {
    const path = file(changed({ 2: 'node: a b', 5: '  address: x' }));
    expect(await check(['--config', path])).toBe(2);
    const lines = printed.stderr.trimEnd().split('\n');
    expect(lines.map((line) => line.slice(0, path.length + 13))).toEqual([
      `stillbeat: ${path}:2`,
      `stillbeat: ${path}:5`,
    ]);
  });

  test('with bad settings and --json prints the document', async () => {
    expect(await check(['--json', '--config', file('')])).toBe(2);
    expect(printed.stderr).toBe('');
    expect(JSON.parse(printed.stdout)).toMatchObject({ ok: false, findings: [{ name: 'settings', level: 'error' }] });
  });

  test('finds what would stop run and ends with 1', async () => {
    const path = file(
      changed({
        3: `keyFile: ${folder}/none`,
        8: `    volume: ${folder}/none`,
        10: '  mode: none',
        14: `control: { socket: ${folder}/a.sock }`,
      }),
    );
    expect(await check(['--config', path, '--json'])).toBe(1);
    const { ok: fine, findings } = JSON.parse(printed.stdout) as { ok: boolean; findings: Finding[] };
    expect(fine).toBe(false);
    const level = (name: string) => findings.find((finding) => finding.name === name)?.level;
    expect(level('key')).toBe('error');
    expect(level('volume')).toBe('error');
    expect(level('host.node')).toBe('ok');
    expect(level('host.control')).toBe('ok');
    expect(level('primary.mode')).toBe('ok');
    expect(level('check')).toBeUndefined();
  });
});
