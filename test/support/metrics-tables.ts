/** README's tables of figures for Prometheus, and scrapes to be held against them. */
import { readFileSync } from 'node:fs';

const README = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');

export interface DocumentedMetric {
  readonly name: string;
  /** As the table writes them. */
  readonly labels: string;
  /** Of which kind of copy, or which role of the mirror, where the table tells these apart. */
  readonly of: string;
}

/** What a section of README says is served. */
export function documentedMetrics(heading: string): readonly DocumentedMetric[] {
  const [, after = ''] = README.split(`\n### ${heading}\n`);
  const [section = ''] = after.split(/^###? /m);
  return section
    .split('\n')
    .map((line) => line.split(' | ').map((cell) => cell.replaceAll(/^\| | \|$/g, '')))
    .filter(([name]) => name?.startsWith('`stillbeat_') === true)
    .map((cells) => ({
      name: cells[0]?.replaceAll('`', '') ?? '',
      labels: cells[1] ?? '',
      of: cells.length > 3 ? (cells[2] ?? '') : '',
    }));
}

/** Of a scrape: each metric with its labels, as README's tables write them. */
export function scrapedMetrics(text: string): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const [, name = '', labels = ''] of text.matchAll(/^(\w+)(?:\{(.*)\})? \S+$/gm)) {
    found.set(name, [...labels.matchAll(/(\w+)="/g)].map(([, label]) => `\`${label}\``).join(', ') || '–');
  }
  return found;
}

export const tableOf = (metrics: readonly DocumentedMetric[]): Readonly<Record<string, string>> =>
  Object.fromEntries(metrics.map(({ name, labels }) => [name, labels]));

/** A program for Node that prints what is served at `listen`. */
export const scrapeProgram = (listen: string): string =>
  `fetch('http://${listen}/metrics').then(async (answer) => console.log(await answer.text()))`;
