import { describe, expect, test } from 'vitest';
import { type DemoView, type DirectionView, drawDemo, eventLine } from '../../../agent/demo/draw.ts';
import { Screen, columnsOf, paint, wantsColour } from '../../../agent/demo/terminal.ts';

const direction = (from: string, to: string, change: Partial<DirectionView> = {}): DirectionView => ({
  from,
  to,
  path: 'network',
  onPathMs: 1500,
  rttMs: 0.21,
  lagMs: 0.4,
  queued: { heartbeat: 1, data: 22, bulk: 0 },
  heartbeats: { received: 1234, missing: 0, longestSilenceMs: 12 },
  ...change,
});

function view(change: Partial<DemoView> = {}): DemoView {
  return {
    copy: 'shared',
    phase: 'healthy',
    elapsedMs: 12_340,
    totalMs: 40_000,
    network: 'up',
    addresses: ['10.77.0.1', '10.77.0.2'],
    directions: [direction('a', 'b'), direction('b', 'a')],
    ping: { received: 600, recentMs: [0.2, 0.3] },
    tcp: { bytes: 1.2e9, corrupted: 0, recentRates: [25e6] },
    events: [{ atMs: 1000, text: 'both agents are up', tone: 'good' }],
    ...change,
  };
}
const plain = paint(false);
const rowWith = (lines: string[], text: string): string => lines.find((line) => line.includes(text)) ?? '';

describe('the picture', () => {
  test('fits its width and keeps its height, whatever it shows', () => {
    const many = Array.from({ length: 30 }, (_, i) => ({ atMs: i, text: `event ${i}`, tone: 'plain' as const }));
    const views = [
      view(),
      view({ network: 'silent' }),
      view({ network: 'carrier', events: many }),
      view({ events: [] }),
    ];
    for (const columns of [80, 93, 200]) {
      const pictures = views.map((shown) => drawDemo(shown, columns, 3, plain));
      expect(new Set(pictures.map((lines) => lines.length)).size).toBe(1);
      for (const line of pictures.flat()) expect(columnsOf(line)).toBeLessThanOrEqual(Math.min(columns, 100));
    }
  });

  test('colour changes nothing but colour', () => {
    const strip = (lines: string[]): number[] => lines.map(columnsOf);
    expect(strip(drawDemo(view(), 90, 3, paint(true)))).toEqual(strip(drawDemo(view(), 90, 3, plain)));
    expect(drawDemo(view(), 90, 3, plain).join('')).not.toContain('\u001B');
  });

  test('data is drawn on the network while it is healthy, on the volume when it is cut', () => {
    const healthy = drawDemo(view(), 90, 0, plain);
    expect(rowWith(healthy, 'node a')).toMatch(/━▶|▶━/u);
    const onStorage = { path: 'storage' } as const;
    const cut = drawDemo(
      view({ network: 'silent', directions: [direction('a', 'b', onStorage), direction('b', 'a', onStorage)] }),
      90,
      0,
      plain,
    );
    expect(rowWith(cut, 'node a')).toContain('✕');
    expect(rowWith(cut, 'node a')).not.toContain('━');
    expect(cut[cut.findIndex((line) => line.includes('shared volume')) + 1]).toContain('━');
    expect(rowWith(cut, 'a → b')).toContain('● storage');
  });

  test('packets of both directions never hide each other', () => {
    for (let tick = 0; tick < 30; tick++) {
      const line = rowWith(drawDemo(view(), 90, tick, plain), 'node a');
      expect(line).toContain('▶');
      expect(line).toContain('◀');
    }
  });

  test('a missing heartbeat and a wrong byte are said', () => {
    const heartbeats = { received: 10, missing: 3, longestSilenceMs: 12 };
    const lines = drawDemo(
      view({
        directions: [direction('a', 'b', { heartbeats }), direction('b', 'a')],
        tcp: { bytes: 5, corrupted: 2, recentRates: [] },
      }),
      90,
      0,
      plain,
    );
    expect(rowWith(lines, 'heartbeats')).toContain('3 missing');
    expect(rowWith(lines, 'TCP')).toContain('2 bytes wrong');
  });
});

test('an event is its time and its text', () => {
  expect(eventLine({ atMs: 2534, text: 'healed', tone: 'bad' }, plain)).toBe('   2.53 s  healed');
});

test('colour is for terminals, and not against NO_COLOR', () => {
  expect(wantsColour(true, {})).toBe(true);
  expect(wantsColour(true, { NO_COLOR: '' })).toBe(true);
  expect(wantsColour(true, { NO_COLOR: '1' })).toBe(false);
  expect(wantsColour(true, { TERM: 'dumb' })).toBe(false);
  expect(wantsColour(false, {})).toBe(false);
});

test('the screen draws over its last picture, never higher than the terminal, and gives the cursor back once', () => {
  const written: string[] = [];
  const stream = { rows: 4, write: (text: string) => written.push(text) };
  const screen = new Screen(stream as unknown as ConstructorParameters<typeof Screen>[0]);
  screen.draw(['1', '2', '3', '4', '5']);
  screen.draw(['1']);
  screen.end();
  screen.end();
  expect(written).toEqual([
    '\u001B[?25l\u001B[2K1\n\u001B[2K2\n\u001B[2K3\n\u001B[J',
    '\r\u001B[3A\u001B[2K1\n\u001B[J',
    '\u001B[?25h',
  ]);
});
