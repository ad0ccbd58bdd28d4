/** Where an axis from 0 on is marked: round values, four steps at most, and no two that read the same. */
export type AxisKind = 'bytes' | 'ms' | 'count';

/** Finer than this is not written. */
const LEAST: Readonly<Record<AxisKind, number>> = { bytes: 1, ms: 0.01, count: 1 };
const STEPS_MAX = 4;

/** The end of an axis for values up to `max`: there is room above them, and one step at least. */
export const axisTop = (max: number, kind: AxisKind): number => Math.max(Number.isFinite(max) ? max : 0, LEAST[kind]);

/** Bytes in powers of two, as their units are; all else in 1, 2, 5. */
export function axisTicks(top: number, kind: AxisKind): number[] {
  const wanted = Math.max(top / STEPS_MAX, LEAST[kind]);
  const step = kind === 'bytes' ? 2 ** Math.ceil(Math.log2(wanted)) : decimalStep(wanted);
  // A little more, for steps such as 0.1 are not exact.
  const count = Math.floor(top / step + 1e-6);
  return Array.from({ length: count + 1 }, (_, i) => i * step);
}

function decimalStep(wanted: number): number {
  const power = 10 ** Math.floor(Math.log10(wanted) + 1e-9);
  return power * ([1, 2, 5].find((each) => each * power >= wanted * (1 - 1e-9)) ?? 10);
}
