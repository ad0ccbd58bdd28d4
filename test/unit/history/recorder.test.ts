/** A recorder and what monitors send it, over real links: how a session begins, and what ends one and no other. */
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { Intake } from '../../../agent/history/recorder/intake.ts';
import type { Recorder } from '../../../agent/history/recorder/recorder.ts';
import { dataFileName } from '../../../agent/history/wire/data-file.ts';
import { decodeRecordHello, encodeTake } from '../../../agent/history/wire/greeting.ts';
import type { Peer } from '../../../agent/mirror/target/session.ts';
import { FRAME_KIND, type FrameKind } from '../../../agent/mirror/wire/frame.ts';
import { controlOf, dataOf, RecordedWorld } from '../../support/recorded-writes.ts';
import { openRecorder, ScriptedMonitor, writeOf } from '../../support/scripted-monitor.ts';
import { until } from '../../support/until.ts';

const SESSION = 77;
const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

interface Scene {
  readonly recorder: Recorder;
  readonly store: string;
  readonly said: string[];
  readonly monitor: (name: string, session?: number, dataFolder?: string | null) => ScriptedMonitor;
}

async function made(prepare: (store: string) => void = () => {}): Promise<Scene> {
  const world = new RecordedWorld([65_536]);
  ends.push(async () => world.remove());
  const said: string[] = [];
  const store = join(world.folder, 'store');
  mkdirSync(store);
  prepare(store);
  const recorder = await openRecorder(store, said);
  ends.push(async () => recorder.close());
  const monitor = (name: string, session = SESSION, dataFolder: string | null = null): ScriptedMonitor => {
    const one = new ScriptedMonitor(recorder, name, session, dataFolder);
    ends.push(() => one.end());
    return one;
  };
  return { recorder, store, said, monitor };
}

test('data that comes in one piece with the first word of its connection is taken', async () => {
  const { said, monitor } = await made();
  const erp = monitor('erp');
  const control = await erp.meet();
  const data = await erp.dial();
  // Of one turn: one piece.
  data.send(FRAME_KIND.record, SESSION, 0, 0, erp.hello('data'));
  data.send(FRAME_KIND.data, 0, 0, 1, dataOf(writeOf(1)) ?? new Uint8Array(0));
  const from = { mark: 0, chain: 0n };
  control.send(FRAME_KIND.take, SESSION, 0, 0, encodeTake({ how: 'base', from, clockMs: 1 }));
  control.send(FRAME_KIND.control, 0, 0, 1, controlOf(writeOf(1)));
  await until(`mark 1 is kept (${said.join('; ')})`, () => erp.kept === 1);
});

test('a recording that cannot be written: its session is refused with the reason, the others go on, and so does it later', async () => {
  const { store, said, monitor } = await made();
  const [erp, crm] = [monitor('erp'), monitor('crm')];
  const other = await crm.begin();
  crm.write(other, writeOf(1));
  const control = await erp.meet();
  // A head cannot be written then, as on a full storage.
  const inTheWay = join(store, 'erp', 'head.new');
  mkdirSync(inTheWay);
  erp.take(control);
  await until(`it is refused (${said.join('; ')})`, () => erp.stopped !== null);
  const reason = `recording ${join(store, 'erp')} cannot be written (EISDIR): check its storage`;
  expect([erp.stopped, said]).toEqual([reason, expect.arrayContaining([`erp: session ends: ${reason}`])]);
  crm.write(other, writeOf(2));
  await until('the other one goes on', () => crm.kept === 2);
  rmSync(inTheWay, { recursive: true });
  const again = monitor('erp', SESSION + 1);
  again.write(await again.begin(), writeOf(1));
  await until('it is taken again', () => again.kept === 1);
});

