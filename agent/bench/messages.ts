/** `bench messages`: a burst of messages to one node through storage, beside the same burst into SBD's mailbox. */
import { setTimeout as delay } from 'node:timers/promises';
import { connect, type Client } from '../client/index.ts';
import { percentile } from '../demo/figures.ts';
import { systemClock } from '../platform/clock.ts';
import { BenchLab } from './bench-lab.ts';
import { below, moreThan, type Figure } from './figure.ts';
import { sbdBurst } from './sbd.ts';

const MESSAGES = 20;
const ROUNDS = 50;
const ARRIVAL_MS_MAX = 5000;
/** What SBD's single mailbox has kept of such a burst where it was measured; stands where it cannot be. */
const SBD_KEPT = 3;

export async function messages(say: (line: string) => void): Promise<Figure[]> {
  return BenchLab.with(async (bench) => {
    const { lab } = bench;
    await bench.onStorage();
    const socketOf = (node: string) => `${lab.directory}/${node}.messages.sock`;
    const reader = await connect({ socket: socketOf('b'), channel: 'bench' });
    const writer = await connect({ socket: socketOf('a'), channel: 'bench' });
    await reader.subscribe();
    const arrived: string[] = [];
    void (async () => {
      for await (const { bytes } of reader) arrived.push(Buffer.from(bytes).toString());
    })();
    say(`${MESSAGES} messages in a burst through storage`);
    const inOrder = await burst(writer, arrived);
    say('one message after another, written to reported as read');
    const roundTrips: number[] = [];
    for (let i = 0; i < ROUNDS; i++) {
      const report = await writer.write('b', 'heartbeat', `round ${i}`);
      roundTrips.push(report.delivered ? report.afterMs : Infinity);
    }
    say(`${MESSAGES} messages in a burst into the mailbox of SBD`);
    const sbd = await sbdBurst(lab, systemClock, MESSAGES);
    if (sbd === null) say(`  SBD cannot be measured here (Debian package sbd): ${SBD_KEPT} stand for it`);
    await Promise.all([writer.close(), reader.close()]);
    return [
      moreThan(`${MESSAGES} messages in a burst: arrived in order`, '', inOrder, sbd ?? SBD_KEPT, MESSAGES),
      below('message through storage, reported as read, p50', 'ms', percentile(roundTrips, 0.5) ?? Infinity, 10),
    ];
  });
}

/** How many of the burst arrived, each in its turn. */
async function burst(writer: Client, arrived: string[]): Promise<number> {
  const sent = Array.from({ length: MESSAGES }, (_, i) => `burst ${i}`);
  await Promise.all(sent.map(async (text) => writer.write('b', 'data', text)));
  const deadlineMs = systemClock.monotonicMs() + ARRIVAL_MS_MAX;
  while (arrived.length < MESSAGES && systemClock.monotonicMs() < deadlineMs) await delay(5);
  return sent.filter((text, i) => arrived[i] === text).length;
}
