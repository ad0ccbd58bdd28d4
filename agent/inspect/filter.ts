/** Which batches and records are wanted: by time mark and by type. */
import { PACKET_TYPES, type PacketType } from '../base/packet-type.ts';
import type { BatchHeader } from '../volume/batch.ts';

export interface Filter {
  readonly sinceUs: number;
  readonly untilUs: number;
  /** Index of the type; null: all. */
  readonly type: number | null;
}

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Microseconds since 1970 of an ISO time, or of one relative to now such as -5m; null when it is neither. */
export function timeUs(text: string, nowMs: number): number | null {
  const relative = /^-(\d{1,9}(?:\.\d{1,6})?)(ms|s|m|h|d)$/.exec(text);
  if (relative) return (nowMs - Number(relative[1]) * (UNIT_MS[relative[2] ?? ''] ?? 0)) * 1000;
  if (text === 'now') return nowMs * 1000;
  if (!/^\d{4}-\d{2}-\d{2}/.test(text)) return null;
  const ms = Date.parse(text);
  if (Number.isNaN(ms)) return null;
  // Date stops at milliseconds; what inspect prints goes on to microseconds.
  const micros = /\.\d{3}(\d{1,3})/.exec(text)?.[1] ?? '';
  return ms * 1000 + Number(micros.padEnd(3, '0'));
}

/** The index of a type's name, or null when there is none such. */
export function typeIndex(name: string): number | null {
  const index = PACKET_TYPES.indexOf(name as PacketType);
  return index < 0 ? null : index;
}

export const isInTime = (filter: Filter, header: BatchHeader): boolean =>
  header.wallUs >= filter.sinceUs && header.wallUs <= filter.untilUs;
