/** The page of a cluster of five, and of the mirrors that its settings name: what an operator sees there, and what when they end. */
import { join } from 'node:path';
import type { BrowserContext, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openBrowser, PAGE_URL } from '../support/browser.ts';
import { Cluster, eventually, GENTLE, SOON_MS } from '../support/cluster.ts';
import { MirrorPair } from '../support/mirror-pair.ts';

const NODES = ['a', 'b', 'c', 'd', 'e'] as const;
const MIB = 1 << 20;

let cluster: Cluster;
let pair: MirrorPair;
let browser: BrowserContext;
let page: Page;

beforeAll(async () => {
  pair = await MirrorPair.make({ volumeBytes: 4 * MIB });
  pair.start('target');
  pair.start('source');
  cluster = await Cluster.prepare({ nodes: NODES, tag: 'page5', settings: GENTLE });
  const { lab } = cluster;
  const mirrors = [pair.control('source'), pair.control('target'), join(lab.directory, 'nobody.sock')];
  for (const node of NODES) await lab.startAgent(node, node === 'a' ? { page: { mirrors } } : {});
  await cluster.untilPath('network');
  await eventually('in sync', SOON_MS, async () => (await pair.seen())?.state === 'in-sync');
  browser = await openBrowser(lab, 'a');
  page = browser.pages()[0] ?? (await browser.newPage());
  await page.goto(PAGE_URL);
}, 240_000);
afterAll(async () => {
  await browser?.close();
  await cluster?.close();
  await pair?.remove();
});

const text = async (what: string): Promise<string> => page.locator(what).innerText();
const mirror = async (name: string): Promise<string> => {
  const card = page.locator('.mirror', { has: page.locator('h3', { hasText: name }) });
  return card.first().innerText();
};

test('five nodes: all twenty ways, and one that is cut off is seen from here and from the others', async () => {
  const ways = async (path: string): Promise<number> => page.locator(`#pairs td[data-path="${path}"]`).count();
  await eventually('all are heard', SOON_MS, async () => (await ways('network')) === 20);
  expect(await page.locator('.ring').count()).toBe(5);
  await cluster.lab.cut('silent', { between: ['a', 'b'] });
  await eventually('both ways of the pair', SOON_MS, async () => (await ways('storage')) === 2);
  expect(await page.locator('#pairs td[title="b to a: by storage"]').count()).toBe(1);
  expect(await text('#verdict')).toMatch(/The network to b is out/);
  await cluster.lab.heal();
  await eventually('all is well', SOON_MS, async () => (await text('#verdict')).includes('All well'));
});

test('mirrors: cut, lag and state of each, who does not answer, and what becomes of them', async () => {
  await eventually('the source', SOON_MS, async () => /in-sync/.test(await mirror('erp source')));
  expect(await mirror('erp source')).toMatch(/at mark \d+[^]*Can be lost[^]*east[^]*behind by 0 writes/);
  expect(await mirror('erp target')).toMatch(/consistent shows mark \d+/);
  expect(await mirror('nobody.sock')).toMatch(/not answering/);
  await pair.end('target', 'SIGKILL');
  await eventually('it is away', SOON_MS, async () => /journaling/.test(await mirror('erp source')));
  await eventually('it does not answer', SOON_MS, async () => {
    const cards = await page.locator('.mirror').allInnerTexts();
    return cards.filter((card) => card.includes('not answering')).length === 2;
  });
  pair.start('target');
  await eventually('in sync again', SOON_MS, async () => /in-sync/.test(await mirror('erp source')));
});
