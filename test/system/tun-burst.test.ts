/**
 * TCP at full speed between two hosts whose TUN devices are joined by a relay that copies frames. Shows that offloads are
 * really on (super-packets arrive, far above the MTU) and that a frame carried with its virtio-net header is taken back by
 * another kernel as it was.
 */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { afterEach, describe, expect, test } from 'vitest';
import type { InterfaceOptions } from '../../vnic/interface-linux.ts';

const BYTES = 64 << 20;
const PORT = 4001;
/** A second is enough; frames that are lost for ever would keep TCP trying for minutes. */
const BOUND_MS = 60_000;
const COUNTERS = { stop: 0, frames: 1, superPackets: 2, largest: 3, refused: 4, failed: 5, unparsed: 6 } as const;

interface Answer {
  readonly descriptor?: number;
  readonly offloads?: number;
  readonly bytes?: number;
  readonly sha256?: string;
}

let workers: Worker[] = [];

function start(file: string, workerData: unknown): Worker {
  const worker = new Worker(new URL(`fixtures/${file}`, import.meta.url), { workerData });
  workers.push(worker);
  return worker;
}

/** The worker's next message; fails when the worker fails. */
async function answer(worker: Worker): Promise<Answer> {
  const [message] = (await once(worker, 'message')) as [Answer];
  return message;
}

afterEach(async () => {
  for (const worker of workers) await worker.terminate();
  workers = [];
});

describe.each([
  { family: 4 as const, prefix: 24, source: '10.99.0.1', target: '10.99.0.2' },
  { family: 6 as const, prefix: 64, source: 'fd99::1', target: 'fd99::2' },
])('64 MiB of TCP over IPv$family', ({ family, prefix, source, target }) => {
  const options = (mtu: number, address: string): InterfaceOptions => ({
    name: 'sbt0',
    mtu,
    addresses: [{ address, prefix, family }],
  });

  test.each([1500, 65_000])(
    'arrive unaltered at MTU %i, in super-packets',
    async (mtu) => {
      const to = { address: target, port: PORT, bytes: BYTES };
      const receiver = start('tcp-end.mjs', { role: 'receive', options: options(mtu, target), ...to });
      const { descriptor: there } = await answer(receiver);
      const listening = answer(receiver);
      const sender = start('tcp-end.mjs', { role: 'send', options: options(mtu, source), ...to });
      const { descriptor: here } = await answer(sender);
      await listening;

      const counters = new Int32Array(new SharedArrayBuffer(64));
      const relay = start('tun-relay.mjs', { descriptors: [here, there], counters, index: COUNTERS });
      const ended = once(relay, 'exit');
      const results = Promise.all([answer(sender), answer(receiver)]);
      sender.postMessage('go');
      const [sent, received] = await results;
      Atomics.store(counters, COUNTERS.stop, 1);
      await ended;

      expect(received).toEqual(sent);
      expect(received.bytes).toBe(BYTES);
      expect(counters[COUNTERS.failed]).toBe(0);
      expect(counters[COUNTERS.unparsed]).toBe(0);
      expect(counters[COUNTERS.refused]).toBe(0);
      expect(counters[COUNTERS.largest]).toBeGreaterThan(60_000);
      if (mtu === 1500) {
        expect(counters[COUNTERS.superPackets]).toBeGreaterThan(BYTES / 65_536 / 2);
        // Cut to the MTU they would be 46,000, and as many confirmations.
        expect(counters[COUNTERS.frames]).toBeLessThan(BYTES / 1500 / 2);
      }
    },
    BOUND_MS,
  );
});
