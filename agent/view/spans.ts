/**
 * Events as the stretches of time that a way held. Pure; whoever draws a time line or reckons shares begins here.
 *
 * `off`: the agent did not run, or had just begun and did not know yet. `unknown`: nothing is kept of that time.
 */
import type { EventView } from './status.ts';

export interface Span {
  readonly path: string;
  readonly fromMs: number;
  readonly toMs: number;
  /** Why it began. */
  readonly reason: string;
}

/** The way that holds now, as the agent says. */
export interface Present {
  readonly path: string;
  readonly sinceMs: number;
}

/**
 * The spans of one peer from `fromMs` to `toMs`, without holes. `events`: oldest first; those before `fromMs` say what held
 * then. Any event shows that the agent ran; where it begins without having ended, it was off since the last one.
 */
export function spansOf(
  events: readonly EventView[],
  peer: string,
  fromMs: number,
  toMs: number,
  present: Present | null = null,
): Span[] {
  const turns: { path: string; fromMs: number; reason: string }[] = [];
  let lastMs = Number.NEGATIVE_INFINITY;
  const turn = (path: string, atMs: number, reason: string): void => {
    if (turns.at(-1)?.path !== path) turns.push({ path, fromMs: atMs, reason });
  };
  for (const event of events) {
    const atMs = Date.parse(event.at);
    if (Number.isNaN(atMs) || atMs > toMs) continue;
    if (event.kind === 'running') {
      const hasEnded = turns.length === 0 || turns.at(-1)?.path === 'off';
      turn('off', hasEnded ? atMs : lastMs, hasEnded ? 'the agent began' : 'the agent ended without a word');
    } else if (event.kind === 'stopped') turn('off', atMs, 'the agent was stopped');
    else if (event.kind === 'path' && event['peer'] === peer) turn(String(event['to']), atMs, String(event['reason']));
    lastMs = atMs;
  }
  if (present && present.sinceMs <= toMs) {
    turn(present.path, Math.max(present.sinceMs, turns.at(-1)?.fromMs ?? present.sinceMs), 'as it is now');
  }
  const spans = turns.map((each, i) => ({ ...each, toMs: turns[i + 1]?.fromMs ?? toMs }));
  return clipped(spans, fromMs, toMs);
}

function clipped(spans: readonly Span[], fromMs: number, toMs: number): Span[] {
  const inside = spans
    .map((span) => ({ ...span, fromMs: Math.max(fromMs, span.fromMs), toMs: Math.min(toMs, span.toMs) }))
    .filter((span) => span.toMs > span.fromMs);
  const beginsMs = inside[0]?.fromMs ?? toMs;
  if (beginsMs <= fromMs) return inside;
  return [{ path: 'unknown', fromMs, toMs: beginsMs, reason: 'nothing is kept of this time' }, ...inside];
}

/** How long each path held. */
export function timeOn(spans: readonly Span[]): ReadonlyMap<string, number> {
  const sums = new Map<string, number>();
  for (const { path, fromMs, toMs } of spans) sums.set(path, (sums.get(path) ?? 0) + toMs - fromMs);
  return sums;
}
