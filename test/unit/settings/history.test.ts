import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { parseHistory } from '../../../agent/settings/history.ts';
import { parseMirrorSource } from '../../../agent/settings/mirror.ts';

const sample = (name: string): string => readFileSync(new URL(`../../../config/${name}`, import.meta.url), 'utf8');

test('the sample is settings, and so is a source with recorders', () => {
  expect(parseHistory(sample('recorder.yaml'), 'f')).toEqual({
    file: 'f',
    name: 'vault',
    keyFile: '/etc/stillbeat/cluster.key',
    address: { host: '192.168.60.3', port: 7791 },
    store: '/var/lib/stillbeat/history',
    retention: { hours: 24, bytes: 100 * 2 ** 30 },
    logFolder: null,
    controlSocket: '/run/stillbeat/vault.sock',
  });
  const source = `${sample('mirror-source.yaml')}recorders: [{ name: vault, connect: 192.168.60.3:7791 }]\n`;
  expect(parseMirrorSource(source, 'f').recorders).toEqual([
    { name: 'vault', address: { host: '192.168.60.3', port: 7791 }, connections: 1, wait: false, dataFolder: null },
  ]);
});

test('what is wrong is named with its line', () => {
  const wrong = sample('recorder.yaml').replace('hours: 24', 'hours: long').replace('192.168.60.3:7791', 'vault:7791');
  expect(() => parseHistory(wrong, 'f')).toThrow(/f:6: listen.*\n.*f:8: retention\.hours/s);
});
