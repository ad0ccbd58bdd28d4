import { availableParallelism } from 'node:os';

import { configDefaults, defineConfig } from 'vitest/config';

/** What belongs to the mirror: it watches no clock of others, and has a project of its own, which may be slow. */
const MIRROR = [
  'test/mirror/**/*.test.ts',
  'test/thread/mirror*.test.ts',
  'test/system/mirror*.test.ts',
  'test/system/nbd*.test.ts',
];
/** What an operator does and reads: commands, files, logs, refusals. They wait on conditions, so they too may be slow. */
const OPERATOR = [
  'copy-faults',
  'format',
  'gateway-host',
  'inspect*',
  'keys',
  'lab',
  'log',
  'node-room',
  'operat*',
  'outlets',
  'package',
  'refusals*',
  'report',
  'watch',
  'tun',
  'versions',
  'workload',
].map((name) => `test/system/${name}.test.ts`);
/** Its figures are wrong beside anything else, but nobody reads them here. */
const BENCH = 'test/system/bench.test.ts';
/** It sets the clock of this machine: nothing may run beside it. */
const CLOCK = 'test/system/clock-step.test.ts';
const OTHERS = { exclude: [...configDefaults.exclude, ...MIRROR, ...OPERATOR, BENCH, CLOCK] };
/** Real processes and real kernels. */
const REAL = {
  globalSetup: ['test/support/build.ts'],
  fileParallelism: false,
  // Longer than each bound inside, which says what it waited for.
  testTimeout: 240_000,
  hookTimeout: 120_000,
};

/** One project for each need: what runs anywhere, what runs real threads, what needs root and a kernel. */
const project = (name: string, extra: Record<string, unknown> = {}) => ({
  extends: true as const,
  test: { name, include: [`test/${name}/**/*.test.ts`], ...extra },
});

export default defineConfig({
  root: new URL('..', import.meta.url).pathname,
  test: {
    pool: 'forks',
    // A bound on what hangs, for whoever runs beside others; no claim of speed.
    testTimeout: 60_000,
    // Vitest leaves one processor to itself, which on two is half of all.
    maxWorkers: availableParallelism(),
    projects: [
      // Two hundred small files: a process for each would take longer than the tests in it.
      project('unit', { include: ['test/unit/**/*.test.ts', 'test/*.test.ts'], isolate: false }),
      project('contract', { isolate: false }),
      project('sim', {
        include: ['test/sim/**/*.test.ts', 'test/mirror-sim/**/*.test.ts'],
        testTimeout: 120_000,
        // Short-lived buffers without end: a larger nursery halves what collecting them takes.
        execArgv: ['--max-semi-space-size=64'],
      }),
      // Real threads and real kernels: one file at a time, or they would disturb each other's timing.
      project('thread', { ...OTHERS, globalSetup: ['test/support/build.ts'], fileParallelism: false }),
      project('system', { ...OTHERS, ...REAL }),
      // One file at a time too: each starts processes and clients.
      project('operator', { include: OPERATOR, ...REAL }),
      project('mirror', { include: MIRROR, ...REAL }),
      project('bench', { include: [BENCH], ...REAL }),
      project('clock', { include: [CLOCK], ...REAL }),
    ],
  },
});
