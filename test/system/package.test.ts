/** The packed npm package, installed elsewhere as an operator does it, and the commands of it that need no host set-up. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { run, tool } from '../../agent/demo/shell.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const INSTALL_TIMEOUT_MS = 180_000;
const COMMANDS = [
  'demo',
  'format',
  'check',
  'run',
  'status',
  'report',
  'path',
  'copy',
  'key',
  'send',
  'receive',
  'inspect',
  'mirror',
  'bench',
];
let directory: string;
let stillbeat: string;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'stillbeat-package-'));
  await tool(['npm', '--prefix', ROOT, 'pack', ROOT, '--ignore-scripts', '--silent', '--pack-destination', directory], {
    timeoutMs: INSTALL_TIMEOUT_MS,
  });
  const tarball = readdirSync(directory).find((name) => name.endsWith('.tgz')) ?? '';
  writeFileSync(join(directory, 'package.json'), '{ "private": true }\n');
  const install = [
    'npm',
    '--prefix',
    directory,
    'install',
    '--omit=dev',
    '--prefer-offline',
    '--no-audit',
    '--no-fund',
  ];
  await tool([...install, join(directory, tarball)], { timeoutMs: INSTALL_TIMEOUT_MS });
  stillbeat = join(directory, 'node_modules', '.bin', 'stillbeat');
}, 2 * INSTALL_TIMEOUT_MS);
afterAll(() => rmSync(directory, { recursive: true, force: true }));

test('help lists the commands, --version is the package’s', async () => {
  const help = await run([stillbeat, 'help']);
  expect(help).toMatchObject({ status: 0, stderr: '' });
  for (const command of COMMANDS) {
    expect(help.stdout).toMatch(new RegExp(`^  stillbeat ${command}\\b`, 'm'));
  }
  const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string };
  expect((await run([stillbeat, '--version'])).stdout).toBe(`${version}\n`);
});

test('every command that help names is there: bad usage is told, nothing is missing in the package', async () => {
  for (const command of COMMANDS) {
    const { status, stderr } = await run([stillbeat, command, '--no-such-option']);
    expect([command, status]).toEqual([command, 2]);
    expect(stderr).toMatch(/^stillbeat/);
  }
});

test('stillbeat/client is there for programs, with its types', async () => {
  const script = "import('stillbeat/client').then(({ connect }) => connect({ socket: '/nowhere' })).catch(console.log)";
  const { stdout } = await run(['sh', '-c', `cd ${directory} && exec ${process.execPath} -e "${script}"`]);
  expect(stdout).toMatch(/^Error: messages socket \/nowhere: connect ENOENT/);
  const types = join(directory, 'node_modules', 'stillbeat', 'dist', 'agent', 'client', 'index.d.ts');
  expect(readFileSync(types, 'utf8')).toMatch(/^export declare class Client\b/m);
});

test('format makes a volume, and check tells what is wrong with the settings of the example on this host', async () => {
  const volume = join(directory, 'volume');
  writeFileSync(volume, '');
  truncateSync(volume, 16 << 20);
  const format = await run([stillbeat, 'format', volume, '--cluster', 'lab', '--nodes', 'a,b']);
  expect(format).toMatchObject({ status: 0, stderr: '' });
  expect(readFileSync(volume).subarray(0, 8).toString()).toBe('STILLVOL');
  const example = join(directory, 'node_modules', 'stillbeat', 'config', 'two-node.yaml');
  const check = await run([stillbeat, 'check', '--config', example]);
  expect(check.status).toBe(1);
  expect(check.stdout).toMatch(/^run would stop: \d+ errors?/m);
});

test('the package holds what a user needs and nothing of the tests', () => {
  const root = join(directory, 'node_modules', 'stillbeat');
  const names = readdirSync(root);
  expect(names).toEqual(
    expect.arrayContaining(['dist', 'config', 'LICENSE', 'CHANGELOG.md', 'ARCHITECTURE.md', 'package.json']),
  );
  expect(names).not.toContain('test');
  expect(statSync(join(root, 'dist', 'agent', 'cli.js')).mode & 0o111).not.toBe(0);
});
