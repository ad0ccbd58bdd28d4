/** Times as an operator writes them, the same in every command: ISO 8601, relative to now (`-5m`), a time of day (`03:12`), or `now`. */
import type { When } from '../history/core/spans.ts';

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const DAY_MS = 86_400_000;
const TIME_OF_DAY = /^\d{1,2}:\d{2}(:\d{2}(\.\d{1,9})?)?$/;
/** A date, with a time or without; without a zone it is the local one. */
const ISO = /^(\d{4})-(\d{2})-(\d{2})([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:?\d{2})?)?$/;

/** Microseconds since 1970; null for what is no time. A time of day is the last one that has been, of this machine's time zone. */
export function timeUs(text: string, nowMs: number): number | null {
  if (text === 'now') return nowMs * 1000;
  const relative = /^-(\d{1,9}(?:\.\d{1,6})?)(ms|s|m|h|d)$/.exec(text);
  if (relative) return (nowMs - Number(relative[1]) * (UNIT_MS[relative[2] ?? ''] ?? 0)) * 1000;
  if (TIME_OF_DAY.test(text)) return timeOfDayUs(text, nowMs);
  const date = ISO.exec(text);
  if (!date || !isDay(Number(date[1]), Number(date[2]), Number(date[3]))) return null;
  // A date alone would be taken as of UTC.
  const ms = Date.parse(text.includes(':') ? text.replace(' ', 'T') : `${text}T00:00`);
  return Number.isNaN(ms) ? null : withMicroseconds(ms, text);
}

/** Date takes the 30th of February as the 2nd of March. */
function isDay(year: number, month: number, day: number): boolean {
  const found = new Date(Date.UTC(year, month - 1, day));
  return found.getUTCMonth() === month - 1 && found.getUTCDate() === day;
}

/** Date stops at milliseconds; what is printed goes on to microseconds. */
function withMicroseconds(ms: number, text: string): number {
  const micros = /\.\d{3}(\d{1,3})/.exec(text)?.[1] ?? '';
  return ms * 1000 + Number(micros.padEnd(3, '0'));
}

function timeOfDayUs(text: string, nowMs: number): number | null {
  const today = new Date(nowMs);
  const day = [today.getFullYear(), today.getMonth() + 1, today.getDate()];
  const date = day.map((part, i) => String(part).padStart(i === 0 ? 4 : 2, '0')).join('-');
  const ms = Date.parse(`${date}T${text.padStart(text.indexOf(':') === 1 ? text.length + 1 : 0, '0')}`);
  if (Number.isNaN(ms)) return null;
  return withMicroseconds(ms > nowMs ? ms - DAY_MS : ms, text);
}

export const TIME_EXAMPLES = '2026-11-21T03:12:00Z, 03:12, or -5m';
export const WHEN_EXAMPLES = '2026-11-21T03:12:00Z, 03:12, -5m, or the mark #120';

/** Of a history: a time, or an order mark (`#120`); null for what is neither. `nowMs` since 1970. */
export function parseWhen(text: string, nowMs: number): When | null {
  const mark = /^#(\d{1,15})$/.exec(text);
  if (mark) return { mark: Number(mark[1]) };
  const us = timeUs(text, nowMs);
  return us === null ? null : { timeUs: us };
}