test('[OS7] of a data folder only whole files of the session are taken, and nothing else there is touched', async () => {
  const { store, said, monitor } = await made();
  const folder = join(store, '..', 'data');
  mkdirSync(folder);
  const put = (name: string, bytes: Uint8Array): void => {
    writeFileSync(join(folder, `${name}.new`), bytes);
    renameSync(join(folder, `${name}.new`), join(folder, name));
  };
  const dataOfMark = (mark: number, pattern?: number) => dataOf(writeOf(mark, pattern)) ?? new Uint8Array(0);
  const erp = monitor('erp', SESSION, folder);
  const control = await erp.begin();
  const others = ['precious.data', dataFileName(SESSION + 1, 1), `${dataFileName(SESSION, 1)}.data`, 'x.data'];
  for (const name of others.slice(0, 3)) put(name, dataOfMark(1, 99));
  mkdirSync(join(folder, 'x.data'));
  erp.control(control, writeOf(1));
  put(dataFileName(SESSION, 1), dataOfMark(1));
  await until(`mark 1 is kept (${said.join('; ')})`, () => erp.kept === 1);
  await until('its file is gone', () => !existsSync(join(folder, dataFileName(SESSION, 1))));
  expect(others.filter((name) => !existsSync(join(folder, name)))).toEqual([]);
  // What cannot be a file of ours ends the session, and nothing more.
  mkdirSync(join(folder, dataFileName(SESSION, 2)));
  await until(`it ends (${said.join('; ')})`, () => erp.stopped !== null);
  expect(erp.stopped).toBe(`${join(folder, dataFileName(SESSION, 2))}: it is no file`);
  const again = monitor('erp', SESSION + 2, folder);
  again.control(await again.begin(), writeOf(2));
  put(dataFileName(SESSION + 2, 1), dataOfMark(2));
  await until('it goes on', () => again.kept === 2);
  // Damage in it ends the session too: its marks are sent again.
  const damaged = dataOfMark(3);
  damaged[100] = 1;
  put(dataFileName(SESSION + 2, 2), damaged);
  await until('it ends', () => again.stopped?.endsWith('data that is damaged') === true);
});

test('a recording whose head is damaged is passed over, and said; the others are served', async () => {
  const { said, monitor } = await made((store) => {
    mkdirSync(join(store, 'erp'));
    writeFileSync(join(store, 'erp', 'head'), 'x');
  });
  expect(said).toEqual([
    expect.stringMatching(/^erp: \S+ is damaged, and so is its copy: .* remove the folder: it is passed over$/),
  ]);
  const [erp, crm] = [monitor('erp'), monitor('crm')];
  crm.write(await crm.begin(), writeOf(1));
  await until('the other one is served', () => crm.kept === 1);
  await erp.meet();
  expect([erp.met, erp.stopped]).toEqual([
    null,
    expect.stringMatching(/head is damaged, and so is its copy: .* remove the folder/),
  ]);
});

test('data that overtakes the word that says what comes is taken behind it', async () => {
  const { store, monitor } = await made();
  const erp = monitor('erp');
  const hello = (carries: 'control' | 'data') => decodeRecordHello(erp.hello(carries));
  const intake = await Intake.open({
    folder: join(store, '..', 'apart'),
    logFolder: null,
    monitor: 'erp',
    hello: hello('control'),
    retention: { hours: 0, bytes: 0 },
    log: () => {},
    nowMs: () => 1,
    steadyMs: () => 1,
  });
  ends.push(async () => intake.close());
  let kept = -1;
  const peer = (): Peer => ({
    address: 'here',
    send: (kind, _session, id) => kind === FRAME_KIND.kept && (kept = id),
    stop: () => {},
    pause: () => {},
    resume: () => {},
  });
  const [control, data] = [peer(), peer()];
  const frame = (kind: FrameKind, count = 0) => ({ kind, count, bodyBytes: 0, session: SESSION, id: 0, bodyCrc: 0 });
  expect(await intake.greet(control, hello('control'))).toBeNull();
  expect(await intake.greet(data, hello('data'))).toBeNull();
  const whole = writeOf(1);
  intake.frame(data, frame(FRAME_KIND.data, 1), dataOf(whole) ?? new Uint8Array(0));
  await intake.recording.settled();
  intake.frame(control, frame(FRAME_KIND.take), encodeTake({ how: 'base', from: { mark: 0, chain: 0n }, clockMs: 1 }));
  intake.frame(control, frame(FRAME_KIND.control, 1), controlOf(whole));
  await until('mark 1 is kept', () => kept === 1);
});
