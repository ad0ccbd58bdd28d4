/** README's table of events, and lines of a log held against it. */
import { readFileSync } from 'node:fs';
import { expect } from 'vitest';

const README = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');

export interface DocumentedEvent {
  readonly level: string;
  readonly figures: readonly string[];
}

export const DOCUMENTED_EVENTS: ReadonlyMap<string, DocumentedEvent> = new Map(
  [
    ...(/^### Log$(.*?)^### /ms.exec(README)?.[1] ?? '').matchAll(/^\| `([\w-]+)` \| (\w+) \| (.*?) \| .{5,} \|$/gm),
  ].map(([, kind = '', level = '', figures = '']) => [
    kind,
    { level, figures: [...figures.matchAll(/`(\w+)`/g)].map(([, figure = '']) => figure) },
  ]),
);

export interface LogLine {
  readonly timestamp: string;
  readonly level: string;
  readonly node: string;
  readonly message: string;
  readonly [figure: string]: unknown;
}

/** All of a JSON log; throws for a line that is none. */
export const logLines = (log: string): LogLine[] =>
  log
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as LogLine);

/** Says why; only the start of the program needs no reason. */
export const saysWhy = (kind: string, figures: readonly string[]): boolean =>
  kind === 'running' || ['reason', 'meaning', 'advice', 'mend'].some((figure) => figures.includes(figure));

/** The line is an event of README's table, with its level, figures that stand there, and a reason. */
export function expectDocumented(line: LogLine): void {
  const { timestamp, level, node, message, untold: _storm, ...figures } = line;
  const documented = DOCUMENTED_EVENTS.get(message);
  expect([message, Date.parse(timestamp) > 0, node !== '', documented !== undefined]).toEqual([
    message,
    true,
    true,
    true,
  ]);
  const isLateProbe = message === 'path' && level === 'debug';
  if (!isLateProbe) expect([message, level]).toEqual([message, documented?.level]);
  const unknown = Object.keys(figures).filter((figure) => documented?.figures.includes(figure) !== true);
  expect([message, unknown]).toEqual([message, []]);
  expect([message, saysWhy(message, Object.keys(figures))]).toEqual([message, true]);
  const composed = Object.values(figures).filter((value) => typeof value === 'object');
  expect([message, composed]).toEqual([message, []]);
}
