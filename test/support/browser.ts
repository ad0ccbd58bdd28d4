/** Headless Chromium inside a lab node's namespace, where the agent's page is on the loopback. */
import { mkdtempSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type BrowserContext, chromium } from 'playwright-core';
import type { Lab } from '../../agent/demo/lab.ts';

const CHROMIUM = '/usr/bin/chromium';
/** Nothing that speaks to anybody else, and nothing that a room without a graphics card lacks. */
const QUIET = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

export const PAGE_URL = 'http://127.0.0.1:9478/';

export interface BrowserOptions {
  readonly width?: number;
  readonly height?: number;
  readonly dark?: boolean;
  readonly scale?: number;
  /** More of Chromium's own options. */
  readonly flags?: readonly string[];
}

/** A browser with an empty profile in the lab's directory. The caller closes it. */
export async function openBrowser(lab: Lab, node: string, options: BrowserOptions = {}): Promise<BrowserContext> {
  const { width = 1280, height = 900, dark = false, scale = 1, flags = [] } = options;
  const program = join(lab.directory, `chromium-${node}`);
  const inside = `ip netns exec ${lab.network.namespace(node)} ${CHROMIUM}`;
  writeFileSync(program, `#!/bin/sh\nexec ${inside} "$@"\n`, { mode: 0o755 });
  return chromium.launchPersistentContext(mkdtempSync(join(lab.directory, 'profile-')), {
    executablePath: program,
    args: [...QUIET, ...flags],
    viewport: { width, height },
    deviceScaleFactor: scale,
    colorScheme: dark ? 'dark' : 'light',
    reducedMotion: 'reduce',
  });
}
