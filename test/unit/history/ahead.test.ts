/** [HI6] A recorder's clock that was ahead, and is right again: what is printed is no time that is still to come. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Prng } from '../../../agent/base/prng.ts';
import { at, list } from '../../../agent/cli/history-look.ts';
import { KnownUntil } from '../../../agent/history/store/known.ts';
import { controlOf, dataOf, fillBase, newWorld, randomWrites, removeWorlds } from '../../support/recorded-writes.ts';

const SIZES = [65_536];
const HOUR_MS = 3_600_000;
const printed: string[] = [];
beforeEach(() => {
  printed.length = 0;
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => printed.push(String(text)) > 0);
});
afterEach(async () => {
  vi.restoreAllMocks();
  await removeWorlds();
});

/** What a command prints. */
async function said(command: (argv: string[]) => Promise<number>, argv: string[]): Promise<string> {
  printed.length = 0;
  expect(await command(argv)).toBe(0);
  return printed.join('');
}

/** 10 writes of now; 10 of a time when the clock was 25 h ahead, which all was known until; and another start since. */
async function made() {
  const world = newWorld(SIZES);
  world.nowMs = Date.now() - 1000;
  let recording = await world.open();
  fillBase(recording, [new Uint8Array(65_536)]);
  await recording.settled();
  recording.noteClock({ mark: 0, aheadUs: 0 });
  const [nowUs, tomorrowMs] = [world.nowMs * 1000, Date.now() + 25 * HOUR_MS];
  const write = async (from: number): Promise<void> => {
    for (const one of randomWrites(new Prng(3), 10, SIZES, from)) {
      recording.control(controlOf({ ...one, timeNs: BigInt(Math.floor(nowUs)) * 1000n }));
      const data = dataOf(one);
      if (data) recording.data(data);
    }
    await recording.settled();
  };
  await write(1);
  const ahead = { upTo: 10, fromUs: nowUs, untilUs: tomorrowMs * 1000 };
  recording.noteClock({ mark: 10, aheadUs: -25 * HOUR_MS * 1000, unclear: ahead });
  await write(11);
  const known = new KnownUntil(world.folder, (line) => world.said.push(line));
  known.come(20, tomorrowMs * 1000);
  known.reached(20);
  await known.settled();
  recording = await world.open();
  recording.noteClock({ mark: 20, aheadUs: 0, unclear: { ...ahead, upTo: 20 } });
  await write(21);
  return { world, recording, tomorrow: new Date(tomorrowMs).toISOString() };
}

test('list and at say until when times cannot be told, and no time that is to come as one that was', async () => {
  const { world, recording, tomorrow } = await made();
  const config = join(world.folder, 'recorder.yaml');
  const place = ['--config', config];
  const settings = [
    'role: recorder',
    'name: vault',
    'keyFile: /nowhere',
    'listen: 127.0.0.1:7781',
    `store: { path: ${world.folder} }`,
  ];
  writeFileSync(config, `${[...settings, 'retention: { hours: 24 }'].join('\n')}\n`);
  const told = `  no time can be told until ${tomorrow}, where the recorder's clock was before: name marks\n`;
  for (const isPruned of [false, true]) {
    if (isPruned) await recording.prune(Infinity, 0);
    const text = await said(list, place);
    expect(text).toContain(told);
    expect(text).not.toContain('is known');
    // Where it is said what cannot be told, and nowhere else.
    expect(text.replace(told, '').replaceAll(/^ {2}times from .*\n/gm, '')).not.toContain(tomorrow.slice(0, 10));
    expect(text).not.toMatch(/-\d+\.\d+ h are/);
    const { recordings } = JSON.parse(await said(list, [...place, '--json'])) as {
      readonly recordings: readonly { readonly knownUntil: unknown; readonly toldFrom: unknown }[];
    };
    expect(recordings).toMatchObject([{ knownUntil: null, toldFrom: tomorrow, spans: [{ to: 30, until: null }] }]);
    expect(await said(at, ['#30', ...place])).toMatch(/: mark 30, written at a time that cannot be told\n/);
    expect(await said(at, ['#30', ...place, '--json'])).toContain('"mark":30,"time":null,');
  }
  expect(await said(list, place)).toContain(
    '  how much is there of 24 h that were asked for cannot be told: what is older was let go of\n',
  );
});
