/** The last events, newest first. */
import { eventText } from '../../view/event-text.ts';
import type { EventView } from '../../view/status.ts';
import { wayOf } from '../../view/ways.ts';
import { h } from './dom.ts';
import { clock } from './timeline.ts';

const SHOWN = 100;
const SIGNS: Readonly<Record<string, readonly [sign: string, word: string]>> = {
  error: ['×', 'error'],
  warn: ['!', 'warning'],
  info: ['·', ''],
};

export function eventList(events: readonly EventView[]): HTMLElement {
  const newest = events.slice(-SHOWN).toReversed();
  if (newest.length === 0) return h('p', { class: 'note' }, 'Nothing has happened yet.');
  return h('ol', { class: 'events' }, ...newest.map(item));
}

function item(event: EventView): HTMLElement {
  const level = typeof event['level'] === 'string' ? event['level'] : 'info';
  const [sign, word] = SIGNS[level] ?? ['·', ''];
  const at = Date.parse(event.at);
  const isToday = new Date(at).toDateString() === new Date().toDateString();
  const time = isToday ? clock(at) : `${event.at.slice(0, 10)} ${clock(at)}`;
  return h(
    'li',
    { 'data-level': level },
    h('time', { datetime: event.at }, time),
    h('span', { class: 'sign', 'aria-hidden': 'true' }, sign),
    h('span', {}, word === '' ? null : h('span', { class: 'unseen' }, `${word}: `), eventText(event)),
  );
}

/** What is read out. */
export function announcement(event: EventView): string | null {
  if (event.kind !== 'path') return null;
  return `${String(event['peer'])} is now reached ${wayOf(String(event['to'])).text}`.replace(
    'reached no way',
    'not reached: no way',
  );
}
