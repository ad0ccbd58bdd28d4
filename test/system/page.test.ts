/** The agent's page in a real browser, in a lab of real agents: what it shows in a cut, and to whom it shows nothing. */
import { writeFileSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type { BrowserContext, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { openBrowser, PAGE_URL } from '../support/browser.ts';
import { Cluster, eventually, SOON_MS } from '../support/cluster.ts';

/** What a page that takes contents for HTML would run. */
const HOSTILE = '<img src=x onerror="window.hit=1"><script>window.hit=1</script>';
const TOKEN = randomBytes(32).toString('hex');
/** Node b’s page is open to the network, so that it needs a token. */
const OPEN_PLACE = '192.168.50.2:9478';

let cluster: Cluster;
let browser: BrowserContext;
let page: Page;

beforeAll(async () => {
  cluster = await Cluster.prepare({ tag: 'page' });
  const { lab } = cluster;
  const tokenFile = join(lab.directory, 'page.token');
  writeFileSync(tokenFile, `${TOKEN}\n`, { mode: 0o600 });
  await lab.startAgent('a');
  await lab.startAgent('b', { page: { listen: OPEN_PLACE, tokenFile, hosts: ['b.example.org'] } });
  await cluster.untilPath('network');
  browser = await openBrowser(lab, 'a', { flags: ['--host-resolver-rules=MAP rebound.example 127.0.0.1'] });
  page = browser.pages()[0] ?? (await browser.newPage());
  await page.goto(PAGE_URL);
}, 120_000);
// One test that fails must not make all others fail.
afterEach(async () => {
  await cluster.lab.heal();
  await cluster.lab.stillbeat('a', ['path', 'b', 'auto', '--socket', cluster.lab.socketPath('a')]);
  await cluster.untilPath('network');
});
afterAll(async () => {
  await browser?.close();
  await cluster?.close();
});

const curl = async (...args: string[]): Promise<{ status: number; text: string }> => {
  const { stdout } = await cluster.lab.exec('a', ['curl', '-s', '-m', '10', '-w', '\n%{http_code}', ...args]);
  const at = stdout.lastIndexOf('\n');
  return { status: Number(stdout.slice(at + 1)), text: stdout.slice(0, at) };
};
const statusOf = async (...args: string[]): Promise<number> => (await curl(...args)).status;
const level = async (): Promise<string | null> => page.getAttribute('#verdict', 'data-level');

describe('in the browser', () => {
  test('a healthy cluster: all well, both directions, rings, and no error of the page', async () => {
    const errors: string[] = [];
    page.on('console', (message) => message.type() === 'error' && errors.push(message.text()));
    page.on('pageerror', (error) => errors.push(error.message));
    await page.reload();
    await eventually('all is well', SOON_MS, async () => (await level()) === 'good');
    await eventually('the volume is read', SOON_MS, async () => (await page.locator('.ring').count()) === 2);
    await eventually('the peer’s word', SOON_MS, async () =>
      (await page.locator('#pairs').innerText()).includes('b, on the volume'),
    );
    expect(await page.title()).toMatch(/^✓ lab \/ a: all well$/);
    expect(await page.locator('#graph svg').getAttribute('aria-label')).toBe(
      'a to b by the network; b to a by the network',
    );
    await eventually('the charts', SOON_MS, async () => (await page.locator('.chart canvas').count()) === 4);
    expect(errors).toEqual([]);
  });

  test('a cut is shown within a second of the agent’s own knowledge, announced, and so is the return', async () => {
    await page.evaluate(`
      window.shown = 0;
      new MutationObserver(() => {
        if (document.querySelector('#verdict').innerText.includes('The network to b is out')) window.shown ||= Date.now();
      }).observe(document.querySelector('#verdict'), { attributes: true, childList: true, characterData: true, subtree: true });
    `);
    const fromMs = Date.now();
    await cluster.lab.cut('silent');
    const shown = await eventually('the page shows it', SOON_MS, async () =>
      Number(await page.evaluate('window.shown')),
    );
    const known = await eventually('the event', SOON_MS, async () =>
      (await cluster.events('a', 'path', fromMs)).find(({ to }) => to === 'storage'),
    );
    const knownMs = Date.parse(known.at);
    expect(shown - knownMs).toBeLessThan(1000);
    expect(await page.locator('#verdict').innerText()).toMatch(/The network to b is out: packets go by storage/);
    expect(await page.locator('#announcer').innerText()).toBe('b is now reached by storage');
    await eventually('the way back', SOON_MS, async () =>
      /b → a\s+S\s?storage/.test(await page.locator('#pairs').innerText()),
    );
    expect(await page.locator('#timeline .span[data-path="storage"]').count()).toBe(1);
    expect(await page.locator('#event-list').innerText()).toMatch(/b: suspect → storage: 3 probes lost/);
    await cluster.lab.heal();
    await eventually('all is well again', SOON_MS, async () => (await level()) === 'good');
  });

  test('hostile contents of packets are text', async () => {
    const { lab } = cluster;
    await lab.stillbeat('a', ['path', 'b', 'storage', '--socket', lab.socketPath('a')]);
    await cluster.untilPath('storage', SOON_MS, ['a']);
    await lab.stillbeat('a', [
      'send',
      'b',
      '--channel',
      HOSTILE.slice(0, 34),
      '--config',
      lab.settingsPath('a'),
      HOSTILE,
    ]);
    await eventually('the packet is listed', SOON_MS, async () => {
      await page.selectOption('#packet-node', 'a');
      await page.click('#packet-form button');
      return (await page.locator('#packet-list').innerText()).includes('<img src=x');
    });
    expect(await page.locator('#packet-list img, #packet-list script').count()).toBe(0);
    expect(await page.evaluate('window.hit')).toBeUndefined();
  });

  test('by keyboard: every control is reached, in the order of the page, and works', async () => {
    await page.reload();
    await eventually('all is well', SOON_MS, async () => (await level()) === 'good');
    const walked: string[] = [];
    for (let step = 0; step < 40 && walked.at(-1) !== 'Packets, newest first'; step++) {
      await page.keyboard.press('Tab');
      walked.push(
        String(
          await page.evaluate(
            "(({ id, innerText, ariaLabel, value, type }) => ariaLabel ?? (type === 'radio' ? `range ${value}` : innerText?.trim() && !id ? innerText.trim() : id))(document.activeElement)",
          ),
        ),
      );
      if (walked.at(-1) === 'range 300000') {
        await page.keyboard.press('ArrowRight');
        expect(await page.locator('input[name=range]:checked').getAttribute('value')).toBe('3600000');
      }
      if (walked.at(-1) === 'The changes as a table') {
        await page.keyboard.press('Enter');
        expect(await page.locator('#changes table').isVisible()).toBe(true);
      }
    }
    expect(walked).toEqual([
      'Skip to the cluster',
      'Ways',
      'Past',
      'Volumes',
      'Events',
      'Packets',
      'range 300000',
      'The changes as a table',
      'Changes of ways',
      'The last events',
      'packet-volume',
      'packet-node',
      'Look',
      'packet-again',
      'Packets, newest first',
    ]);
  });

  test('for a screen reader: landmarks, headings, labels', async () => {
    for (const role of ['banner', 'navigation', 'main', 'contentinfo'] as const) {
      expect([role, await page.getByRole(role).count()]).toEqual([role, 1]);
    }
    const headings = await page.getByRole('heading', { level: 2 }).allInnerTexts();
    expect(headings).toEqual(['Ways', 'Past', 'Volumes', 'Events', 'Packets on the volumes']);
    expect(await page.getByRole('status').count()).toBeGreaterThan(0);
    for (const name of ['Volume', 'written by']) {
      expect([name, await page.getByRole('combobox', { name }).count()]).toEqual([name, 1]);
    }
    expect(await page.getByRole('checkbox', { name: 'keep looking' }).count()).toBe(1);
    expect(await page.getByRole('table', { name: 'Peers of this node, with figures' }).count()).toBe(1);
    expect(await page.locator('svg[role=img]:not([aria-label])').count()).toBe(0);
  });

  test('a phone needs no scrolling sideways', async () => {
    await page.setViewportSize({ width: 360, height: 740 });
    await page.reload();
    await eventually('all is well', SOON_MS, async () => (await level()) === 'good');
    const [wide, room] = (await page.evaluate('[document.documentElement.scrollWidth, innerWidth]')) as [
      number,
      number,
    ];
    expect(wide).toBeLessThanOrEqual(room);
    // The test before has left packets there. In a column of a letter’s width nobody reads one.
    await page.selectOption('#packet-node', 'a');
    await page.click('#packet-form button');
    const text = page.locator('#packet-list tbody td:last-child').first();
    await eventually('the packets', SOON_MS, async () => text.isVisible());
    expect((await text.boundingBox())?.width).toBeGreaterThan(200);
    // Nothing of it lies behind the edge of its own box either.
    const hidden =
      'document.querySelector("#packet-list").scrollWidth - document.querySelector("#packet-list").clientWidth';
    expect(await page.evaluate(hidden)).toBeLessThanOrEqual(0);
    await page.setViewportSize({ width: 1280, height: 900 });
  });

  test('three viewers are given the same words, and everything is from here', async () => {
    const asked: string[] = [];
    const others = await Promise.all([browser.newPage(), browser.newPage()]);
    for (const other of others) {
      other.on('request', (request) => asked.push(new URL(request.url()).origin));
      await other.goto(PAGE_URL);
      await eventually(
        'all is well',
        SOON_MS,
        async () => (await other.getAttribute('#verdict', 'data-level')) === 'good',
      );
    }
    expect(new Set(asked)).toEqual(new Set([new URL(PAGE_URL).origin]));
    for (const other of others) await other.close();
  });

  test('a name that was rebound to this host is refused', async () => {
    const other = await browser.newPage();
    const answer = await other.goto('http://rebound.example:9478/');
    expect(answer?.status()).toBe(421);
    await other.close();
  });
});

describe('who may not', () => {
  test('another origin, and parts for another site', async () => {
    const evil = ['-H', 'Origin: http://evil.example'];
    for (const path of ['', 'live', 'packets?volume=x&node=a']) {
      expect([path, await statusOf(...evil, PAGE_URL + path)]).toEqual([path, 403]);
    }
    expect(await statusOf('-H', 'Sec-Fetch-Site: cross-site', '-H', 'Sec-Fetch-Mode: no-cors', PAGE_URL)).toBe(403);
    expect(await statusOf('-H', 'Host: evil.example', PAGE_URL)).toBe(421);
  });

  test('what else a stranger may think of is refused in words, and the agent goes on', async () => {
    expect(await statusOf('-X', 'DELETE', PAGE_URL)).toBe(405);
    expect(await statusOf(`${PAGE_URL}../../etc/passwd`, '--path-as-is')).toBe(404);
    expect(await statusOf(`${PAGE_URL}%%%/\u00ff`)).toBe(404);
    expect(await statusOf('--path-as-is', '--request-target', '*', PAGE_URL)).toBe(404);
    const { status, text } = await curl(`${PAGE_URL}packets?volume=/etc/passwd&node=a`);
    expect([status, text]).toEqual([503, '{"error":"this node does not use that volume"}']);
    expect((await curl(PAGE_URL)).status).toBe(200);
  });

  test('every answer forbids scripts of others, frames and guesses', async () => {
    const { stdout } = await cluster.lab.exec('a', ['curl', '-s', '-D', '-', '-o', '/dev/null', PAGE_URL]);
    expect(stdout).toMatch(
      /^content-security-policy: default-src 'none'; script-src 'self'; style-src 'self';.*trusted-types/im,
    );
    expect(stdout).not.toMatch(/unsafe-/);
    expect(stdout).toMatch(/^x-content-type-options: nosniff/im);
    const html = (await curl(PAGE_URL)).text;
    expect(html).not.toMatch(/<script(?![^>]*\ssrc=)|\son\w+=|style=/);
  });

  test('without the token nothing but its form is there', async () => {
    const url = `http://${OPEN_PLACE}/`;
    for (const path of ['', 'live', 'packets', 'page/browser/main.js', 'view/units.js']) {
      const { status, text } = await curl(url + path);
      expect([path, status]).toEqual([path, 401]);
      expect(text).not.toMatch(/\blab\b|sb0|10\.77/);
    }
    expect(await statusOf('-H', `Authorization: Bearer ${'0'.repeat(64)}`, url)).toBe(401);
    expect(await statusOf(`${url}?token=${TOKEN}`)).toBe(401);
    expect(await statusOf('-H', `Authorization: Bearer ${TOKEN}`, `${url}page/browser/main.js`)).toBe(200);
    expect(await statusOf('-H', 'Host: b.example.org', '-H', `Authorization: Bearer ${TOKEN}`, url)).toBe(200);
  });

  test('with the token in its form the page opens, and the log knows nothing of it', async () => {
    const other = await browser.newPage();
    await other.goto(`http://${OPEN_PLACE}/`);
    await other.fill('#token', 'wrong');
    await other.click('button');
    expect(await other.getByRole('alert').innerText()).toMatch(/not the token/);
    await other.fill('#token', TOKEN);
    await other.click('button');
    await eventually(
      'all is well',
      SOON_MS,
      async () => (await other.getAttribute('#verdict', 'data-level')) === 'good',
    );
    expect(await other.locator('#seen-by').innerText()).toBe('seen by b');
    expect(other.url()).toBe(`http://${OPEN_PLACE}/`);
    await other.close();
    expect(cluster.lab.agentLog('b')).not.toContain(TOKEN);
  });
});
