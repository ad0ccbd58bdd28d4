/** The arguments of `stillbeat inspect`. */
import { parseArgs } from 'node:util';
import { PACKET_TYPES } from '../base/packet-type.ts';
import { timeUs } from './operator-time.ts';
import { addressRange, typeIndex, type Filter } from '../inspect/filter.ts';
import { loadSettings } from '../settings/load.ts';
import { readKeyFile } from '../settings/key.ts';

export interface InspectRequest {
  readonly path: string;
  readonly follow: boolean;
  readonly verify: boolean;
  readonly json: boolean;
  readonly pcap: string | null;
  readonly content: boolean;
  readonly hasSince: boolean;
  readonly filter: Filter;
  /** The node that has written; null: all. */
  readonly node: string | null;
  readonly keyFile: string | null;
  readonly config: string | null;
}

const TIMES = ['--since', '--until'];
const DAY_US = 86_400_000_000;

/** `--since -5m` is what people write; parseArgs wants `--since=-5m`. */
function joined(argv: readonly string[]): string[] {
  const out: string[] = [];
  for (let i = 0; i < argv.length; i++) {
    const name = argv[i] ?? '';
    const value = argv[i + 1];
    const isTime = TIMES.includes(name) && value !== undefined && /^-\d/.test(value);
    out.push(isTime ? `${name}=${value}` : name);
    if (isTime) i++;
  }
  return out;
}

/** Throws an Error of one line on bad usage. */
export function readInspectArguments(argv: readonly string[], nowMs: number): InspectRequest {
  const { values, positionals } = parseArgs({
    args: joined(argv),
    allowPositionals: true,
    options: {
      follow: { type: 'boolean', default: false },
      verify: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      content: { type: 'boolean', default: false },
      pcap: { type: 'string' },
      since: { type: 'string' },
      until: { type: 'string' },
      node: { type: 'string' },
      type: { type: 'string' },
      address: { type: 'string' },
      port: { type: 'string' },
      'key-file': { type: 'string' },
      config: { type: 'string' },
    },
  });
  const [path, ...more] = positionals;
  if (path === undefined) throw new Error('VOLUME is missing');
  if (more.length > 0) throw new Error(`one VOLUME, not also ${more.join(' ')}`);
  const { json, pcap, verify, follow, content } = values;
  if (json && pcap !== undefined) throw new Error('--json and --pcap are two outputs: choose one');
  const filters = ['since', 'until', 'node', 'type', 'address', 'port'] as const;
  const filter = filters.find((name) => values[name] !== undefined);
  const other = follow ? 'follow' : pcap === undefined ? (content ? 'content' : filter) : 'pcap';
  if (verify && other !== undefined) throw new Error(`--verify looks at everything: leave --${other} out`);
  return {
    path,
    follow,
    verify,
    json,
    content,
    pcap: pcap ?? null,
    hasSince: values.since !== undefined,
    filter: {
      ...period(values.since, values.until, nowMs),
      type: packetType(values.type),
      address: values.address === undefined ? null : address(values.address),
      port: values.port === undefined ? null : port(values.port),
    },
    node: values.node ?? null,
    ...keyChoice(values),
  };
}

/** Which key: of a file, or of the settings. */
export function keyChoice(values: { 'key-file'?: string | undefined; config?: string | undefined }): {
  readonly keyFile: string | null;
  readonly config: string | null;
} {
  if (values['key-file'] !== undefined && values.config !== undefined) {
    throw new Error('--key-file and --config are two keys: choose one');
  }
  return { keyFile: values['key-file'] ?? null, config: values.config ?? null };
}

export function chosenKeys(choice: ReturnType<typeof keyChoice>): readonly Uint8Array[] | null {
  const file = choice.config === null ? choice.keyFile : loadSettings(choice.config).keyFile;
  return file === null ? null : readKeyFile(file);
}

function period(
  since: string | undefined,
  until: string | undefined,
  nowMs: number,
): Pick<Filter, 'sinceUs' | 'untilUs'> {
  const sinceUs = moment('since', since, nowMs, -Infinity);
  let untilUs = moment('until', until, nowMs, Infinity);
  // From 23:50 to 00:10, or to a time of day that has not been yet: the one behind the beginning is meant.
  const isTimeOfDay = until !== undefined && /^\d{1,2}:/.test(until);
  if (isTimeOfDay && untilUs < sinceUs) untilUs += DAY_US;
  if (untilUs < sinceUs) throw new Error(`--until ${until} lies before --since ${since}`);
  return { sinceUs, untilUs };
}

function moment(option: string, text: string | undefined, nowMs: number, none: number): number {
  if (text === undefined) return none;
  const us = timeUs(text, nowMs);
  if (us === null) throw new Error(`--${option} ${text} is no time such as 2026-03-01T03:12:00Z, 03:12 or -5m`);
  return us;
}

function packetType(name: string | undefined): number | null {
  if (name === undefined) return null;
  const type = typeIndex(name);
  if (type === null) throw new Error(`--type ${name} is none of ${PACKET_TYPES.join(', ')}`);
  return type;
}

function address(text: string): NonNullable<Filter['address']> {
  const range = addressRange(text);
  if (range === null) throw new Error(`--address ${text} is no address or prefix such as 10.77.0.2 or 10.77.0.0/24`);
  return range;
}

function port(text: string): number {
  if (!/^\d{1,5}$/.test(text) || Number(text) < 1 || Number(text) > 65_535) {
    throw new Error(`--port ${text} is no port from 1 to 65535`);
  }
  return Number(text);
}
