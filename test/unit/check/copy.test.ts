/** [AG9] `check` holds the ring against the rate that the settings allow and the time that a copy may take. */
import { expect, test } from 'vitest';
import { ringFinding } from '../../../agent/check/copy.ts';
import { parseSettings } from '../../../agent/settings/load.ts';
import { changed } from '../settings/minimal.ts';

const settingsOf = (...lines: string[]) =>
  parseSettings(changed({ 6: ['storage:', '  copy: local', '  local: { volume: /w }', ...lines].join('\n') }), 'f');

test.each([
  ['without a limit, a ring that bears a usual rate', [], 16 << 20, 'ok', /^a ring of 16 MiB bears 14 MiB a second/],
  ['without a limit, a short one', [], 8 << 20, 'warning', /: at a higher rate packets wait$/],
  ['a limit that it bears', ['  limits: { bytesPerSecond: 1000000 }'], 4 << 20, 'ok', /copies take 1000 ms$/],
  [
    'a limit beyond it',
    ['  limits: { bytesPerSecond: 1000000 }', '  copyWithinMs: 5000'],
    4 << 20,
    'warning',
    /bears 716\.8 KiB a second while copies take 5000 ms, and storage\.limits allows 976\.6 KiB: packets will wait$/,
  ],
] as const)('%s', (_name, lines, slotBytes, level, what) => {
  const finding = ringFinding(settingsOf(...lines), slotBytes);
  expect(finding).toMatchObject({ name: 'copy.ring', level, what: expect.stringMatching(what) });
  expect(finding.mend === null).toBe(level === 'ok');
});
