import { expect, test } from 'vitest';
import { escaped, quoted } from '../../../agent/base/text.ts';

test.each([
  ['plain text, ü and 漢字', 'plain text, ü and 漢字'],
  ['\u001b[2J\u001b]0;title\u0007', '\\x1b[2J\\x1b]0;title\\x07'],
  ['a\r\nb\tc\u007f', 'a\\x0d\\x0ab\\x09c\\x7f'],
  ['\u009b31m', '\\x9b31m'],
  ['abc\u202etxt.exe\u2066x', 'abc\\u{202e}txt.exe\\u{2066}x'],
  ['a\u200bb\ufeffc\u00add', 'a\\u{200b}b\\u{feff}c\\xadd'],
  ['line\u2028line', 'line\\u{2028}line'],
  ['\ud800x', '\\u{d800}x'],
  ['\u{e0041}\u{e000}', '\\u{e0041}\\u{e000}'],
])('%j is shown as %j', (text, shown) => {
  expect(escaped(text)).toBe(shown);
  expect(escaped(shown)).toBe(shown);
});

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

test.each<[string, Uint8Array, number, string]>([
  ['UTF-8', bytes('grüße'), 100, '"grüße"'],
  ['quotation marks', bytes('a"b\\c'), 100, '"a\\"b\\\\c"'],
  ['an escape that is spelt out', bytes('\\x1b'), 100, '"\\\\x1b"'],
  ['an escape', bytes('\u001b[1m'), 100, '"\\x1b[1m"'],
  ['what is no UTF-8', Uint8Array.of(0x41, 0xff, 0x0a, 0x22), 100, '"A\\xff\\x0a\\""'],
  ['a cut within a character', bytes('aü'), 2, '"a"...'],
  ['a cut', bytes('abc'), 2, '"ab"...'],
  ['nothing', new Uint8Array(0), 2, '""'],
])('bytes between quotation marks: %s', (_, content, most, shown) => {
  expect(quoted(content, most)).toBe(shown);
});
