/** A status document as the text that Prometheus reads. Made anew at each scrape: a peer that is gone leaves nothing behind. */
import { Counter, Gauge, Registry } from 'prom-client';
import type { Metric, Values } from './metrics-rows.ts';

export const METRICS_CONTENT_TYPE: string = Registry.PROMETHEUS_CONTENT_TYPE;

export async function metricsText(document: Values, table: readonly Metric[]): Promise<string> {
  const registry = new Registry();
  for (const metric of table) addMetric(registry, metric, document);
  return registry.metrics();
}

function addMetric(registry: Registry, { name, type, help, labels, samples }: Metric, document: Values): void {
  const known = samples(document).flatMap(([value, its = {}]) => {
    const number = typeof value === 'boolean' ? Number(value) : value;
    return typeof number === 'number' && Number.isFinite(number) ? [{ number, its }] : [];
  });
  if (known.length === 0) return;
  const description = { name, help, labelNames: labels, registers: [registry] };
  if (type === 'gauge') {
    const made = new Gauge(description);
    for (const { number, its } of known) made.set(its, number);
  } else {
    const made = new Counter(description);
    // Wrapped counters of shared memory come back below zero, which a counter may not be.
    for (const { number, its } of known) made.inc(its, Math.max(0, number));
  }
}
