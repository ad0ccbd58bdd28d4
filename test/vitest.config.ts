import { defineConfig } from 'vitest/config';

/** One project for each need: what runs anywhere, what runs real threads, what needs root and a kernel. */
const project = (name: string, extra: Record<string, unknown> = {}) => ({
  extends: true as const,
  test: { name, include: [`test/${name}/**/*.test.ts`], ...extra },
});

export default defineConfig({
  root: new URL('..', import.meta.url).pathname,
  test: {
    pool: 'forks',
    projects: [
      project('unit', { include: ['test/unit/**/*.test.ts', 'test/*.test.ts'] }),
      project('contract'),
      project('sim', { testTimeout: 120_000 }),
      // Real threads and real kernels: one file at a time, or they would disturb each other's timing.
      project('thread', { globalSetup: ['test/support/build.ts'], fileParallelism: false, testTimeout: 30_000 }),
      project('system', {
        globalSetup: ['test/support/build.ts'],
        fileParallelism: false,
        testTimeout: 120_000,
        hookTimeout: 60_000,
      }),
    ],
  },
});
