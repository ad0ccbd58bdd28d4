/** Who may ask the page for what. */
import { describe, expect, test } from 'vitest';
import { hostName, refusalOf, Tokens } from '../../../agent/page/guard.ts';

const asked = { method: 'GET', host: '127.0.0.1:9478', origin: undefined, fetchSite: undefined, fetchMode: undefined };
const status = (over: Partial<typeof asked> | Readonly<Record<string, string | undefined>>): number =>
  refusalOf({ ...asked, ...over }, ['a.example.org'])?.status ?? 200;

describe('by which name', () => {
  test.each([
    ['127.0.0.1:9478', 200],
    ['192.168.50.1:9478', 200],
    ['[::1]:9478', 200],
    ['[fd00::1]', 200],
    ['localhost:1234', 200],
    ['LocalHost', 200],
    ['a.example.org', 200],
    ['A.Example.Org:80', 200],
    ['evil.example', 421],
    ['a.example.org.evil.example', 421],
    ['127.0.0.1.evil.example', 421],
    ['localhost.evil.example', 421],
    ['a.example.org:9478:80', 421],
    ['user@127.0.0.1', 421],
    ['', 421],
    [undefined, 421],
  ])('%s: %i', (host, expected) => {
    expect(status({ host })).toBe(expected);
  });

  test('a name is without port and brackets', () => {
    expect([hostName('[FD00::1]:80'), hostName('x:80'), hostName('x/y'), hostName('x y')]).toEqual([
      'fd00::1',
      'x',
      null,
      null,
    ]);
  });
});

describe('from which site', () => {
  test.each([
    ['http://127.0.0.1:9478', 200],
    ['https://127.0.0.1:9478', 200],
    ['http://127.0.0.1:9479', 403],
    ['http://localhost:9478', 403],
    ['https://evil.example', 403],
    ['null', 403],
    ['', 403],
  ])('%s: %i', (origin, expected) => {
    expect(status({ origin })).toBe(expected);
  });

  test('a link to the page may be followed; no other site takes a part of it', () => {
    expect(status({ fetchSite: 'cross-site', fetchMode: 'navigate' })).toBe(200);
    expect(status({ fetchSite: 'cross-site', fetchMode: 'navigate', method: 'POST' })).toBe(403);
    expect(status({ fetchSite: 'cross-site', fetchMode: 'no-cors' })).toBe(403);
    expect(status({ fetchSite: 'same-origin', fetchMode: 'cors' })).toBe(200);
  });
});

describe('with which token', () => {
  const token = 'ab'.repeat(32);
  const tokens = new Tokens([token, 'cd'.repeat(32)], 'page');
  const cookieOf = (by: Tokens, nowMs: number): string => by.cookie(nowMs).split(';')[0] ?? '';

  test('none is needed where there is none', () => {
    const open = new Tokens([], 'page');
    expect([open.isNeeded, open.mayLook(undefined, undefined, 0)]).toEqual([false, true]);
  });

  test('the token, any of them, as a bearer; nothing else', () => {
    const bearer = (word: string): boolean => tokens.mayLook(undefined, `Bearer ${word}`, 0);
    expect([token, 'cd'.repeat(32), 'ab'.repeat(31), `${token}x`, ''].map(bearer)).toEqual([
      true,
      true,
      false,
      false,
      false,
    ]);
    expect(tokens.mayLook(undefined, `Basic ${token}`, 0)).toBe(false);
    expect(tokens.mayLook(`page=${token}`, undefined, 0)).toBe(false);
  });

  test('a cookie opens the page until its time is over, and is not the token', () => {
    const cookie = cookieOf(tokens, 1000);
    expect(tokens.cookie(1000)).toMatch(/; HttpOnly; SameSite=Strict; Path=\/; Max-Age=43200$/);
    expect(cookie).not.toContain(token);
    expect(tokens.mayLook(`other=1; ${cookie}`, undefined, 2000)).toBe(true);
    expect(tokens.mayLook(cookie, undefined, 1000 + 12 * 3_600_000 + 1)).toBe(false);
  });

  test('a longer time cannot be written into it, and another token does not know it', () => {
    const [, proof = ''] = cookieOf(tokens, 1000).split('.');
    expect(tokens.mayLook(`page=99999999999999.${proof}`, undefined, 2000)).toBe(false);
    expect(new Tokens(['other'], 'page').mayLook(cookieOf(tokens, 1000), undefined, 2000)).toBe(false);
  });
});
