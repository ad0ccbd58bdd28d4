/** An event as one line for people. */
import type { EventView } from './status.ts';
import { listText } from './units.ts';

/** What stands beside an event's sentence or says nothing to a reader. */
const LEFT_OUT = new Set(['at', 'kind', 'level', 'reason', 'untold']);

/** Without time: what happened, to whom, and why. */
export function eventText(event: EventView): string {
  const { kind, reason } = event;
  const why = typeof reason === 'string' && reason !== '' ? `: ${reason}` : '';
  if (kind === 'path') {
    return `${String(event['peer'])}: ${String(event['from'])} → ${String(event['to'])}${why}`;
  }
  const figures = Object.entries(event)
    .filter(([key, value]) => !LEFT_OUT.has(key) && value !== null && value !== '')
    .map(([key, value]) => `${key} ${Array.isArray(value) ? listText(value.map(String)) : String(value)}`);
  return `${kind}${why}${figures.length === 0 ? '' : ` (${figures.join(', ')})`}`;
}
