/** How an operator writes a time: ISO 8601, relative to now (`-5m`), an order mark (`#120`), or `now`. */
import type { When } from './spans.ts';

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
/** A date with a time; without a zone it is the local one. */
const ISO = /^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:?\d{2})?)?$/;

export const TIME_EXAMPLES = '2026-11-21T03:12:00Z, or -5m';
export const WHEN_EXAMPLES = '2026-11-21T03:12:00Z, -5m, or the mark #120';

/** Null for what is no time. `nowMs` since 1970. */
export function parseWhen(text: string, nowMs: number): When | null {
  if (text === 'now') return { timeUs: nowMs * 1000 };
  const mark = /^#(\d{1,15})$/.exec(text);
  if (mark) return { mark: Number(mark[1]) };
  const relative = /^-(\d{1,9}(?:\.\d{1,3})?)(ms|s|m|h|d)$/.exec(text);
  if (relative) return { timeUs: (nowMs - Number(relative[1]) * (UNITS[relative[2] ?? ''] ?? 0)) * 1000 };
  if (!ISO.test(text)) return null;
  // A date alone would be taken as of UTC.
  const ms = Date.parse(text.includes(':') ? text.replace(' ', 'T') : `${text}T00:00`);
  return Number.isNaN(ms) ? null : { timeUs: ms * 1000 };
}
