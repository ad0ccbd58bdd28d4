/** Every colour that letters have is read easily on what they stand on: 4.5 to 1 (WCAG 2.2, AA), in light and dark. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';

const css = readFileSync(new URL('../../../agent/page/static/style.css', import.meta.url), 'utf8');
const blocks = [...css.matchAll(/:root \{(.*?)\}/gs)].map(([, text = '']) => text);
const coloursOf = (text: string): Record<string, string> =>
  Object.fromEntries([...text.matchAll(/--([\w-]+): (#[0-9a-f]{6});/g)].map(([, name, value]) => [name, value]));
const [light = {}, over = {}] = blocks.map(coloursOf);
const THEMES = { light, dark: { ...light, ...over } };

function luminance(colour: string): number {
  const [r = 0, g = 0, b = 0] = [1, 3, 5].map((at) => {
    const part = Number.parseInt(colour.slice(at, at + 2), 16) / 255;
    return part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function contrast(one: string, other: string): number {
  const [high = 0, low = 0] = [luminance(one), luminance(other)].sort((a, b) => b - a);
  return (high + 0.05) / (low + 0.05);
}

const WAYS = ['network', 'storage', 'returning', 'isolated', 'off'];
const PAIRS: [string, string][] = [
  ...['card', 'page'].flatMap((ground) => [...WAYS, 'ink', 'muted'].map((ink): [string, string] => [ink, ground])),
  ...WAYS.map((way): [string, string] => [way, `${way}-soft`]),
  // The verdict on its ground, its sign, the button.
  ['ink', 'storage-soft'],
  ['ink', 'isolated-soft'],
  ...WAYS.map((way): [string, string] => ['card', way]),
  ['card', 'ink'],
];

describe.each(Object.entries(THEMES))('%s', (_theme, colours) => {
  test.each(PAIRS)('%s on %s', (ink, ground) => {
    expect(contrast(colours[ink] ?? '', colours[ground] ?? '')).toBeGreaterThanOrEqual(4.5);
  });

  test.each(['line-0', 'line-1', 'line-2', 'line-3', 'focus'])('%s is seen on a card', (line) => {
    expect(contrast(colours[line] ?? '', colours['card'] ?? '')).toBeGreaterThanOrEqual(3);
  });
});
