/** One table of commands: what README's block and a refusal say is what the program's help says. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { commandLines, usageError, usageOf } from '../../../agent/cli/commands.ts';

const README = readFileSync(new URL('../../../README.md', import.meta.url), 'utf8');

test('README lists the commands as help does', () => {
  const block = README.split('\n').filter((line) => line.startsWith('    stillbeat '));
  expect(block.map((line) => line.trim())).toEqual(commandLines());
});

test('a refusal is one line with the command, what is wrong and how it is meant', () => {
  const { message, exitStatus } = usageError('run', new Error('Unknown option.\nmore'));
  expect(message).toBe(`run: Unknown option; usage: ${usageOf('run')}`);
  expect(exitStatus).toBe(2);
});
