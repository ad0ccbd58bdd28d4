import { execFileSync } from 'node:child_process';

/** Compiles the program once before the tests that start it: Node 20 cannot run a `.ts` worker or command. */
export default function setup(): void {
  for (const project of ['tsconfig.json', 'agent/client/tsconfig.json']) {
    execFileSync('npx', ['tsc', '-p', project], { stdio: 'inherit' });
  }
}
