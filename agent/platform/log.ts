/** The log: one line for each event, readable on a terminal, JSON otherwise; through winston. */
import winston from 'winston';

export type Log = winston.Logger;

/** `terminal`: lines for people. Everything goes to stderr: stdout belongs to commands' results. */
export function createLog(node: string, terminal: boolean): Log {
  const { combine, timestamp, printf, json } = winston.format;
  const readable = printf(({ timestamp: at, level, message, ...rest }) => {
    const figures = Object.entries(rest)
      .filter(([key]) => key !== 'node')
      .map(([key, value]) => `${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`);
    return [String(at), level.padEnd(5), String(message), ...figures].join(' ');
  });
  return winston.createLogger({
    level: process.env['STILLBEAT_LOG'] ?? 'info',
    defaultMeta: { node },
    format: combine(timestamp(), terminal ? readable : json()),
    transports: [new winston.transports.Console({ stderrLevels: ['error', 'warn', 'info', 'debug'] })],
  });
}
