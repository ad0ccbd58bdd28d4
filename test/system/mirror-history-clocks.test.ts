/** [HI6] Clocks that are set while something is recorded: a time is answered rightly or refused, never with another state. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { findMark, type Found } from '../../agent/history/core/spans.ts';
import { RECORD_KIND } from '../../agent/history/wire/record.ts';
import { eventually } from '../support/cluster.ts';
import { HistoryBed, SOON_MS } from '../support/history-bed.ts';

const HOUR_S = 3600;
const LOOK_MS = 20;
const STEP_US = 20_000;
/** How far ahead a clock is is known to the way of a question: on a busy machine that takes some time. */
const WAY_US = 500_000;
const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

/** A source whose clock can be set, and when each of its writes was: the recorder's clock is this test's. */
class SetBed {
  readonly bed: HistoryBed;
  readonly #offset: string;
  readonly #writes: { readonly begunUs: number; readonly doneUs: number }[] = [];
  readonly #beganUs = Date.now() * 1000;

  constructor(bed: HistoryBed) {
    this.bed = bed;
    this.#offset = join(bed.pair.folder, 'offset');
    this.set(0);
    const clock = join(bed.pair.folder, 'clock.mjs');
    writeFileSync(
      clock,
      `import { readFileSync } from 'node:fs';
      const { now } = Date;
      let ahead = 0;
      const look = () => (ahead = Number(readFileSync(${JSON.stringify(this.#offset)}, 'utf8')) * 1000);
      look();
      setInterval(look, ${LOOK_MS / 4}).unref();
      Date.now = () => now() + ahead;\n`,
    );
    bed.pair.wrap('source', ['env', `NODE_OPTIONS=--import=${clock}`]);
  }

  /** Ahead of the present, seconds; it counts at once. */
  set(aheadS: number): void {
    writeFileSync(this.#offset, String(aheadS));
  }

  async write(): Promise<void> {
    const begunUs = Date.now() * 1000;
    await this.bed.write(`write -P ${this.#writes.length + 1} 0 64k`);
    this.#writes.push({ begunUs, doneUs: (Date.now() + 1) * 1000 });
  }

  at(timeUs: number): Found {
    const { table, extent, times } = this.bed.loaded;
    return findMark(table, extent, times, { timeUs }, Date.now() * 1000);
  }

  /** Times that are answered with a state that was not the one then. */
  wrong(): string[] {
    const { table, extent, times } = this.bed.loaded;
    const nowUs = Date.now() * 1000;
    const marks = [...table.order].filter((one) => table.kind(one) === RECORD_KIND.write).map((one) => table.mark(one));
    const found: string[] = [];
    for (let timeUs = this.#beganUs; timeUs <= nowUs; timeUs += STEP_US) {
      const answer = findMark(table, extent, times, { timeUs }, nowUs);
      if (!answer.ok) continue;
      this.#writes.forEach(({ begunUs, doneUs }, i) => {
        const has = (marks[i] ?? Infinity) <= answer.mark;
        const when = `${new Date(timeUs / 1000).toISOString()} is answered with mark ${answer.mark}`;
        if (timeUs < begunUs - WAY_US && has) found.push(`${when}, and write ${i + 1} was later`);
        if (timeUs > doneUs + WAY_US && !has) found.push(`${when}, and write ${i + 1} was before`);
      });
    }
    return found;
  }

  /** Looks for so long. */
  async watch(ms: number): Promise<void> {
    for (const endMs = Date.now() + ms; Date.now() < endMs; await delay(LOOK_MS)) expect(this.wrong()).toEqual([]);
  }

  async isPresentKnown(): Promise<void> {
    await eventually('the present is known', SOON_MS, () => {
      expect(this.wrong()).toEqual([]);
      const answer = this.at(Date.now() * 1000 - 2_000_000);
      if (answer.ok) return true;
      throw new Error(`${answer.why}\n${this.bed.said}`);
    });
    await this.watch(200);
  }
}

async function begun(aheadS: number): Promise<SetBed> {
  const bed = await HistoryBed.make({ volumeBytes: 1 << 20 });
  ends.push(async () => bed.remove());
  const set = new SetBed(bed);
  set.set(aheadS);
  await bed.start();
  await set.write();
  await bed.caughtUp();
  await set.isPresentKnown();
  return set;
}

for (const [what, aheadS] of [
  ['back by seconds', -6],
  ['forward by an hour', HOUR_S],
] as const) {
  test(`[HI6] [OS4] a source’s clock that is set ${what} in a session: no time is answered with another state`, async () => {
    const set = await begun(0);
    set.set(aheadS);
    await delay(2 * LOOK_MS);
    await set.write();
    await set.watch(1500);
    await set.write();
    await set.bed.caughtUp();
    await set.watch(3000);
    await set.isPresentKnown();
    expect(set.bed.said).toMatch(/its clock was set/);
    const { stdout } = await set.bed.history('list', '--store', set.bed.store);
    expect(stdout).toMatch(/times from \S+ to \S+ cannot be told/);
    await set.write();
    await set.bed.caughtUp();
    await set.isPresentKnown();
    const { marks } = (await set.bed.pair.status('source')) as unknown as { marks: { admitted: number } };
    expect((await set.bed.history('at', `#${marks.admitted}`, '--store', set.bed.store)).status).toBe(0);
  });
}

test('[HI6] [OS4] a source that is killed an hour ahead and comes back an hour behind: now is refused, and no time is answered with another state', async () => {
  const set = await begun(HOUR_S);
  const { bed } = set;
  await bed.pair.end('source', 'SIGKILL');
  set.set(-HOUR_S);
  await delay(50);
  bed.pair.start('source');
  await bed.served();
  await set.write();
  await bed.caughtUp();
  await set.watch(3000);
  const { status, stderr } = await bed.history('at', 'now', '--store', bed.store);
  expect([status, stderr]).toEqual([1, expect.stringMatching(/cannot be told: .*clock/)]);
  const mark = await bed.newest();
  expect((await bed.history('at', `#${mark}`, '--store', bed.store)).status).toBe(0);
});
