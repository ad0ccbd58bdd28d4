/** What is said at one glance. */
import { expect, test } from 'vitest';
import { MomentMaker } from '../../../agent/view/figures.ts';
import { verdict } from '../../../agent/view/verdict.ts';
import { peerOf, statusOf } from './status-view.ts';

/** Nothing happened since the status before. */
const QUIET = { peers: {} };
const said = (status: ReturnType<typeof statusOf>): [string, string] => {
  const { level, headline } = verdict(status, QUIET);
  return [level, headline];
};
const storage = (over: object) => ({ storage: { ...statusOf().storage, ...over } });

test.each([
  ['all well', statusOf(), 'good', /^All well: b is reached by the network/],
  ['several peers', statusOf([peerOf('b'), peerOf('c')]), 'good', /2 peers/],
  [
    'a cut',
    statusOf([peerOf('b', { path: 'storage' }), peerOf('c')]),
    'warn',
    /^The network to b is out: packets go by storage$/,
  ],
  ['the return', statusOf([peerOf('b', { path: 'returning' })]), 'warn', /^The network to b is back/],
  ['no way', statusOf([peerOf('b', { path: 'isolated' })]), 'bad', /^No way to b/],
  [
    'mode none',
    statusOf([peerOf('b', { path: 'storage' })], { primary: { mode: 'none', interface: null, carrier: null } }),
    'good',
    /^All well: b is reached by storage, as set/,
  ],
  [
    'an operator’s word',
    statusOf([peerOf('b', { path: 'storage', override: 'storage' })]),
    'warn',
    /^An operator holds b on storage$/,
  ],
  [
    'storage out while it is not needed',
    statusOf([peerOf('b')], storage({ available: false, writeError: 'EIO' })),
    'warn',
    /writes fail with EIO/,
  ],
  [
    'storage out in a cut',
    statusOf([peerOf('b', { path: 'storage' })], storage({ available: false })),
    'bad',
    /^This node’s storage is not available: a write hangs \(and 1 more\)$/,
  ],
  ['the switch hangs', statusOf([], { switch: 'not answering' }), 'bad', /switch thread/],
  ['no key', statusOf([peerOf('b')], { authenticated: false }), 'warn', /without a key/],
  [
    'a late copy',
    statusOf([peerOf('b')], storage({ copy: { ...statusOf().storage.copy, kind: 'mirror', late: true } })),
    'warn',
    /The copy \(mirror\) is late/,
  ],
] as const)('%s', (_name, status, level, headline) => {
  const [isLevel, isHeadline] = said(status);
  expect(isLevel).toBe(level);
  expect(isHeadline).toMatch(headline);
});

test('the worst comes first, and everything is told', () => {
  const { level, faults } = verdict(
    statusOf([peerOf('b', { path: 'storage' }), peerOf('c', { path: 'isolated' })]),
    QUIET,
  );
  expect(level).toBe('bad');
  expect(faults.map((fault) => fault.level)).toEqual(['bad', 'warn']);
});

test('packets that are being lost are said, and those of before are not', () => {
  const maker = new MomentMaker();
  const at = (lost: number, tooOld: number, ms: number): string => {
    const status = statusOf([peerOf('b', { lost, tooOld }), peerOf('c')]);
    return verdict(status, maker.next(status, ms)).headline;
  };
  expect(at(39, 0, 1000)).toMatch(/^All well/);
  expect(at(40, 0, 2000)).toBe('Packets from b are being lost');
  expect(at(40, 2, 3000)).toBe('Packets from b are being lost');
  expect(at(40, 2, 4000)).toMatch(/^All well/);
});
