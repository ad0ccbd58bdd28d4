/** Pictures of the page, of a cluster that is well, cut, and well again: `npm run screenshots` writes them to ./screenshots. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import type { BrowserContext } from 'playwright-core';
import { afterAll, beforeAll, test } from 'vitest';
import { Cluster } from '../support/cluster.ts';
import { type BrowserOptions, openBrowser, PAGE_URL } from '../support/browser.ts';
import { pictureOf } from '../support/page-picture.ts';

const FOLDER = process.env['SCREENSHOTS'] ?? 'screenshots';
const NODES = Number(process.env['SCREENSHOT_NODES'] ?? 3);
/** So that the curves have something to show. */
const WATCHED_MS = Number(process.env['SCREENSHOT_MS'] ?? 12_000);

const LOOKS: Readonly<Record<string, BrowserOptions>> = {
  light: {},
  dark: { dark: true },
  phone: { width: 390, height: 844, scale: 2 },
};

let cluster: Cluster;
const browsers = new Map<string, BrowserContext>();

beforeAll(async () => {
  mkdirSync(FOLDER, { recursive: true });
  cluster = await Cluster.start({ nodes: ['a', 'b', 'c', 'd', 'e'].slice(0, NODES), tag: 'pictures' });
  for (const [name, options] of Object.entries(LOOKS)) {
    const browser = await openBrowser(cluster.lab, 'a', options);
    await browser.pages()[0]?.goto(PAGE_URL);
    browsers.set(name, browser);
  }
}, 120_000);
afterAll(async () => {
  for (const browser of browsers.values()) await browser.close();
  await cluster?.close();
});

async function picture(when: string): Promise<void> {
  for (const [name, browser] of browsers) {
    const page = browser.pages()[0];
    await page?.bringToFront();
    await page?.click('#packet-form button');
    await delay(500);
    await page?.evaluate('scrollTo(0, 0)');
    await page?.screenshot({ path: `${FOLDER}/${when}-${name}.png`, fullPage: true });
    // The README’s are of text.
    if (page) writeFileSync(`${FOLDER}/${when}-${name}.svg`, await pictureOf(page));
  }
}

test('healthy, in a cut, after it', { timeout: 180_000 }, async () => {
  const { lab } = cluster;
  const ping = lab.spawn('a', ['ping', '-q', '-i', '0.05', lab.vnicAddress('b')], { stdio: 'ignore' });
  await delay(WATCHED_MS);
  await picture('healthy');
  await lab.cut('silent', NODES > 2 ? { between: ['a', 'b'] } : undefined);
  await delay(WATCHED_MS);
  await picture('cut');
  await lab.heal();
  await cluster.untilPath('network');
  await delay(WATCHED_MS / 2);
  await picture('after');
  ping.kill('SIGINT');
});
