/** A settings file that is right, as lines to be changed by tests that want one thing wrong. */
import { expect, test } from 'vitest';
import { parseSettings, SettingsErrors } from '../../../agent/settings/load.ts';

export const MINIMAL: readonly string[] = [
  'cluster: lab', // line 1
  'node: a',
  'keyFile: /k',
  'vnic:',
  '  address: 10.77.0.1/24', // line 5
  'storage:',
  '  send:',
  '    volume: /v',
  'primary:',
  '  listen: 192.168.50.1:7788', // line 10
  'peers:',
  '  - node: b',
  '    address: 10.77.0.2',
  '    primary: 192.168.50.2:7788', // line 14
];

/** The minimal file with some lines replaced (by number, from 1) or removed (null), and some added at the end. */
export function changed(lines: Readonly<Record<number, string | null>>, ...added: string[]): string {
  const text = MINIMAL.map((line, index) => (index + 1 in lines ? lines[index + 1] : line));
  return [...text.filter((line) => line !== null), ...added].join('\n');
}

/** Every problem that the text has. */
export function problemsOf(text: string): readonly string[] {
  try {
    parseSettings(text, 'f.yaml');
  } catch (error) {
    if (error instanceof SettingsErrors) return error.problems;
    throw error;
  }
  return [];
}

export type Refusal = [name: string, text: string, ...lines: string[]];

/** One test for each text: it has exactly these problems. */
export function refuses(cases: Refusal[]): void {
  test.each(cases)('%s', (_name, text, ...lines) => {
    expect(problemsOf(text)).toEqual(lines.map((line) => `f.yaml:${line}`));
  });
}
