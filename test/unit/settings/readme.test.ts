/** The settings that README tells to write are settings that work. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { parseSettings } from '../../../agent/settings/load.ts';

const readme = readFileSync(new URL('../../../README.md', import.meta.url), 'utf8');
const guide = /^## With corosync and Pacemaker$(.*?)^## /ms.exec(readme)?.[1] ?? '';
const documents = [...guide.matchAll(/^ {3}```yaml\n(.*?)^ {3}```$/gms)].map(([, text = '']) =>
  text.replace(/^ {3}/gm, ''),
);

test("the guide's two settings files, for a single link and for a second one", () => {
  const [single, second] = documents.map((text) => parseSettings(text, 'README.md'));
  expect(documents).toHaveLength(2);
  expect(single?.primary).toMatchObject({ mode: 'tunnel', listen: { host: '192.168.50.1', port: 7788 } });
  expect(second?.primary).toMatchObject({ mode: 'none', listen: null });
  for (const settings of [single, second]) {
    expect(settings?.peers.map(({ node, addresses }) => [node, ...addresses])).toEqual([
      ['b', '10.77.0.2'],
      ['c', '10.77.0.3'],
    ]);
  }
});

test.each(['single', 'second'])('the addresses of the %s-link sample are those of the guide', (way) => {
  const sample = readFileSync(new URL(`../../../config/corosync-${way}-link.conf`, import.meta.url), 'utf8');
  const addresses = [...sample.matchAll(/ring\d_addr: (\S+)/g)].map(([, address]) => address);
  const cluster = ['10.77.0.1', '10.77.0.2', '10.77.0.3'];
  expect(addresses.filter((address) => cluster.includes(address ?? ''))).toEqual(cluster);
});
