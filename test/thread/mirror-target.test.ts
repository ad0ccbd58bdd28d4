/** A target with its threads, on real files and real links, and a source that follows a script. */
import { rmSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { FRAME_KIND } from '../../agent/mirror/wire/frame.ts';
import { decodeAnswer } from '../../agent/mirror/target/reports.ts';
import { Prng } from '../../agent/base/prng.ts';
import type { ScriptedSource } from '../support/scripted-source.ts';
import type { SourceModel } from '../support/source-model.ts';
import { TargetBed } from '../support/target-bed.ts';
import { until } from '../support/until.ts';

const SOON_MS = 60_000;
let bed: TargetBed;
let sources: ScriptedSource[];

beforeEach(() => {
  bed = new TargetBed();
  sources = [];
});
afterEach(async () => {
  for (const source of sources) source.end();
  await bed.remove();
  expect(bed.fatal).toEqual([]);
});

function cycles(model: SourceModel, count: number): void {
  for (let i = 0; i < count; i++) {
    for (let j = 1 + model.random.below(20); j > 0; j--) model.append();
    model.seal();
  }
}

/** An open target and a source in session with it. */
async function met(seed: number): Promise<{ source: ScriptedSource; model: SourceModel }> {
  const model = bed.model(new Prng(seed));
  const target = await bed.open();
  const source = bed.source(model, target.status().address);
  sources.push(source);
  expect(await source.connect()).toBe(true);
  return { source, model };
}

test('[MI1] [MI8] [RF5] many cycles, in any order over two connections, much of it twice: the volumes are equal at each cut', async () => {
  const { source, model } = await met(1);
  for (let round = 0; round < 6; round++) {
    cycles(model, 10);
    expect(await source.sendAll()).toBe(true);
    await source.untilApplied(model.mark);
    bed.expectContent(model, model.mark);
  }
  const status = bed.target?.status();
  expect(status).toMatchObject({
    group: 'data',
    state: 'consistent',
    cut: model.mark,
    durable: model.mark,
    received: model.mark,
    committed: model.mark,
    session: source.session,
    journal: { errno: 0, usedBytes: 0 },
    storage: { errno: 0, hungMs: 0 },
  });
  expect(status?.links).toHaveLength(2);
  expect(bed.superblock()).toMatchObject({ cut: model.mark, session: source.session });
  expect(bed.superblock().sequence % 2).toBe(0);
});

test('[MI16] much more than the ring holds goes through it', async () => {
  await bed.remove();
  bed = new TargetBed({ ringBytes: 512 << 10, windowBytes: 128 << 10 });
  const { source, model } = await met(2);
  cycles(model, 150);
  expect(await source.sendAll()).toBe(true);
  await source.untilApplied(model.mark);
  bed.expectContent(model, model.mark);
});

test('it goes on where it was after a stop; what was durable is not sent again', async () => {
  const { source, model } = await met(3);
  cycles(model, 5);
  for (let i = 0; i < 7; i++) model.append();
  expect(await source.sendAll()).toBe(true);
  await until('it is durable', () => source.stored.durable === model.mark, SOON_MS);
  await bed.target?.close();
  await until('the source is told', () => source.links.every(({ isClosed }) => isClosed), SOON_MS);
  const target = await bed.open();
  const again = bed.source(model, target.status().address);
  sources.push(again);
  expect(await again.connect()).toBe(true);
  expect(again.welcome).toMatchObject({ hasCut: true, prefix: model.point(model.mark), isTakenOver: false });
  model.seal();
  expect(await again.sendAll()).toBe(true);
  await again.untilApplied(model.mark);
  bed.expectContent(model, model.mark);
});

test('[CY7] the direct question is answered; [MI5] a newer session ends the older one', async () => {
  const { source, model } = await met(4);
  const [link] = source.links;
  link?.connection.send(FRAME_KIND.inquiry, source.session, 4711);
  const answer = await until('an answer', () => link?.find(FRAME_KIND.answer), SOON_MS);
  expect(answer.frame.id).toBe(4711);
  expect(decodeAnswer(answer.body)).toEqual({ journalErrno: 0, volumesErrno: 0 });
  const address = bed.target?.status().address ?? { host: '', port: 0 };
  const other = bed.source(model, address);
  sources.push(other);
  expect(await other.connect()).toBe(true);
  await until('the older one is ended', () => source.links.every(({ isClosed }) => isClosed), SOON_MS);
  expect(link?.stop).toMatchObject({ again: false });
  cycles(model, 2);
  expect(await other.sendAll()).toBe(true);
  await other.untilApplied(model.mark);
});

test('served volumes: whoever reads all the time sees one cut after another, never a mix, and holds none up', async () => {
  await bed.remove();
  bed = new TargetBed({ ringBytes: 4 << 20, windowBytes: 1 << 20 }, [65_536]);
  const { source, model } = await met(5);
  const [volume] = bed.target?.volumes ?? [];
  if (!volume) throw new Error('no volume');
  await until('there is a cut', () => bed.target?.status().state !== 'initialising', SOON_MS);
  const seen: Uint8Array[] = [];
  const over = new AbortController();
  const reader = (async () => {
    while (!over.signal.aborted) {
      const into = new Uint8Array(65_536);
      const errno = await new Promise<number>((resolve) => volume.read(0, into, resolve));
      if (errno !== 0) throw new Error(`errno ${errno}`);
      if (seen.length === 0 || Buffer.compare(seen.at(-1) ?? into, into) !== 0) seen.push(into);
    }
  })();
  const cuts: number[] = [0];
  for (let round = 0; round < 40; round++) {
    cycles(model, 1);
    cuts.push(model.mark);
    expect(await source.sendAll()).toBe(true);
    if (round % 3 === 0) await source.untilApplied(model.mark);
  }
  await source.untilApplied(model.mark);
  over.abort();
  await reader;
  const wanted = new Set(cuts.map((cut) => Buffer.from(model.contentAt(cut)[0] ?? []).toString('base64')));
  for (const content of seen) expect(wanted.has(Buffer.from(content).toString('base64'))).toBe(true);
  expect(seen.length).toBeGreaterThan(5);
});

test('a journal is opened by one process at a time, by its own group and volumes', async () => {
  await bed.open();
  const { target } = bed;
  await expect(bed.open()).rejects.toThrow('in use by another process');
  await target?.close();
  await expect(bed.open({ group: 'other' })).rejects.toThrow('belongs to group "data"');
  await expect(bed.open({ volumes: bed.volumes.toReversed() })).rejects.toThrow('is for volumes v0');
  const [first, ...rest] = bed.volumes;
  await expect(
    bed.open({ volumes: [{ name: 'v0', path: first?.path ?? '', bytes: 1 << 30 }, ...rest] }),
  ).rejects.toThrow('make it as large');
  rmSync(first?.path ?? '');
  await expect(bed.open()).rejects.toThrow('cannot be opened');
  bed.target = null;
});

describe('kill -9 at random moments', () => {
  test.each([1, 2, 3])(
    '[I1] [I2] [MI9] the volumes are the model at the cut, which never goes back (seed %i)',
    async (seed) => {
      const random = new Prng(seed);
      const model = bed.model(random);
      let source: ScriptedSource | null = null;
      let shown = 0;
      let durable = 0;
      for (let round = 0; round < 8; round++) {
        const address = await bed.start();
        const next = bed.source(model, address);
        next.committed = source?.committed ?? 0;
        source = next;
        sources.push(source);
        if (await source.connect()) {
          expect(source.welcome.cut.mark).toBeGreaterThanOrEqual(shown);
          // Before it has ever been a copy, a target begins anew.
          if (!source.welcome.hasCut) durable = 0;
          expect(source.welcome.prefix.mark).toBeGreaterThanOrEqual(durable);
          const running = source;
          const killed = sleep(random.below(250)).then(async () => bed.kill());
          while (!running.isLost) {
            cycles(model, 3);
            if (!(await running.sendAll())) break;
          }
          await killed;
          shown = Math.max(shown, running.applied);
          durable = Math.max(durable, running.stored.durable);
        }
        await bed.kill();
        source.end();
        const { cut, sequence, committed } = bed.superblock();
        expect(cut).toBeGreaterThanOrEqual(shown);
        expect(committed).toBeLessThanOrEqual(source.committed);
        if (sequence % 2 === 0) bed.expectContent(model, cut, `seed ${seed} round ${round}`);
      }
      // Once more, to the end.
      const last = bed.source(model, await bed.start());
      sources.push(last);
      last.committed = source?.committed ?? 0;
      expect(await last.connect()).toBe(true);
      model.seal();
      expect(await last.sendAll()).toBe(true);
      await last.untilApplied(model.mark);
      bed.expectContent(model, model.mark);
      expect(shown).toBeGreaterThan(0);
    },
  );
});
