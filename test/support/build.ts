import { execFileSync } from 'node:child_process';

/**
 * Compiles the program once before the tests that start it: Node 20 cannot run a `.ts` worker or command. Not where
 * somebody says that it is compiled: two lanes that both write it would start each other's halves.
 */
export default function setup(): void {
  if (process.env['TEST_IS_BUILT'] === '1') return;
  for (const project of ['tsconfig.json', 'agent/client/tsconfig.json', 'agent/page/browser/tsconfig.json']) {
    execFileSync('npx', ['tsc', '-p', project], { stdio: 'inherit' });
  }
}
