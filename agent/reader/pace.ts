/**
 * How soon the reader polls again. Polling is what storage costs when nothing happens, and what latency costs when
 * something does, so it follows the traffic:
 *
 *   an answer is due (we have just written)    at once, for ANSWER_MS
 *   packets came within BUSY_MS                every `active`
 *   within LINGER_MS, or storage is the way    every `active`, growing with the silence, up to NEEDED_MS_MAX
 *   otherwise                                  every `idle`
 */
export interface PaceSettings {
  readonly idle: number;
  readonly active: number;
}

const ANSWER_MS = 0.6;
const BUSY_MS = 20;
const LINGER_MS = 200;
/** A peer whose packets may come by storage alone is looked at so often, however long it has been silent. */
export const NEEDED_MS_MAX = 2;

/**
 * `newsMs`: when a batch of the peer last brought something that the network had not; `writtenMs`: when we last wrote
 * something to it; `needed`: its packets may come by storage alone. Answers milliseconds to sleep.
 */
export function pollPause(
  settings: PaceSettings,
  nowMs: number,
  newsMs: number,
  writtenMs: number,
  needed: boolean,
): number {
  const sinceNews = nowMs - newsMs;
  if (!needed && sinceNews > LINGER_MS) return settings.idle;
  if (nowMs - writtenMs < ANSWER_MS && writtenMs > newsMs) return 0;
  const silence = Math.min(sinceNews, nowMs - writtenMs);
  if (silence < BUSY_MS) return settings.active;
  const grown = (settings.active * silence) / BUSY_MS;
  return Math.min(settings.idle, Math.max(settings.active, Math.min(grown, NEEDED_MS_MAX)));
}
