/** What the demo found: one document for programs, and the same as a table for people. */
import { COPY_WORDS, type LabCopy } from './lab-copies.ts';
import { type Spread, count, milliseconds, bytes } from './figures.ts';
import { type Takeover, type Way } from './takeovers.ts';
import { type Paint, columnsOf, padEnd, padStart } from './terminal.ts';

/** What `demo --json` prints; its keys are promised. */
export interface DemoReport {
  readonly ok: boolean;
  readonly nodes: number;
  /** How what one node writes came to the other. */
  readonly copy: 'shared' | LabCopy;
  readonly takeovers: readonly Takeover[];
  readonly heartbeats: {
    readonly sent: number;
    readonly received: number;
    readonly lost: number;
    readonly duplicated: number;
  };
  readonly ping: { readonly sent: number; readonly received: number };
  readonly tcp: { readonly bytes: number; readonly survived: boolean; readonly corrupted: number };
  readonly rttMs: { readonly network: Spread; readonly storage: Spread };
}

/** The takeovers that a run must show, and no others. */
const EXPECTED: readonly { kind: Takeover['kind']; from: Way; to: Way }[] = [
  { kind: 'silent', from: 'network', to: 'storage' },
  { kind: 'return', from: 'storage', to: 'network' },
  { kind: 'carrier', from: 'network', to: 'storage' },
  { kind: 'return', from: 'storage', to: 'network' },
];

const CAUSE = {
  silent: 'silent cut',
  carrier: 'carrier lost',
  return: 'network back',
  unexpected: 'by itself',
} as const satisfies Record<Takeover['kind'], string>;

/** Everything that was not as it should be; a run is good when there is nothing. */
export function shortfalls(report: Omit<DemoReport, 'ok'>): string[] {
  const { heartbeats, ping, tcp } = report;
  const name = ({ kind, from, to }: Pick<Takeover, 'kind' | 'from' | 'to'>): string =>
    `${CAUSE[kind]}: ${from} to ${to}`;
  const seen = report.takeovers.map(name);
  const result: string[] = [];
  const check = (good: boolean, what: string): void => {
    if (!good) result.push(what);
  };
  const wanted = EXPECTED.map(name);
  check(seen.join() === wanted.join(), `takeovers were [${seen.join(', ')}], not [${wanted.join(', ')}]`);
  check(heartbeats.sent > 0, 'no heartbeats were sent');
  check(heartbeats.lost === 0, `${heartbeats.lost} heartbeats were lost`);
  check(heartbeats.duplicated === 0, `${heartbeats.duplicated} heartbeats came twice`);
  check(ping.received === ping.sent && ping.sent > 0, `${ping.sent - ping.received} of ${ping.sent} pings were lost`);
  check(tcp.survived, 'the TCP connection did not survive');
  check(tcp.corrupted === 0, `${tcp.corrupted} bytes of the TCP stream were altered`);
  return result;
}

export function assess(report: Omit<DemoReport, 'ok'>): DemoReport {
  return { ok: shortfalls(report).length === 0, ...report };
}

/** The report for people. */
export function reportLines(report: DemoReport, colour: Paint): string[] {
  const { heartbeats, ping, tcp, rttMs } = report;
  const good = (value: number, what: string): string =>
    value === 0 ? `0 ${what}` : colour.red(`${count(value)} ${what}`);
  const failed = shortfalls(report);
  const verdict =
    failed.length === 0
      ? [colour.green('✔ The network died twice. Nothing was lost, nothing came twice, nothing was altered.')]
      : failed.map((line) => colour.red(`✘ ${line}`));
  return [
    '',
    `  storage: ${COPY_WORDS[report.copy]} (copy: ${report.copy})`,
    '',
    ...table(
      ['takeover', 'from', 'to', 'longest silence of a heartbeat'],
      report.takeovers.map(({ kind, from, to, blackoutMs }) => [CAUSE[kind], from, to, milliseconds(blackoutMs)]),
      colour,
    ),
    '',
    ...table(
      ['traffic', 'sent', 'arrived', ''],
      [
        [
          'heartbeats',
          count(heartbeats.sent),
          count(heartbeats.received),
          `${good(heartbeats.lost, 'lost')}, ${good(heartbeats.duplicated, 'twice')}`,
        ],
        ['ping', count(ping.sent), count(ping.received), good(ping.sent - ping.received, 'lost')],
        [
          'TCP',
          '',
          bytes(tcp.bytes),
          `${tcp.survived ? 'one connection throughout' : colour.red('connection lost')}, ${good(tcp.corrupted, 'bytes wrong')}`,
        ],
      ],
      colour,
    ),
    '',
    ...table(
      ['round trip of a ping', 'p50', 'p99'],
      Object.entries(rttMs).map(([way, { p50, p99 }]) => [`over ${way}`, milliseconds(p50), milliseconds(p99)]),
      colour,
    ),
    '',
    ...verdict.map((line) => `  ${line}`),
    '',
  ];
}

/** A number, with its unit if it has one. */
const FIGURE = /^\d[\d.,]*( (m?s|[kMGT]?B))?$/u;

/** Columns as wide as their widest cell; figures stand to the right. */
export function table(head: readonly string[], rows: readonly (readonly string[])[], colour: Paint): string[] {
  const widths = head.map((title, column) => {
    return Math.max(columnsOf(title), ...rows.map((row) => columnsOf(row[column] ?? '')));
  });
  const line = (left: string, middle: string, right: string): string =>
    `  ${colour.dim(left + widths.map((width) => '─'.repeat(width + 2)).join(middle) + right)}`;
  const bar = colour.dim('│');
  const cells = (row: readonly string[], style: (text: string) => string): string => {
    const padded = widths.map((width, column) => {
      const text = style(row[column] ?? '');
      return FIGURE.test(row[column] ?? '') ? padStart(text, width) : padEnd(text, width);
    });
    return `  ${bar} ${padded.join(` ${bar} `)} ${bar}`;
  };
  return [
    line('╭', '┬', '╮'),
    cells(head, colour.bold),
    line('├', '┼', '┤'),
    ...rows.map((row) => cells(row, (text) => text)),
    line('╰', '┴', '╯'),
  ];
}
