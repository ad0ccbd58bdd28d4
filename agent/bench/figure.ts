/** A measured figure beside its limit, taken in the same run; the document and the table that `bench` prints. */
import { table } from '../demo/report.ts';
import type { Paint } from '../demo/terminal.ts';

export interface Figure {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  /** The raw limit or the peer, measured in the same run, in the same unit; null where there is none. */
  readonly limit: number | null;
  /** value / limit, or how many times better than the peer, as `target` says. */
  readonly ratio: number | null;
  /** In words: what is to be reached. */
  readonly target: string;
  readonly met: boolean;
}

export interface BenchDocument {
  readonly name: string;
  readonly figures: readonly Figure[];
}

const tidy = (value: number): number => Number(value.toPrecision(4));

/** A figure that may be at most `factor` times its limit. */
export function atMost(name: string, unit: string, value: number, limit: number, factor: number): Figure {
  const ratio = value / limit;
  return figure(name, unit, value, limit, ratio, `<= ${factor} x`, ratio <= factor);
}

/** A figure that must be at least `factor` times its limit. */
export function atLeast(name: string, unit: string, value: number, limit: number, factor: number): Figure {
  const ratio = value / limit;
  return figure(name, unit, value, limit, ratio, `>= ${factor} x`, ratio >= factor);
}

/** A figure with a bound of its own. */
export function below(name: string, unit: string, value: number, bound: number): Figure {
  return figure(name, unit, value, null, null, `<= ${bound} ${unit}`.trim(), value <= bound);
}

/** A figure that may be `bound` more than without us: it is the difference that counts, in the figure's own unit. */
export function addsAtMost(name: string, unit: string, value: number, without: number, bound: number): Figure {
  const ratio = without === 0 ? null : value / without;
  return figure(name, unit, value, without, ratio, `<= ${bound} ${unit} more`, value - without <= bound);
}

/** A count that must be nothing, beside the same count without us. */
export function none(name: string, unit: string, value: number, without: number): Figure {
  return figure(name, unit, value, without, without === 0 ? null : value / without, '0', value === 0);
}

/** A figure that must be `factor` times smaller than the peer's. */
export function timesFaster(name: string, unit: string, value: number, peer: number, factor: number): Figure {
  const ratio = peer / value;
  return figure(name, unit, value, peer, ratio, `>= ${factor} x faster`, ratio >= factor);
}

/** A count that must be `wanted`, beside the peer's. */
export function moreThan(name: string, unit: string, value: number, peer: number, wanted: number): Figure {
  return figure(name, unit, value, peer, peer === 0 ? null : value / peer, `${wanted}`, value === wanted);
}

function figure(
  name: string,
  unit: string,
  value: number,
  limit: number | null,
  ratio: number | null,
  target: string,
  met: boolean,
): Figure {
  const kept = { limit: limit === null ? null : tidy(limit), ratio: ratio === null ? null : tidy(ratio) };
  return { name, value: tidy(value), unit, ...kept, target, met };
}

export function figureLines(figures: readonly Figure[], paint: Paint): string[] {
  const number = (value: number | null) => (value === null ? '–' : String(value));
  const rows = figures.map(({ name, value, unit, limit, ratio, target, met }) => [
    name,
    `${value} ${unit}`.trim(),
    limit === null ? '–' : `${limit} ${unit}`.trim(),
    number(ratio),
    target,
    met ? 'met' : 'MISSED',
  ]);
  return table(['figure', 'measured', 'limit beside it', 'ratio', 'target', ''], rows, paint);
}
