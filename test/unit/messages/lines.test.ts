/** The lines of the local socket, held against the tables of agent/FORMAT.md that describe them. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { DATA } from '../../../agent/base/packet-type.ts';
import * as library from '../../../agent/client/index.ts';
import {
  errorLine,
  helloLine,
  LINE_BYTES_MAX,
  messageLine,
  parseLine,
  refusedLine,
  reportLine,
  subscribedLine,
} from '../../../agent/messages/lines.ts';
import { UNREPORTED_BYTES_MAX, UNREPORTED_MAX } from '../../../agent/messages/program-connection.ts';
import { PROGRAM_BYTES_MAX } from '../../../agent/wire/program-message.ts';

const DOCUMENT = readFileSync(new URL('../../../agent/FORMAT.md', import.meta.url), 'utf8');
const SECTION = DOCUMENT.slice(
  DOCUMENT.indexOf('### Local socket of programs'),
  DOCUMENT.indexOf('## Keys and proofs'),
);
/** The JSON of each row. */
const documented = [...SECTION.matchAll(/^\| `(\{.*?\})`/gm)].map((match) => match[1] ?? '');
const [write = '', subscribe = '', taken = '', hello = ''] = documented;

test('FORMAT.md shows each line that a program may say', () => {
  expect(parseLine(write)).toEqual({
    kind: 'write',
    request: {
      number: 1,
      peer: 'b',
      type: DATA,
      channel: 'jobs',
      bytes: new Uint8Array(Buffer.from('hello')),
      deadlineMs: 500,
    },
  });
  expect(parseLine(subscribe)).toEqual({ kind: 'subscribe', channel: 'jobs', count: 2 });
  expect(parseLine(taken)).toEqual({ kind: 'taken', number: 7 });
  expect(parseLine(hello)).toEqual({ kind: 'hello', number: 1 });
});

test('FORMAT.md shows each line that a program is told', () => {
  const hello = new Uint8Array(Buffer.from('hello'));
  const message = { number: 7, peer: 'a', type: 'data', channel: 'jobs', ageMs: 0.8, bytes: hello } as const;
  const told = [
    reportLine(1, { delivered: true, afterMs: 0.9 }),
    reportLine(1, { delivered: false, reason: 'deadline' }),
    reportLine(1, { delivered: false, reason: 'no receiver' }),
    refusedLine(1, "no peer x: this node's peers are b"),
    helloLine(1),
    subscribedLine('jobs'),
    messageLine(message),
    errorLine('a line is no JSON'),
  ];
  expect(documented.slice(4)).toEqual(told.map((line) => JSON.stringify(line)));
});

test('FORMAT.md names the limits', () => {
  expect(SECTION).toContain(`at most ${LINE_BYTES_MAX.toLocaleString('en')} bytes`);
  expect(SECTION).toContain(`${UNREPORTED_MAX} writes (or ${UNREPORTED_BYTES_MAX.toLocaleString('en')} bytes)`);
});

test('the longest message fits into a line, and the library’s limit is the format’s', () => {
  const bytes = Buffer.alloc(PROGRAM_BYTES_MAX).toString('base64');
  const line = JSON.stringify({ ...(JSON.parse(write) as object), channel: '\u0001'.repeat(64), bytes });
  expect(parseLine(line)).toMatchObject({ kind: 'write' });
  expect(line.length).toBeLessThan(LINE_BYTES_MAX);
  expect(library.MESSAGE_BYTES_MAX).toBe(PROGRAM_BYTES_MAX);
});

const writeWith = (fields: object): string => JSON.stringify({ ...(JSON.parse(write) as object), ...fields });

test.each([
  [{ peer: 7 }, 'peer is the name of a node'],
  [{ type: 'control' }, 'type is heartbeat, data or bulk'],
  [{ type: undefined }, 'type is heartbeat, data or bulk'],
  [{ channel: 'ü'.repeat(33) }, 'channel is a text of at most 64 bytes'],
  [{ bytes: 'no base64!' }, 'bytes is a text in base64'],
  [{ bytes: undefined }, 'bytes is a text in base64'],
  [{ bytes: Buffer.alloc(PROGRAM_BYTES_MAX + 1).toString('base64') }, '60001 bytes: at most 60000'],
  [{ deadlineMs: 0 }, 'deadlineMs is a number from 1 to 600000'],
  [{ deadlineMs: '5' }, 'deadlineMs is a number from 1 to 600000'],
])('a write with %j is refused, and says why', (fields, why) => {
  const line = parseLine(writeWith(fields));
  expect(line).toMatchObject({ kind: 'refused', number: 1 });
  expect(line.kind === 'refused' && line.why).toContain(why);
});

test.each([
  '',
  '{',
  'null',
  '17',
  '"text"',
  '[]',
  '{}',
  '{"taken":-1}',
  '{"taken":"7"}',
  '{"write":"1"}',
  '{"write":1.5}',
  '{"subscribe":1}',
  '{"subscribe":"jobs","count":0}',
  '{"subscribe":"jobs","count":"all"}',
])('%s is garbage', (text) => {
  expect(parseLine(text)).toMatchObject({ kind: 'garbage' });
});
