/**
 * The nearest peer, measured beside us: SBD, which keeps one mailbox for each node on a shared device. A message is
 * "delivered" when the other node's watcher logs it.
 *
 * Safe by construction: only `test` messages are sent, the watcher runs without a watchdog (-W -W) and never fences
 * (-Z -Z), in mount and PID namespaces of its own with a /dev that has no watchdog; where this host has a watchdog
 * device at all, nothing is measured.
 */
import { existsSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { percentile } from '../demo/figures.ts';
import type { Lab } from '../demo/lab.ts';
import { run } from '../demo/shell.ts';
import type { Clock } from '../platform/clock.ts';

const SAMPLES = 8;
const DELIVERY_MS_MAX = 5000;
const START_MS = 3000;

/** Median delivery in ms over a device of the lab's own kind; null where SBD cannot be measured. */
export async function sbdDelivery(lab: Lab, clock: Clock): Promise<number | null> {
  if (existsSync('/dev/watchdog') || existsSync('/dev/watchdog0')) return null;
  if ((await run(['sbd', '-h'])).status === 127) return null;
  const volume = await lab.addVolume('sbd', 16 * 1024 * 1024);
  if ((await run(['sbd', '-d', volume.path, 'create'])).status !== 0) return null;
  for (const node of ['alpha', 'beta']) await run(['sbd', '-d', volume.path, 'allocate', node]);
  const watch = [
    'sbd',
    '-d',
    volume.path,
    '-n',
    'beta',
    '-R',
    '-W',
    '-W',
    '-P',
    '-P',
    '-c',
    '-c',
    '-Z',
    '-Z',
    '-S',
    '0',
  ];
  const isolated = ['unshare', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc'];
  const watcher = lab.spawn('b', [...isolated, ...watch, '-v', '-v', 'watch'], { stdio: ['ignore', 'pipe', 'pipe'] });
  try {
    await delay(START_MS);
    const samples: number[] = [];
    for (let i = 0; i < SAMPLES; i++) {
      const took = await deliverOnce(lab, volume.path, clock);
      if (took !== null) samples.push(took);
      await delay(300 + ((i * 377) % 1000)); // another phase of the peer's one-second poll each time
    }
    return percentile(samples, 0.5);
  } finally {
    watcher.kill('SIGKILL');
  }
}

/** Sends one `test` and waits until the watcher has cleared the mailbox, which it does when it has read it. */
async function deliverOnce(lab: Lab, path: string, clock: Clock): Promise<number | null> {
  const began = clock.monotonicMs();
  const sender = lab.spawn('a', ['sbd', '-d', path, '-n', 'alpha', 'message', 'beta', 'test'], { stdio: 'ignore' });
  try {
    let isPosted = false;
    while (clock.monotonicMs() - began < DELIVERY_MS_MAX) {
      const { stdout } = await run(['sbd', '-d', path, 'list']);
      const isWaiting = /beta\s+test/.test(stdout);
      if (isWaiting) isPosted = true;
      if (isPosted && !isWaiting) return clock.monotonicMs() - began;
      await delay(5);
    }
    return null;
  } finally {
    sender.kill('SIGKILL');
  }
}
