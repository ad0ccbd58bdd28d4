/** Small arithmetic on measurements, and how figures are written for people. */

/** The value below which `share` (0..1) of the samples lie, nearest rank; null without samples. */
export function percentile(samples: readonly number[], share: number): number | null {
  if (samples.length === 0) return null;
  const sorted = Float64Array.from(samples).sort();
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(share * sorted.length) - 1))] ?? null;
}

export interface Spread {
  readonly p50: number | null;
  readonly p99: number | null;
}

/** Median and 99th percentile, to the microsecond. */
export function spread(samples: readonly number[]): Spread {
  return { p50: rounded(percentile(samples, 0.5)), p99: rounded(percentile(samples, 0.99)) };
}

export function rounded(ms: number | null, digits = 3): number | null {
  return ms === null ? null : Number(ms.toFixed(digits));
}

export const count = (value: number): string => value.toLocaleString('en-US');

/** Three figures at most, with the unit: 0.33 ms, 12 ms, 1.2 s. */
export function milliseconds(ms: number | null): string {
  if (ms === null) return '–';
  if (ms >= 1000) return `${(ms / 1000).toFixed(1)} s`;
  return `${ms >= 10 ? ms.toFixed(0) : ms.toFixed(2)} ms`;
}

export function bytes(value: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  const power = Math.min(units.length - 1, Math.max(0, Math.floor(Math.log10(Math.max(1, value)) / 3)));
  return `${(value / 1000 ** power).toFixed(power === 0 ? 0 : 1)} ${units[power]}`;
}

export function bitRate(bytesPerSecond: number): string {
  const bits = bytesPerSecond * 8;
  return bits >= 1e9 ? `${(bits / 1e9).toFixed(1)} Gbit/s` : `${(bits / 1e6).toFixed(0)} Mbit/s`;
}

const BARS = '▁▂▃▄▅▆▇█';

/** The newest `width` values as bars, the highest of them full height. */
export function sparkline(values: readonly number[], width: number): string {
  const shown = values.slice(-width);
  const top = Math.max(...shown, Number.MIN_VALUE);
  const bar = (value: number): string =>
    BARS[Math.min(BARS.length - 1, Math.floor((value / top) * BARS.length))] ?? ' ';
  return shown.map(bar).join('').padStart(width);
}
