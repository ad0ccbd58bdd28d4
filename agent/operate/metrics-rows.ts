/**
 * How a figure for Prometheus is made of a status document. Names follow Prometheus: base units (seconds, bytes), `_total` for
 * what only grows. A row names the key where the figure stands, as README writes it; two things in that path make labels:
 *
 *     peers[].sent                          one sample for each peer, with the label `peer`
 *     peers[].queues.{type:data|bulk}.sent  one sample for each word, with the label `type`
 *
 * A key that ends in `Ms` is milliseconds, and served as seconds. What is null or not there is left out.
 */
export type Values = Readonly<Record<string, unknown>>;
export type Labels = Readonly<Record<string, string>>;
/** A value with its labels; what is not known is left out. */
export type Sample = readonly [value: unknown, labels?: Labels];

export interface Metric {
  readonly name: string;
  readonly type: 'counter' | 'gauge';
  readonly help: string;
  readonly labels: readonly string[];
  readonly samples: (document: Values) => readonly Sample[];
}

/** How a value of the document is served where it is neither a number nor true or false. */
export interface Form {
  readonly labels: readonly string[];
  readonly samples: (value: unknown) => readonly Sample[];
}

export type Row = readonly [name: string, help: string, path: string, form?: Form];

export const formed = (change: (value: unknown) => unknown): Form => ({
  labels: [],
  samples: (value) => [[change(value)]],
});

/** 1 for the word that holds, 0 for the others; nothing while none is known. */
export const oneOf = (label: string, words: readonly string[]): Form => ({
  labels: [label],
  samples: (value) => (value === null ? [] : words.map((word): Sample => [value === word, { [label]: word }])),
});

export const isSaid: Form = formed((value) => value !== null);

/** Lists of a document, with the label that tells one of them from another, and the key where it stands. */
export type Lists = Readonly<Record<string, { readonly label: string; readonly key: string }>>;

interface Leaf {
  readonly lists: Lists;
  readonly form: Form;
}

const PART = /^\{(\w+):([\w|]+)\}$/;

/** All samples at the path below `value`; `labels` are those of the way to it. */
function samplesAt(value: unknown, path: readonly string[], labels: Labels, leaf: Leaf): Sample[] {
  const [part, ...rest] = path;
  if (part === undefined) return leaf.form.samples(value).map(([number, its]) => [number, { ...labels, ...its }]);
  const values = (value ?? {}) as Values;
  const each = PART.exec(part);
  if (each) {
    const [, label = '', words = ''] = each;
    return words.split('|').flatMap((word) => samplesAt(values[word], rest, { ...labels, [label]: word }, leaf));
  }
  const list = leaf.lists[part];
  if (!list) return samplesAt(values[part] ?? null, rest, labels, leaf);
  const { label, key } = list;
  const all = (values[part.slice(0, -2)] as readonly Values[] | undefined) ?? [];
  return all.flatMap((one) => samplesAt(one, rest, { ...labels, [label]: String(one[key]) }, leaf));
}

/** The metric that a row describes. */
export function metricOf([name, help, path, given]: Row, lists: Lists): Metric {
  const parts = path.split('.');
  const seconds = formed((value) => (typeof value === 'number' ? value / 1000 : null));
  const form = given ?? (path.endsWith('Ms') ? seconds : formed((value) => value));
  const labels = parts.flatMap((part) => lists[part]?.label ?? PART.exec(part)?.[1] ?? []);
  return metric(name, help, [...labels, ...form.labels], (document) => samplesAt(document, parts, {}, { lists, form }));
}

export const metric = (name: string, help: string, labels: readonly string[], samples: Metric['samples']): Metric => ({
  name: `stillbeat_${name}`,
  type: name.endsWith('_total') ? 'counter' : 'gauge',
  help,
  labels,
  samples,
});

/** What every process of ours tells of itself. */
export const OWN_PROCESS: readonly Metric[] = [
  metric('resident_memory_bytes', 'Memory of the process', [], () => [[process.memoryUsage.rss()]]),
  metric('processor_seconds_total', 'Processor time of the process', [], () => {
    const { user, system } = process.cpuUsage();
    return [[(user + system) / 1e6]];
  }),
];
