/** A recorder and what monitors send it, over real links: how a session begins, whatever comes in one piece. */
import { once } from 'node:events';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { Intake } from '../../../agent/history/recorder/intake.ts';
import { Recorder } from '../../../agent/history/recorder/recorder.ts';
import {
  decodeRecordHello,
  decodeRecordingState,
  encodeRecordHello,
  encodeTake,
} from '../../../agent/history/wire/greeting.ts';
import { recorderLink } from '../../../agent/history/wire/link-name.ts';
import { LinkConnection } from '../../../agent/mirror/link/connection.ts';
import { dialLink } from '../../../agent/mirror/link/tls.ts';
import type { Peer } from '../../../agent/mirror/target/session.ts';
import { FRAME_KIND, type FrameKind } from '../../../agent/mirror/wire/frame.ts';
import { controlOf, dataOf, GENERATION, RecordedWorld, START_NS } from '../../support/recorded-writes.ts';
import { until } from '../../support/until.ts';

const KEY = new Uint8Array(32).fill(3);
const SESSION = 77;
const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

const point = { mark: 0, chain: 0n };
const hello = (carries: 'control' | 'data'): Uint8Array =>
  encodeRecordHello({
    monitor: 'erp',
    volumes: [{ name: 'data', bytes: 65_536 }],
    generation: GENERATION,
    ancestry: [],
    tail: point,
    durable: point,
    session: SESSION,
    carries,
    dataFolder: null,
  });

test('data that comes in one piece with the first word of its connection is taken', async () => {
  const world = new RecordedWorld([65_536]);
  ends.push(async () => world.remove());
  const said: string[] = [];
  const recorder = await Recorder.open({
    name: 'vault',
    keys: () => [KEY],
    listen: { host: '127.0.0.1', port: 0 },
    store: join(world.folder, 'store'),
    retention: { hours: 0, bytes: 0 },
    logFolder: null,
    log: (line) => said.push(line),
  });
  ends.push(async () => recorder.close());
  const dial = async (heard: (kind: number, id: number, body: Uint8Array) => void): Promise<LinkConnection> => {
    const socket = dialLink({ host: '127.0.0.1', port: recorder.port }, KEY, recorderLink('vault'));
    await once(socket, 'secureConnect');
    const connection = new LinkConnection(socket, {
      frame: ({ kind, id }, body) => heard(kind, id, body),
      drain: () => {},
      closed: () => {},
    });
    ends.push(() => connection.end('the test is over'));
    return connection;
  };
  let isMet = false;
  let kept = -1;
  const control = await dial((kind, id, body) => {
    if (kind === FRAME_KIND.recording) isMet = decodeRecordingState(body).prefix.mark === 0;
    if (kind === FRAME_KIND.kept) kept = id;
  });
  control.send(FRAME_KIND.record, SESSION, 0, 0, hello('control'));
  await until('it answers', () => isMet);
  const write = { mark: 1, kind: 1, volume: 0, offset: 0, length: 4096, timeNs: START_NS };
  const whole = { ...write, payload: new Uint8Array(4096).fill(5) };
  const data = await dial(() => {});
  // Of one turn: one piece.
  data.send(FRAME_KIND.record, SESSION, 0, 0, hello('data'));
  data.send(FRAME_KIND.data, 0, 0, 1, dataOf(whole) ?? new Uint8Array(0));
  control.send(FRAME_KIND.take, SESSION, 0, 0, encodeTake({ how: 'base', from: point, clockMs: 1 }));
  control.send(FRAME_KIND.control, 0, 0, 1, controlOf(whole));
  await until(`mark 1 is kept (${said.join('; ')})`, () => kept === 1);
});

test('data that overtakes the word that says what comes is taken behind it', async () => {
  const world = new RecordedWorld([65_536]);
  ends.push(async () => world.remove());
  const intake = await Intake.open({
    folder: join(world.folder, 'erp'),
    logFolder: null,
    monitor: 'erp',
    hello: decodeRecordHello(hello('control')),
    retention: { hours: 0, bytes: 0 },
    log: () => {},
    nowMs: () => 1,
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
  expect(await intake.greet(control, decodeRecordHello(hello('control')))).toBeNull();
  expect(await intake.greet(data, decodeRecordHello(hello('data')))).toBeNull();
  const write = { mark: 1, kind: 1, volume: 0, offset: 0, length: 4096, timeNs: START_NS };
  const whole = { ...write, payload: new Uint8Array(4096).fill(5) };
  intake.frame(data, frame(FRAME_KIND.data, 1), dataOf(whole) ?? new Uint8Array(0));
  await intake.recording.settled();
  intake.frame(control, frame(FRAME_KIND.take), encodeTake({ how: 'base', from: point, clockMs: 1 }));
  intake.frame(control, frame(FRAME_KIND.control, 1), controlOf(whole));
  await until('mark 1 is kept', () => kept === 1);
});
