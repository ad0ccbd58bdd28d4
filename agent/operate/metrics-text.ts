/** A status document as the text that Prometheus reads. Made anew at each scrape: a peer that is gone leaves nothing behind. */
import type { Metric, Values } from './metrics-rows.ts';

type Client = typeof import('prom-client');

/** `PROMETHEUS_CONTENT_TYPE` of prom-client. */
export const METRICS_CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

export async function metricsText(document: Values, table: readonly Metric[]): Promise<string> {
  // Where nobody asks for figures a start does without it: it takes as long to load as much of the program.
  const client = await import('prom-client');
  const registry = new client.Registry();
  for (const metric of table) addMetric(client, registry, metric, document);
  return registry.metrics();
}

function addMetric(
  { Counter, Gauge }: Client,
  registry: InstanceType<Client['Registry']>,
  { name, type, help, labels, samples }: Metric,
  document: Values,
): void {
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
