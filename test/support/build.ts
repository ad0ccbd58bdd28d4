import { execFileSync } from 'node:child_process';

/** Compiles the program once before the tests that start it: Node 20 cannot run a `.ts` worker or command. */
export default function setup(): void {
  execFileSync('npx', ['tsc', '-p', 'tsconfig.json'], { stdio: 'inherit' });
}
