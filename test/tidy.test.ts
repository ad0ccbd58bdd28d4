/** The rules of the house that a machine can check: who imports whom, and what nobody calls. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';

const root = new URL('..', import.meta.url).pathname;

function sources(folder: string): string[] {
  return readdirSync(join(root, folder)).flatMap((name) => {
    const path = join(folder, name);
    if (statSync(join(root, path)).isDirectory()) return sources(path);
    // What only describes another package's code is no code.
    return name.endsWith('.ts') && !name.endsWith('.d.ts') ? [path] : [];
  });
}

const code = [...sources('agent'), ...sources('vnic')];

/** What a file imports of the project's own, at its start or when it is needed, as paths from the root. */
function imports(file: string): { path: string; isType: boolean }[] {
  const text = readFileSync(join(root, file), 'utf8');
  const found = [
    ...text.matchAll(/^(?:import|export)\s+(type\s+)?[^;]*?from\s+'(\.[^']+)'/gms),
    ...text.matchAll(/\bawait import\(()'(\.[^']+)'\)/g),
  ];
  return found.map(([, type = '', path = '']) => ({
    path: relative(root, resolve(root, dirname(file), path)),
    isType: type !== '',
  }));
}

/** The folder that the table speaks of: the mirror's parts are told apart. */
function folderOf(path: string): string {
  if (path.startsWith('vnic')) return 'vnic';
  return path
    .split('/')
    .slice(0, /^agent\/(mirror|history)\//.test(path) ? 3 : 2)
    .join('/');
}

/** The table of ARCHITECTURE.md, "Who may import whom": folders and single files. */
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  'agent/base': [],
  vnic: ['agent/base', 'agent/platform/native.ts'],
  'agent/platform': ['agent/base'],
  'agent/settings': ['agent/base'],
  'agent/bypass': ['agent/base', 'agent/platform', 'agent/settings', 'agent/core/classify.ts', 'vnic/ip-packet.ts'],
  'agent/wire': ['agent/base'],
  'agent/queue': ['agent/base'],
  'agent/volume': ['agent/base', 'agent/queue', 'agent/wire'],
  'agent/messages': ['agent/base', 'agent/platform/clock.ts', 'agent/queue', 'agent/wire', 'agent/unix-server.ts'],
  'agent/client': [],
  'agent/gateway': ['agent/base', 'agent/platform', 'agent/settings', 'agent/queue', 'agent/wire'],
  'agent/core': ['agent/base', 'agent/wire', 'agent/queue', 'vnic/ip-address.ts', 'vnic/ip-packet.ts'],
  'agent/nbd': ['agent/base', 'agent/platform', 'agent/unix-server.ts'],
  'agent/view': [],
  'agent/operate': ['agent/base', 'agent/platform', 'agent/settings', 'agent/view'],
  'agent/page': [
    'agent/base',
    'agent/platform',
    'agent/settings',
    'agent/operate',
    'agent/view',
    'agent/inspect',
    'agent/control-client.ts',
  ],
  'agent/copy': [
    'agent/base',
    'agent/platform',
    'agent/settings',
    'agent/queue',
    'agent/volume',
    'agent/operate',
    'agent/mirror',
    'agent/flush',
    'agent/threads.ts',
    'agent/volumes.ts',
  ],
  'agent/mirror/wire': ['agent/base'],
  'agent/mirror/core': ['agent/base', 'agent/mirror/wire'],
  'agent/mirror/store': ['agent/base', 'agent/mirror/wire'],
  'agent/mirror/scan': ['agent/base', 'agent/mirror/store', 'agent/mirror/wire'],
  'agent/mirror/link': ['agent/base', 'agent/mirror/core', 'agent/mirror/scan', 'agent/mirror/wire', 'agent/wire'],
  'agent/mirror/threads': [
    'agent/base',
    'agent/platform',
    'agent/mirror/scan',
    'agent/mirror/store',
    'agent/mirror/wire',
  ],
  'agent/mirror/source': [
    'agent/base',
    'agent/platform',
    'agent/nbd',
    'agent/settings',
    'agent/mirror',
    'agent/history/monitor',
  ],
  'agent/history/wire': ['agent/base', 'agent/mirror/core', 'agent/mirror/link', 'agent/mirror/wire'],
  'agent/history/core': ['agent/base', 'agent/history/wire'],
  'agent/history/store': [
    'agent/base',
    'agent/platform',
    'agent/history/core',
    'agent/history/wire',
    'agent/mirror/core',
  ],
  'agent/history/monitor': ['agent/base', 'agent/platform', 'agent/history', 'agent/mirror'],
  'agent/history/recorder': ['agent/base', 'agent/platform', 'agent/history', 'agent/mirror'],
  'agent/history/host': ['agent/base', 'agent/platform', 'agent/history', 'agent/mirror'],
  'agent/history/serve': ['agent/nbd', 'agent/history/store'],
  'agent/mirror/target': ['agent/base', 'agent/platform', 'agent/nbd', 'agent/settings', 'agent/mirror'],
};

describe('imports', () => {
  it('[PURE1] every folder imports only what the table in ARCHITECTURE.md allows', () => {
    const wrong: string[] = [];
    for (const file of code) {
      const folder = folderOf(file);
      const allowed = ALLOWED[folder];
      if (!allowed) continue;
      for (const { path, isType } of imports(file)) {
        const fine = isType || folderOf(path) === folder || allowed.some((place) => path.startsWith(place));
        if (!fine) wrong.push(`${file} imports ${path}`);
      }
    }
    expect(wrong).toEqual([]);
  });

  it('nothing but the commands imports the commands', () => {
    const wrong = code
      .filter((file) => !/^agent\/(cli|demo|bench|inspect)/.test(file))
      .flatMap((file) =>
        imports(file)
          .filter(({ path }) => path.startsWith('agent/cli/'))
          .map(({ path }) => `${file} imports ${path}`),
      );
    expect(wrong).toEqual([]);
  });

  it('no file is dead: each one is imported, or started by name', () => {
    const started = [
      'agent/cli.ts',
      'agent/client/index.ts',
      'agent/flush/worker.ts',
      'agent/page/browser/main.ts',
      'agent/page/worker.ts',
      'agent/reader/worker.ts',
      'agent/switch/worker.ts',
    ];
    const used = new Set(started);
    for (const file of [...code, ...sources('test')]) for (const { path } of imports(file)) used.add(path);
    const text = code.map((file) => readFileSync(join(root, file), 'utf8')).join('\n');
    const dead = code.filter(
      (file) => !used.has(file) && !text.includes(file.split('/').at(-1)?.replace('.ts', '.js') ?? ''),
    );
    expect(dead).toEqual([]);
  });
});

describe('calls', () => {
  it('[PURE1] the pure folders know no clock, timer, randomness or file', () => {
    const banned =
      /\bDate\.now|\bnew Date\b|Math\.random|setTimeout|setInterval|performance\.now|node:fs|node:net|node:dgram/;
    const wrong = code
      .filter((file) => /^agent\/(base|wire|queue|volume|core)\/|^agent\/gateway\/machine\.ts$/.test(file))
      .filter((file) => banned.test(readFileSync(join(root, file), 'utf8')));
    expect(wrong).toEqual([]);
  });
});
