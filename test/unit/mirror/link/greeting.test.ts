import { expect, test } from 'vitest';
import {
  decodeBegin,
  decodeHello,
  decodeStop,
  decodeWelcome,
  encodeBegin,
  encodeHello,
  encodeStop,
  encodeWelcome,
  GreetingError,
} from '../../../../agent/mirror/link/greeting.ts';
import { LINK_VERSION } from '../../../../agent/mirror/wire/layout.ts';

const G1 = '0123456789abcdef'.repeat(2);
const G0 = 'f'.repeat(32);
const point = (mark: number, chain = 0xffff_ffff_ffff_fff0n) => ({ mark, chain });
const VIEW = {
  group: 'data',
  volumes: [{ name: 'db', bytes: 1 << 30 }],
  generation: G1,
  ancestry: [{ generation: G0, until: point(7) }],
  tail: point(3),
  durable: point(9),
};
const WELCOME = {
  group: 'data',
  volumes: VIEW.volumes,
  generation: '',
  hasCut: false,
  cut: point(0, 0n),
  prefix: point(0, 0n),
  ancestry: [],
  diverged: { until: { mark: 4, chain: 7n }, regions: [{ volume: 0, first: 1, count: 2 }] },
  isTakenOver: false,
  session: 4,
  roomBytes: 1 << 20,
  ringBytes: 1 << 22,
  windowBytes: 1 << 20,
  isFollowed: true,
};

test('what is said is understood', () => {
  expect(decodeHello(encodeHello(VIEW, 'strict', 5))).toEqual({
    ...VIEW,
    version: LINK_VERSION,
    policy: 'strict',
    session: 5,
  });
  expect(decodeWelcome(encodeWelcome(WELCOME))).toEqual({ ...WELCOME, version: LINK_VERSION });
  const begin = { how: 'replay', from: point(9), isFirst: false, isInPlace: false, checksum: 'sha256' } as const;
  expect(decodeBegin(encodeBegin(begin))).toEqual(begin);
  expect(decodeStop(encodeStop({ reason: 'pause', again: true }))).toEqual({ reason: 'pause', again: true });
});

const changed = (body: Uint8Array, change: (value: Record<string, unknown>) => void): Uint8Array => {
  const value = JSON.parse(new TextDecoder().decode(body)) as Record<string, unknown>;
  change(value);
  return new TextEncoder().encode(JSON.stringify(value));
};

test('each thing that is missing, or of another type, is named', () => {
  const hello = encodeHello(VIEW, 'degrade', 0);
  for (const [decode, body] of [
    [decodeHello, hello],
    [decodeWelcome, encodeWelcome(WELCOME)],
  ] as const) {
    const keys = Object.keys(JSON.parse(new TextDecoder().decode(body)) as object);
    for (const key of keys) {
      for (const wrong of [undefined, null, -1, 1.5, 'x y', [[]], {}]) {
        const broken = changed(body, (value) => (value[key] = wrong));
        if (typeof wrong === 'string' && key === 'group') continue;
        // It was no source before.
        if (wrong === null && key === 'diverged') continue;
        expect(() => decode(broken), `${key} ${JSON.stringify(wrong)}`).toThrow(GreetingError);
      }
    }
  }
});

test('another major version is told by number, whatever else it says', () => {
  const body = new TextEncoder().encode(JSON.stringify({ version: LINK_VERSION + 0x10000, else: 1 }));
  expect(() => decodeHello(body)).toThrow('the peer speaks version 3 of the mirror, this one 2: upgrade the older one');
});

test.each(['', 'x', '[]', 'null', '"x"', '7', '{}', `{"version":${LINK_VERSION}}`, '\u0000'])(
  'no greeting: %j',
  (text) => {
    for (const decode of [decodeHello, decodeWelcome, decodeBegin, decodeStop]) {
      expect(() => decode(new TextEncoder().encode(text))).toThrow(GreetingError);
    }
  },
);

test('a body beyond all bounds is not read', () => {
  expect(() => decodeStop(new Uint8Array(1 << 20))).toThrow('a greeting of 1048576 bytes');
});
