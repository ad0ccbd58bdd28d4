/** `run` that is refused: its exit status, one line on stderr that says what, where and what to do, and nothing left behind. */
import { existsSync } from 'node:fs';
import { expect } from 'vitest';
import { EXIT, type ExitReason } from '../../agent/base/errors.ts';
import { CLI_PATH, type Lab } from '../../agent/demo/lab.ts';
import type { CommandResult } from '../../agent/demo/shell.ts';

/** Command words in front of the program, to take something away from it. */
export type Wrapper = readonly string[];

export async function runToItsEnd(lab: Lab, config: string, wrapper: Wrapper = []): Promise<CommandResult> {
  return lab.exec('a', [...wrapper, process.execPath, CLI_PATH, 'run', '--config', config]);
}

/** Runs the agent of node a and expects the refusal. */
export async function refused(
  lab: Lab,
  config: string,
  reason: ExitReason,
  line: RegExp,
  wrapper: Wrapper = [],
): Promise<void> {
  const { status, stdout, stderr } = await runToItsEnd(lab, config, wrapper);
  expect(stderr).toMatch(/^stillbeat: [^\n]+\n$/);
  expect(stderr).toMatch(line);
  expect(stderr).not.toMatch(/\n\s+at /);
  expect({ status, stdout }).toEqual({ status: EXIT[reason], stdout: '' });
}

/** Nothing of a refused start stays: no interface of that name, no control socket. */
export async function nothingLeft(lab: Lab, interfaceName = 'sb0'): Promise<void> {
  const { stdout } = await lab.exec('a', ['ip', '-brief', 'link', 'show']);
  expect(stdout).not.toMatch(new RegExp(`^${interfaceName}\\b`, 'm'));
  expect(existsSync(lab.socketPath('a'))).toBe(false);
}
