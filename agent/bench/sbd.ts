/**
 * The nearest peer, measured beside us: SBD, which keeps one mailbox for each node on a shared device. A message is
 * "delivered" when the other node's watcher logs it.
 *
 * Safe by construction: only `test` messages are sent, the watcher runs without a watchdog (-W -W) and never fences
 * (-Z -Z), in mount and PID namespaces of its own with a /dev that has no watchdog; where this host has a watchdog
 * device at all, nothing is measured.
 */
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { percentile } from '../demo/figures.ts';
import type { Lab } from '../demo/lab.ts';
import { run } from '../demo/shell.ts';
import { BlockDevice } from '../platform/block-device.ts';
import type { Clock } from '../platform/clock.ts';
import { alignedMemory } from '../platform/memory.ts';

const SAMPLES = 8;
const DELIVERY_MS_MAX = 5000;
const START_MS = 3000;
const SEND_MS_MAX = 150;
/** The watcher looks once a second: after this long without a message in the mailbox no more is taken out. */
const QUIET_MS = 3000;
/** SBD's layout: a header sector, then for each slot its sector and its mailbox; a mailbox begins with the command. */
const SECTOR_BYTES = 512;
const TARGET_SLOT = 1;
const MAILBOX_OFFSET = (2 + 2 * TARGET_SLOT) * SECTOR_BYTES;

/** Median delivery in ms over a device of the lab's own kind; null where SBD cannot be measured. */
export async function sbdDelivery(lab: Lab, clock: Clock): Promise<number | null> {
  return withWatcher(lab, async (path, mailbox) => {
    const samples: number[] = [];
    for (let i = 0; i < SAMPLES; i++) {
      const took = await deliverOnce(lab, path, mailbox, clock);
      if (took !== null) samples.push(took);
      await delay(300 + ((i * 377) % 1000)); // another phase of the peer's one-second poll each time
    }
    return percentile(samples, 0.5);
  });
}

/** How many of `count` messages, sent one after another without a pause, the watcher takes out of the mailbox. */
export async function sbdBurst(lab: Lab, clock: Clock, count: number): Promise<number | null> {
  return withWatcher(lab, async (path, mailbox) => {
    let sent = 0;
    const sending = (async () => {
      for (; sent < count; sent++) {
        const sender = lab.spawn('a', ['sbd', '-d', path, '-n', 'alpha', 'message', 'beta', 'test'], {
          stdio: 'ignore',
        });
        // It waits for nothing but its own write; one that does is ended, its message is in the mailbox.
        await Promise.race([once(sender, 'exit'), delay(SEND_MS_MAX)]);
        sender.kill('SIGKILL');
      }
    })();
    let taken = 0;
    let wasFull = false;
    for (let quietMs = clock.monotonicMs(); clock.monotonicMs() - quietMs < QUIET_MS;) {
      const { isFull } = mailbox;
      if (wasFull && !isFull) taken++;
      if (isFull || sent < count) quietMs = clock.monotonicMs();
      wasFull = isFull;
      await delay(1);
    }
    await sending;
    return taken;
  });
}

/** A device with a watcher on node b; null where SBD cannot be measured. */
async function withWatcher<T>(lab: Lab, work: (path: string, mailbox: Mailbox) => Promise<T>): Promise<T | null> {
  if (existsSync('/dev/watchdog') || existsSync('/dev/watchdog0')) return null;
  if ((await run(['sbd', '-h'])).status === 127) return null;
  const { path } = await lab.addVolume('sbd', 16 * 1024 * 1024);
  if ((await run(['sbd', '-d', path, 'create'])).status !== 0) return null;
  for (const node of ['alpha', 'beta']) await run(['sbd', '-d', path, 'allocate', node]);
  const flags = ['-R', '-W', '-W', '-P', '-P', '-c', '-c', '-Z', '-Z', '-S', '0'];
  const isolated = ['unshare', '--mount', '--propagation', 'slave', '--pid', '--fork', '--kill-child', '--mount-proc'];
  const watcher = lab.spawn('b', [...isolated, 'sbd', '-d', path, '-n', 'beta', ...flags, 'watch'], {
    stdio: 'ignore',
    env: { ...process.env, SBD_SYNC_RESOURCE_STARTUP: 'no' },
  });
  const mailbox = new Mailbox(path);
  try {
    await delay(START_MS);
    return await work(path, mailbox);
  } finally {
    mailbox.close();
    watcher.kill('SIGKILL');
  }
}

class Mailbox {
  readonly #device: BlockDevice;
  readonly #memory = new Uint8Array(alignedMemory(8192)).subarray(0, 8192);

  constructor(path: string) {
    this.#device = BlockDevice.open(path, { readOnly: true });
  }

  get isFull(): boolean {
    this.#device.read(0, this.#memory);
    return this.#memory[MAILBOX_OFFSET] !== 0;
  }

  close(): void {
    this.#device.close();
  }
}

/** Sends one `test`; from the moment it lies in the mailbox until the watcher has taken it out. */
async function deliverOnce(lab: Lab, path: string, mailbox: Mailbox, clock: Clock): Promise<number | null> {
  const sender = lab.spawn('a', ['sbd', '-d', path, '-n', 'alpha', 'message', 'beta', 'test'], { stdio: 'ignore' });
  try {
    const postedMs = await until(() => mailbox.isFull, clock);
    if (postedMs === null) return null;
    const takenMs = await until(() => !mailbox.isFull, clock);
    return takenMs === null ? null : takenMs - postedMs;
  } finally {
    sender.kill('SIGKILL');
  }
}

async function until(look: () => boolean, clock: Clock): Promise<number | null> {
  const deadline = clock.monotonicMs() + DELIVERY_MS_MAX;
  while (clock.monotonicMs() < deadline) {
    if (look()) return clock.monotonicMs();
    await delay(1);
  }
  return null;
}
