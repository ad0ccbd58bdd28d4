/** The log: one line for each event, readable on a terminal, JSON otherwise; through winston. */
import winston from 'winston';
import { AgentError } from '../base/errors.ts';
import { LogSink } from './log-sink.ts';

export type Log = winston.Logger;

export const LOG_LEVELS = ['error', 'warn', 'info', 'debug'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** What needs no quotation marks to be told from the next figure. */
const PLAIN = /^[\w.:/@+,-]+$/;
/** JSON leaves these as they are; a terminal may take them for commands. */
const TERMINAL_COMMANDS = /[\u007f-\u009f]/g;

/** The level in STILLBEAT_LOG; `info` without one. Throws for what is none. */
export function logLevel(wanted: string | undefined): LogLevel {
  if (wanted === undefined || wanted === '') return 'info';
  const level = LOG_LEVELS.find((each) => each === wanted);
  if (level) return level;
  const known = LOG_LEVELS.join(', ');
  throw new AgentError('usage', `STILLBEAT_LOG is ${JSON.stringify(wanted)}, which is no level: use one of ${known}`);
}

/** What the log emits when it can be written again, with the number of lines that are missing from it. */
export const LINES_LOST = 'lines-lost';

/** `terminal`: lines for people. Everything goes to stderr: stdout belongs to commands' results. */
export function createLog(node: string, terminal: boolean, level: LogLevel): Log {
  const { combine, timestamp, printf, json } = winston.format;
  const readable = printf(({ timestamp: at, level, message, ...rest }) => {
    const figures = Object.entries(rest)
      .filter(([key]) => key !== 'node')
      .map(([key, value]) => `${key}=${valueText(value)}`);
    return [String(at), level.padEnd(5), String(message), ...figures].join(' ');
  });
  const sink = new LogSink((lines) => log.emit(LINES_LOST, lines));
  const log = winston.createLogger({
    level,
    defaultMeta: { node },
    format: combine(timestamp(), terminal ? readable : json()),
    transports: [new winston.transports.Stream({ stream: sink, eol: '\n' })],
  });
  return log;
}

/** A figure as it stands on a terminal: in quotation marks where it would be taken for more than one. */
export function valueText(value: unknown): string {
  if (typeof value === 'string' && PLAIN.test(value)) return value;
  const escaped = (character: string): string => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
  return (JSON.stringify(value) ?? 'null').replaceAll(TERMINAL_COMMANDS, escaped);
}
