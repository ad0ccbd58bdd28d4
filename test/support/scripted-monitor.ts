/** A monitor by hand: what a source says to a recorder, word by word over real links. */
import { once } from 'node:events';
import { decodeRecordingState, encodeRecordHello, encodeTake } from '../../agent/history/wire/greeting.ts';
import { recorderLink } from '../../agent/history/wire/link-name.ts';
import { Recorder } from '../../agent/history/recorder/recorder.ts';
import { LinkConnection } from '../../agent/mirror/link/connection.ts';
import { decodeStop } from '../../agent/mirror/link/greeting.ts';
import { dialLink } from '../../agent/mirror/link/tls.ts';
import { FRAME_KIND, type FrameKind } from '../../agent/mirror/wire/frame.ts';
import { controlOf, dataOf, GENERATION, START_NS, type RecordedWrite } from './recorded-writes.ts';
import { until } from './until.ts';

const KEY = new Uint8Array(32).fill(3);
const BYTES = 65_536;
const point = { mark: 0, chain: 0n };

export const openRecorder = async (store: string, said: string[], logFolder: string | null = null): Promise<Recorder> =>
  Recorder.open({
    name: 'vault',
    keys: () => [KEY],
    listen: { host: '127.0.0.1', port: 0 },
    store,
    retention: { hours: 0, bytes: 0 },
    logFolder,
    log: (line) => said.push(line),
  });

/** One write of 4096 bytes at the volume's begin. */
export const writeOf = (mark: number, pattern = mark): RecordedWrite => ({
  mark,
  kind: 1,
  volume: 0,
  offset: 0,
  length: 4096,
  timeNs: START_NS + BigInt(mark) * 1_000_000n,
  payload: new Uint8Array(4096).fill(pattern),
});

export class ScriptedMonitor {
  readonly name: string;
  readonly session: number;
  readonly #port: number;
  readonly #dataFolder: string | null;
  readonly #connections: LinkConnection[] = [];
  /** How far the recorder is, once it has answered. */
  met: number | null = null;
  kept = -1;
  /** Why it was sent away. */
  stopped: string | null = null;

  constructor(recorder: Recorder, name: string, session: number, dataFolder: string | null = null) {
    this.#port = recorder.port;
    this.name = name;
    this.session = session;
    this.#dataFolder = dataFolder;
  }

  async dial(): Promise<LinkConnection> {
    const socket = dialLink({ host: '127.0.0.1', port: this.#port }, KEY, recorderLink('vault'));
    await once(socket, 'secureConnect');
    const connection = new LinkConnection(socket, {
      frame: ({ kind, id }, body) => this.#heard(kind, id, body),
      drain: () => {},
      closed: () => {},
    });
    this.#connections.push(connection);
    return connection;
  }

  hello(carries: 'control' | 'data'): Uint8Array {
    return encodeRecordHello({
      monitor: this.name,
      volumes: [{ name: 'data', bytes: BYTES }],
      generation: GENERATION,
      ancestry: [],
      tail: point,
      durable: point,
      session: this.session,
      carries,
      dataFolder: this.#dataFolder,
    });
  }

  /** Answered, or sent away. */
  async meet(): Promise<LinkConnection> {
    const control = await this.dial();
    control.send(FRAME_KIND.record, this.session, 0, 0, this.hello('control'));
    await until(`${this.name} is answered`, () => this.met !== null || this.stopped !== null);
    return control;
  }

  async begin(): Promise<LinkConnection> {
    const control = await this.meet();
    this.take(control);
    return control;
  }

  /** What is there is gone on with; else its volume is zeros. */
  take(control: LinkConnection): void {
    const how = this.met === 0 ? 'base' : 'replay';
    const from = { mark: this.met ?? 0, chain: BigInt(this.met ?? 0) * 7n };
    control.send(FRAME_KIND.take, this.session, 0, 0, encodeTake({ how, from, clockMs: Date.now() }));
    if (how === 'base') control.send(FRAME_KIND.whole, 0, 0);
  }

  /** Control alone: of what a folder, or another connection, brings the data. */
  control(to: LinkConnection, write: RecordedWrite): void {
    to.send(FRAME_KIND.control, 0, 0, 1, controlOf(write));
  }

  write(to: LinkConnection, write: RecordedWrite): void {
    this.control(to, write);
    to.send(FRAME_KIND.data, 0, 0, 1, dataOf(write) ?? new Uint8Array(0));
  }

  end(): void {
    for (const connection of this.#connections) connection.end('the test is over');
  }

  #heard(kind: FrameKind, id: number, body: Uint8Array): void {
    if (kind === FRAME_KIND.recording) this.met = decodeRecordingState(body).prefix.mark;
    if (kind === FRAME_KIND.kept) this.kept = id;
    if (kind === FRAME_KIND.stop) this.stopped = decodeStop(body).reason;
  }
}
