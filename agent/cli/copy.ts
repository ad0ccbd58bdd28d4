/**
 * `stillbeat copy` (AG8): one copy of the send volume now. Status 0: the position is readable at the peers, and those that are
 * heard by storage have read it.
 */
import { parseArgs } from 'node:util';
import { EXIT } from '../base/errors.ts';
import { ask } from '../control-client.ts';
import { loadSettings } from '../settings/load.ts';
import type { Settings } from '../settings/settings.ts';
import { usageError } from './commands.ts';
import { requireConfig } from './usage.ts';

/** Of the socket, beyond the deadline that the agent keeps. */
const ANSWER_MS = 5000;
const DEADLINE_MS_MAX = 86_400_000;

export async function copy(argv: string[]): Promise<number> {
  const options = {
    config: { type: 'string' },
    peer: { type: 'string' },
    position: { type: 'string' },
    within: { type: 'string' },
    json: { type: 'boolean' },
  } as const;
  const { values } = parseArgs({ args: argv, options });
  const settings = loadSettings(requireConfig('copy', values.config));
  const deadlineMs = count('--within', values.within, DEADLINE_MS_MAX) ?? defaultDeadlineMs(settings);
  const position = count('--position', values.position, Number.MAX_SAFE_INTEGER);
  const request = { command: 'copy', peer: values.peer ?? null, position, deadlineMs };
  const answer = await ask(settings.controlSocket, request, deadlineMs + ANSWER_MS);
  process.stdout.write(values.json === true ? `${JSON.stringify(answer)}\n` : sentence(answer));
  return EXIT.ok;
}

/** What the copy may take; a peer says with its next beacon, which its own copy brings, what it has read. */
function defaultDeadlineMs({ storage }: Settings): number {
  const { copy, copyWithinMs, command, beaconMs } = storage;
  const madeMs = copy === 'command' && command ? 2 * command.timeoutMs : copyWithinMs;
  return madeMs + copyWithinMs + 3 * beaconMs;
}

function count(option: string, text: string | undefined, most: number): number | null {
  if (text === undefined) return null;
  const value = Number(text);
  if (/^\d{1,16}$/.test(text) && value <= most) return value;
  throw usageError('copy', `${option} ${text}: a whole number up to ${most}`);
}

function sentence(answer: Readonly<Record<string, unknown>>): string {
  const [readBy, notHeard] = [answer['readBy'] as string[], answer['notHeard'] as string[]];
  const tenths = (value: unknown): number => Math.round(Number(value) * 10) / 10;
  const parts = [
    `position ${String(answer['position'])} is on the copy after ${tenths(answer['copiedMs'])} ms`,
    ...(readBy.length > 0 ? [`read by ${readBy.join(', ')} after ${tenths(answer['afterMs'])} ms`] : []),
    ...(notHeard.length > 0 ? [`not heard by storage: ${notHeard.join(', ')}`] : []),
  ];
  return `${parts.join('; ')}\n`;
}
