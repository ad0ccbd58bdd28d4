import { describe, expect, test } from 'vitest';
import { restartKeys } from '../../../agent/settings/change.ts';
import type { Settings } from '../../../agent/settings/settings.ts';

const base = {
  file: 'f',
  node: 'a',
  keyFile: 'k',
  vnic: { name: 'sb0', addresses: [{ address: '10.0.0.1', prefix: 24, family: 4 }], mtu: 1500 },
  storage: {
    sendVolume: 'v',
    flush: { deadlineMs: 1 },
    limits: { bytesPerSecond: 0 },
    pollMs: { idle: 50 },
    maxAgeMs: 2000,
  },
  primary: { mode: 'tunnel', probe: { intervalMs: 50 } },
  queues: { retainBytes: 1 },
  peers: [{ node: 'b' }],
  types: [],
} as unknown as Settings;
const { vnic, storage, primary } = base;

describe('what a running agent takes over', () => {
  test.each<[string, Partial<Record<keyof Settings, unknown>>]>([
    ['peers', { peers: [] }],
    ['types', { types: [{ type: 1 }] }],
    ['probes', { primary: { ...primary, probe: { intervalMs: 9 } } }],
    ['limits, flush, polling', { storage: { ...storage, limits: {}, flush: {}, pollMs: {} } }],
    ['queues', { queues: { retainBytes: 2 } }],
    ['hooks', { hooks: { onPath: 'x' } }],
  ])('%s', (_, change) => {
    expect(restartKeys(base, { ...base, ...change } as Settings)).toEqual([]);
  });

  test.each<[string, Partial<Record<keyof Settings, unknown>>]>([
    ['vnic.mtu', { vnic: { ...vnic, mtu: 9000 } }],
    ['vnic.addresses', { vnic: { ...vnic, addresses: [] } }],
    ['storage.sendVolume', { storage: { ...storage, sendVolume: 'w' } }],
    ['storage.maxAgeMs', { storage: { ...storage, maxAgeMs: 1 } }],
    ['primary.mode', { primary: { ...primary, mode: 'none' } }],
    ['node', { node: 'z' }],
    ['keyFile', { keyFile: null }],
  ])('not %s', (key, change) => {
    expect(restartKeys(base, { ...base, ...change } as Settings)).toEqual([key]);
  });
});
