/** What the commands share about their arguments: refusing them in one line, and reading sizes. */
import { AgentError } from '../base/errors.ts';
import { usageError, type CommandName } from './commands.ts';

/** Writes one line to stderr and answers the status for bad usage. */
export function refuseUsage(command: CommandName, what: unknown): number {
  return reportError(null, usageError(command, what));
}

/** Writes an expected error as one line and answers its status; anything else is a mistake of ours and thrown on. */
export function reportError(command: CommandName | null, caught: unknown): number {
  if (!(caught instanceof AgentError)) throw caught;
  const where = command === null ? '' : `${command}: `;
  for (const line of caught.message.split('\n')) process.stderr.write(`stillbeat: ${where}${line}\n`);
  return caught.exitStatus;
}

const UNITS: Readonly<Record<string, number>> = { '': 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30, T: 2 ** 40 };

/** Bytes of a size such as 64M or 67108864 (K, M, G and T are powers of 1024); null when it is none. */
export function sizeBytes(text: string): number | null {
  const match = /^(\d{1,15})([KMGT]?)(?:iB|B)?$/i.exec(text);
  if (match === null) return null;
  const bytes = Number(match[1]) * (UNITS[(match[2] ?? '').toUpperCase()] ?? Number.NaN);
  return Number.isSafeInteger(bytes) ? bytes : null;
}
