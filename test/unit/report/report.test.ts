/** The report: what it says of a time, what it must not say, and that nothing in it is taken for HTML. */
import { expect, test } from 'vitest';
import { reportHtml } from '../../../agent/report/document.ts';
import { gather } from '../../../agent/report/gather.ts';
import { html } from '../../../agent/report/html.ts';
import { settingsText } from '../../../agent/report/secrets.ts';
import type { KeptEvent } from '../../../agent/operate/event-file.ts';

const T0 = Date.parse('2026-11-21T03:00:00.000Z');
const at = (seconds: number): string => new Date(T0 + seconds * 1000).toISOString();
const path = (seconds: number, from: string, to: string, reason: string): KeptEvent => ({
  at: at(seconds),
  kind: 'path',
  peer: 'b',
  from,
  to,
  reason,
});
const peer = {
  rttMs: [0.2, 1.5],
  lagMs: [0.4, 2],
  outPerS: [10, 20],
  inPerS: [10, 20],
  waiting: [0, 0],
  waitingBytes: [0, 100],
  behindBytes: [0, 0],
  lost: 0,
  tooOld: 0,
  dropped: 0,
};
const minute = (seconds: number, over: object = {}): KeptEvent => ({
  at: at(seconds),
  kind: 'figures',
  forMs: 60_000,
  node: { writeMs: [0.2, 1], writtenPerS: [1, 1], readPerS: [1, 1], copyLagMs: null, bufferBytes: [0, 0] },
  peers: { b: { ...peer, ...over } },
});
const KEPT: KeptEvent[] = [
  { at: at(0), kind: 'running', version: '0.1.0' },
  path(1, 'isolated', 'network', 'heard'),
  minute(60),
  path(100, 'suspect', 'storage', '3 probes lost'),
  { at: at(101), kind: 'diagnosis', peer: 'b', icmp: false, meaning: 'the network to the peer is down' },
  minute(120, { lost: 2 }),
  path(160, 'storage', 'returning', 'heard again'),
  path(163, 'returning', 'network', 'stable'),
  minute(180),
];
const RANGE = { fromMs: T0 + 60_000, toMs: T0 + 180_000 };
const ABOUT = {
  cluster: 'lab',
  node: 'a',
  madeMs: T0 + 200_000,
  settings: 'cluster: lab\n',
  versions: [['stillbeat', '0.1.0']] as const,
  isRunning: true,
  kept: { file: '/var/lib/stillbeat/a.events', bytes: 1 << 24 },
};
const report = (kept: KeptEvent[] = KEPT, range = RANGE): string => reportHtml(gather(kept, null, ['b'], range), ABOUT);

test('a cut is told with its time, its reason, what ping said, and how long it lasted', () => {
  const text = report();
  expect(text).toContain(
    'The network to <b>b</b> was out once, first at 2026-11-21 03:01:40 (3 probes lost); packets went by storage for 1 min 3 s in all.',
  );
  expect(text).toMatch(
    /<td>network → storage<\/td><td class="number">1 min<\/td><td>3 probes lost; the network to the peer is down<\/td>/,
  );
  expect(text).toContain('<b>2 packets</b> to this node were lost or too old');
  expect(text).toContain('In the minutes before 2026-11-21 03:02:00');
});

test('a quiet time is said to be one', () => {
  const text = report(KEPT.slice(0, 3), { fromMs: T0 + 10_000, toMs: T0 + 60_000 });
  expect(text).toContain('The network to b was never out.');
  expect(text).toContain('No packet to this node is known to be lost or late.');
});

test('less than was asked for is said, and nothing at all too', () => {
  expect(report(KEPT, { ...RANGE, fromMs: T0 - 3_600_000 })).toContain(
    '<b>Nothing is kept of the time before 2026-11-21 03:00:00</b>: of the 1 h 3 min that were asked for, the last 3 min are reported.',
  );
  expect(report([], RANGE)).toContain('<b>Nothing is kept of this time.</b>');
  expect(report(KEPT, { fromMs: T0 - 7200_000, toMs: T0 - 3600_000 })).toContain(
    '<b>Nothing is kept of this time.</b>',
  );
});

test('nothing from outside, no script, and what others wrote is text', () => {
  const hostile = '<script>alert(1)</script><img src=x onerror=alert(1)>"\'&';
  const text = report([
    ...KEPT,
    { at: at(170), kind: 'program-cut-off', reason: hostile },
    path(172, 'network', 'storage', hostile),
  ]);
  expect(text).not.toMatch(/<script|<img|<link|<iframe|href=|url\((?!#)/i);
  expect(text).toContain('&lt;script&gt;alert(1)&lt;/script&gt;');
  expect(html`${hostile}`.text).not.toMatch(/[<>"']/);
});

test('settings without secrets', () => {
  const text = settingsText({
    keyFile: '/etc/stillbeat/cluster.key',
    page: { tokenFile: '/etc/t', token: 'hidden1' },
    storage: {
      command: {
        run: ['/usr/bin/array', '--password', 'hidden2', '--user=u', '--secret=hidden3', 'https://u:hidden4@array/api'],
      },
    },
    listen: '127.0.0.1:1',
  });
  expect(text).not.toMatch(/hidden\d/);
  expect(text).toContain('keyFile: /etc/stillbeat/cluster.key');
  expect(text).toContain('--user=u');
  expect(text).toContain('listen: 127.0.0.1:1');
});

test('a curve is broken where nothing was measured, and a minute alone is drawn', () => {
  const begin = { at: at(0), kind: 'running', version: '0.1.0' };
  const kept = [begin, minute(60), minute(120, { rttMs: null }), minute(180), minute(240), minute(360)];
  const text = report(kept, { fromMs: T0, toMs: T0 + 360_000 });
  const [, figure = ''] = text.split('>Round trip on the network:');
  const [, line = ''] = /<path d="([^"]*)" class="curve c0"/.exec(figure) ?? [];
  // 0 to 60 s, 120 to 240 s, and 300 to 360 s: 916 pixels less 90 for all of it.
  const places = line
    .split('M')
    .slice(1)
    .map((part) => part.split('L').map((point) => Number(point.split(' ')[0])));
  const place = (seconds: number): number => Math.round((90 + (seconds / 360) * 826) * 10) / 10;
  expect(places).toEqual([
    [place(0), place(60)],
    [place(120), place(180), place(240)],
    [place(300), place(360)],
  ]);
});

test('no axis says the same twice', () => {
  const text = report([minute(60, { waitingBytes: [0, 1] }), minute(120, { waitingBytes: [0, 1] })]);
  const figures = text.split('<figure>').slice(1);
  expect(figures.length).toBeGreaterThan(3);
  for (const figure of figures) {
    const marks = [...figure.matchAll(/class="left">([^<]*)</g)].map(([, mark]) => mark);
    expect(new Set(marks).size, marks.join(', ')).toBe(marks.length);
  }
});
