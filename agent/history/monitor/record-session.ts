/**
 * One recorder as its monitor sees it: dials it, sends it control and data over connections of their own, and first the volumes as
 * they are where it has no base or has missed something. Never stands in the way: past half of the ring it is let go of.
 */
import { randomInt } from 'node:crypto';
import { AgentError } from '../../base/errors.ts';
import { RegionSet } from '../../mirror/core/region-set.ts';
import type { Point } from '../../mirror/core/meeting.ts';
import { LinkConnection, type LinkSocket } from '../../mirror/link/connection.ts';
import { decodeStop, encodeKnown, encodeStop, GreetingError } from '../../mirror/link/greeting.ts';
import { sleep, type Machine } from '../../mirror/machine.ts';
import { Expected } from '../../mirror/source/expected.ts';
import { ready } from '../../mirror/source/joined.ts';
import { Sent } from '../../mirror/source/sent.ts';
import type { SessionEvent } from '../../mirror/source/session-host.ts';
import type { RingPlace } from '../../mirror/store/ring.ts';
import { FRAME_KIND, type Frame, type FrameKind } from '../../mirror/wire/frame.ts';
import { decodeRecordingState, encodeRecordHello, encodeTake, type RecordHello, type Take } from '../wire/greeting.ts';
import { wasSet } from '../core/clock.ts';
import { DataFolderWriter } from './data-folder.ts';
import type { Follower } from './follower.ts';
import type { LogCursor, Monitored } from './monitored.ts';
import { KEPT_SHARE } from './ring.ts';
import { splitEntries } from './split.ts';
import { sendImages, type ImageProgress } from './volume-images.ts';

export interface RecordOptions {
  readonly name: string;
  /** That carry data, beside the one for control. */
  readonly connections: number;
  /** Writers wait when the ring is full of what it lacks, as for a target. */
  readonly wait: boolean;
  /** Data goes into this folder instead: another way than control. */
  readonly dataFolder: string | null;
}

export interface RecordParts {
  readonly machine: Pick<Machine, 'clock' | 'timers'>;
  /** A connection to the recorder, ready at its `secureConnect`. Throws where there cannot be one now. */
  dial(): LinkSocket;
  /** Who that is, for messages. */
  readonly where: string;
  /** More of the ring may be free. */
  changed(): void;
  tell(event: SessionEvent): void;
}

const AGAIN_MS_MIN = 200;
const AGAIN_MS_MAX = 3000;
const REFUSED_AGAIN_MS = 5000;
const GREETING_MS = 5000;
const BATCH_BYTES = 256 * 1024;
const LOOK_MS = 5;
/** How often it is told how far everything was written. */
const KNOWN_MS = 1000;

type RecordState = 'away' | 'filling' | 'recording';

export class RecordSession implements Follower {
  readonly name: string;
  readonly #options: RecordOptions;
  readonly #monitored: Monitored;
  readonly #parts: RecordParts;
  readonly #sent: Sent = new Sent();
  /** Written to since `#changedFrom`. */
  readonly #changed: RegionSet;
  #changedFrom = Infinity;
  #control: LinkConnection | null = null;
  #data: LinkConnection[] = [];
  #folder: DataFolderWriter | null = null;
  #turn = 0;
  #cursor: LogCursor | null = null;
  #greeting: Expected;
  #freed: number;
  #kept = 0;
  #isLoading = false;
  #isLetGo = false;
  #isStopped = false;
  #images: ImageProgress | null = null;
  #state: RecordState = 'away';
  /** When that began, in ms since 1970. */
  #sinceMs: number;
  #problem: string | null = null;
  /** Why the recorder ends the session, in its words. */
  #stopped: string | null = null;
  #told = '';
  #isRefused = false;
  #gaps = 0;
  /** Of the clock, as the session began. */
  #aheadMs: number | null = null;
  /** All of the volumes is taken anew, whatever the recorder has. */
  #isJumped = false;

  constructor(options: RecordOptions, monitored: Monitored, parts: RecordParts) {
    this.name = options.name;
    this.#options = options;
    this.#monitored = monitored;
    this.#parts = parts;
    this.#greeting = new Expected(parts.machine);
    this.#sinceMs = parts.machine.clock.wallMs();
    this.#changed = new RegionSet(monitored.volumes);
    this.#freed = monitored.oldest.position;
    void this.#run();
  }

  get freed(): number {
    if (this.#options.wait) return this.#freed;
    return this.#isLetGo ? Infinity : this.#freed;
  }

  note(volume: number, offset: number, length: number): void {
    this.#changed.mark(volume, offset, length);
  }

  /** What is little waits for more, or for `#look`: each frame costs both sides as much as some writes do. */
  progress(): void {
    this.#letGoIfBehind();
    if (this.#state === 'recording' && this.#changed.count > 0 && this.#kept === this.#monitored.end.mark)
      this.#restartChanged();
    const sent = this.#cursor?.place.position ?? Infinity;
    if (this.#monitored.end.position - sent >= BATCH_BYTES) this.#pump();
  }

  #look(): void {
    this.progress();
    this.#pump();
  }

  status(): Readonly<Record<string, unknown>> {
    return {
      name: this.name,
      state: this.#state,
      since: new Date(this.#sinceMs).toISOString(),
      kept: this.#kept,
      lagBytes: this.#isLetGo ? null : Math.max(0, this.#monitored.end.position - this.#freed),
      images: this.#images,
      letGo: this.#gaps,
      problem: this.#control && this.#state !== 'away' ? null : this.#problem,
    };
  }

  stop(reason: string): void {
    this.#isStopped = true;
    this.#tellKnown();
    this.#control?.send(FRAME_KIND.stop, 0, 0, 0, encodeStop({ reason, again: true }));
    this.#end(reason);
  }

  /** The mirror never waits for who only records. */
  #letGoIfBehind(): void {
    if (this.#options.wait) return;
    const { end, ringBytes } = this.#monitored;
    if (end.position - this.#freed > ringBytes * KEPT_SHARE) this.letGo('it is behind by half of the journal');
  }

  /** Nothing of the ring is kept for it any more, until it is met again. */
  letGo(why: string): void {
    if (this.#isLetGo) return;
    this.#isLetGo = true;
    this.#gaps++;
    this.#end(`${why}: it is let go of, and what it misses is a gap`);
  }

  /**
   * The log went on from elsewhere. `isJump`: the volumes came there by what is no entry, so nothing is known of what changed; else
   * only whose the entries are is not as it was.
   */
  broken(reason: string, isJump: boolean): void {
    this.#freed = Math.max(this.#freed, this.#monitored.oldest.position);
    if (isJump) {
      this.#changed.clear();
      this.#changedFrom = Infinity;
      this.#isJumped = true;
    }
    this.#end(reason);
  }

  #enter(state: RecordState): void {
    if (state !== this.#state) this.#sinceMs = this.#parts.machine.clock.wallMs();
    this.#state = state;
  }

  async #run(): Promise<void> {
    const { machine } = this.#parts;
    let pauseMs = AGAIN_MS_MIN;
    while (!this.#isStopped) {
      const beganMs = machine.clock.monotonicMs();
      this.#isRefused = false;
      const reason = await this.#session().catch((error: unknown) => error);
      this.#lost(reason instanceof Error ? reason.message : String(reason));
      const heldMs = machine.clock.monotonicMs() - beganMs;
      pauseMs = heldMs > AGAIN_MS_MAX ? AGAIN_MS_MIN : Math.min(2 * pauseMs, AGAIN_MS_MAX);
      if (!this.#isStopped) await sleep(machine, this.#isRefused ? REFUSED_AGAIN_MS : pauseMs);
    }
  }

  #lost(reason: string): void {
    this.#end(reason);
    this.#control = null;
    this.#data = [];
    this.#cursor = null;
    this.#images = null;
    this.#folder?.close();
    this.#folder = null;
    this.#enter('away');
    this.#problem = reason;
    if (this.#isStopped || reason === this.#told) return;
    this.#told = reason;
    this.#parts.tell({ kind: 'recorder-lost', target: this.name, reason });
  }

  #end(reason: string): void {
    for (const connection of [this.#control, ...this.#data]) connection?.end(reason);
    this.#greeting.fail(reason);
  }

  async #session(): Promise<string> {
    let end: (reason: string) => void = () => {};
    const closed = new Promise<string>((resolve) => (end = resolve));
    this.#stopped = null;
    // It says so on each connection, and the first that is gone is not always the one that was read.
    const ended = (reason: string): void => {
      this.#greeting.fail(this.#stopped ?? reason);
      end(this.#stopped ?? reason);
    };
    const session = randomInt(1, 2 ** 47);
    const control = await this.#dial(ended);
    this.#control = control;
    const looking = this.#parts.machine.timers.every(LOOK_MS, () => this.#look());
    const telling = this.#parts.machine.timers.every(KNOWN_MS, () => this.#tellKnown());
    try {
      await this.#greet(control, session, ended);
      return await closed;
    } finally {
      looking();
      telling();
      this.#end('the session is over');
    }
  }

  async #dial(ended: (reason: string) => void): Promise<LinkConnection> {
    const { machine, where } = this.#parts;
    const socket = this.#parts.dial();
    const inTime = machine.timers.after(GREETING_MS, () => socket.destroy(new Error('no connection in time')));
    try {
      await ready(socket);
    } catch (error) {
      const { message } = error as Error;
      throw new AgentError('primary', `recorder ${where}: ${message}`, { cause: error });
    } finally {
      inTime();
    }
    const events = {
      frame: (frame: Frame, body: Uint8Array) => this.#frame(frame, body),
      drain: () => this.#pump(),
      closed: ended,
    };
    return new LinkConnection(socket, events, machine.timers.soon);
  }

  async #greet(control: LinkConnection, session: number, ended: (reason: string) => void): Promise<void> {
    const monitored = this.#monitored;
    // From here on the ring is kept for it again.
    if (this.#isLetGo) this.#freed = monitored.end.position;
    this.#isLetGo = false;
    const present = await monitored.durable();
    const hello: RecordHello = {
      monitor: monitored.group,
      volumes: monitored.volumes,
      ...monitored.lineage,
      tail: pointOf(monitored.oldest),
      durable: pointOf(present),
      session,
      carries: 'control',
      dataFolder: this.#options.dataFolder,
    };
    const answer = this.#greeting.wait(GREETING_MS);
    control.send(FRAME_KIND.record, session, 0, 0, encodeRecordHello(hello));
    const { prefix, isWhole } = decodeRecordingState(await answer);
    const { take, cursor } = await this.#meet(prefix, isWhole, present);
    await this.#openData(hello, ended);
    const { mark, time } = monitored.end;
    const newest = { mark, stampMs: Math.ceil(Number(time) / 1e6) };
    this.#aheadMs = monitored.aheadMs;
    const clockMs = Math.round(monitored.clockMs ?? 0);
    control.send(FRAME_KIND.take, session, 0, 0, encodeTake({ ...take, clockMs, newest }));
    this.#freed = cursor.place.position;
    this.#sent.begin(cursor.place);
    this.#kept = take.from.mark;
    this.#cursor = cursor;
    this.#told = '';
    this.#enter(take.how === 'replay' ? 'recording' : 'filling');
    this.#parts.tell({ kind: 'recorder-linked', target: this.name, how: take.how, from: take.from.mark });
    this.#pump();
    if (take.how !== 'replay')
      void this.#fill(control, take, present).catch((error: Error) => control.end(error.message));
    else if (this.#changedFrom === Infinity) this.#restartChanged();
  }

  /** From where on it is sent what, and whether it needs the volumes as they are. */
  async #meet(
    prefix: Point,
    isWhole: boolean,
    present: RingPlace,
  ): Promise<{ readonly take: Omit<Take, 'clockMs' | 'newest'>; readonly cursor: LogCursor }> {
    if (isWhole && !this.#isJumped && prefix.mark <= present.mark) {
      const cursor = await this.#monitored.find(prefix);
      if (cursor) return { take: { how: 'replay', from: prefix }, cursor };
    }
    const isKnown = isWhole && prefix.mark >= this.#changedFrom;
    const how = isKnown ? 'changed' : 'base';
    return { take: { how, from: pointOf(present) }, cursor: this.#monitored.from(present) };
  }

  async #openData(hello: RecordHello, ended: (reason: string) => void): Promise<void> {
    const { dataFolder, connections } = this.#options;
    if (dataFolder !== null) {
      this.#folder = await DataFolderWriter.open(dataFolder, hello.session, (error) =>
        this.#control?.end(error.message),
      );
      return;
    }
    for (let i = 0; i < connections; i++) {
      const connection = await this.#dial(ended);
      connection.send(FRAME_KIND.record, hello.session, 0, 0, encodeRecordHello({ ...hello, carries: 'data' }));
      this.#data.push(connection);
    }
  }

  /** Sends the volumes, or what of them may have changed; whole with the mark at the end, once the recorder has all up to it. */
  async #fill(control: LinkConnection, { how }: Pick<Take, 'how'>, present: RingPlace): Promise<void> {
    const { volumes } = this.#monitored;
    const regions = how === 'base' ? RegionSet.all(volumes) : new RegionSet(volumes);
    if (how === 'changed') regions.add(this.#changed);
    await this.#monitored.stored(present);
    const isOver = (): boolean => this.#control !== control || !control.isOpen;
    const isDone = await sendImages(this.#monitored, regions, {
      isOver,
      progress: (images) => (this.#images = images),
      send: async (data) => {
        control.send(FRAME_KIND.data, 0, 0, 1, data);
        while (control.isFull && !isOver()) await sleep(this.#parts.machine, LOOK_MS);
      },
    });
    if (!isDone) return;
    const { known, end } = this.#monitored;
    const { mark } = end;
    if (this.#isClockSet()) return;
    while (this.#kept < mark && !isOver()) await sleep(this.#parts.machine, LOOK_MS);
    if (isOver()) return;
    control.send(FRAME_KIND.whole, 0, mark, 0, encodeKnown(known.ms));
    this.#images = null;
    this.#isJumped = false;
    this.#enter('recording');
    this.#restartChanged();
  }

  /** What is written from now on is noted anew: who has everything up to here lacks nothing else. */
  #restartChanged(): void {
    this.#changed.clear();
    this.#changedFrom = this.#monitored.end.mark;
  }

  /** [HI9] */
  #tellKnown(): void {
    if (this.#state === 'away') return;
    const { known, aheadMs } = this.#monitored;
    if (this.#isClockSet() || aheadMs === null) return;
    // Not known as the session began: the recorder sees whether it is what it took it for.
    const isNews = this.#aheadMs === null;
    this.#aheadMs = aheadMs;
    this.#control?.send(FRAME_KIND.known, 0, known.mark, 0, encodeKnown(known.ms, isNews ? aheadMs : undefined));
  }

  /** [HI6] How far it is ahead of the recorder's is found as a session begins: what it says would mean another time. */
  #isClockSet(): boolean {
    const { aheadMs } = this.#monitored;
    if (aheadMs === null || this.#aheadMs === null || !wasSet(aheadMs, this.#aheadMs)) return false;
    this.#end('the clock was set: how far it is ahead has to be found anew');
    return true;
  }

  #frame({ kind, id }: Frame, body: Uint8Array): void {
    if (kind === FRAME_KIND.recording) return this.#greeting.come(body);
    if (kind === FRAME_KIND.kept) {
      this.#kept = Math.max(this.#kept, id);
      this.#freed = Math.max(this.#freed, this.#sent.stored(id, id));
      this.#parts.changed();
      return undefined;
    }
    let reason = 'the recorder ended the session';
    if (kind === FRAME_KIND.stop) {
      try {
        const stop = decodeStop(body);
        this.#isRefused = !stop.again;
        reason = stop.reason;
        this.#stopped = reason;
      } catch (error) {
        if (!(error instanceof GreetingError)) throw error;
      }
    }
    this.#greeting.fail(reason);
    return this.#control?.end(reason);
  }

  get #isFull(): boolean {
    if (this.#control?.isFull !== false) return true;
    return this.#folder ? this.#folder.isFull : this.#data.some(({ isFull }) => isFull);
  }

  #pump(): void {
    const [control, cursor] = [this.#control, this.#cursor];
    if (!control || !cursor || this.#isLoading) return;
    try {
      while (control.isOpen && !this.#isFull) {
        const batch = cursor.take(BATCH_BYTES, true);
        if (!batch) break;
        this.#send(control, cursor, batch.bytes);
      }
    } catch (error) {
      return control.end((error as Error).message);
    }
    if (!this.#isFull && !cursor.isAtEnd) void this.#load(control, cursor);
    return undefined;
  }

  /** What the window has lost comes from the file. */
  async #load(control: LinkConnection, cursor: LogCursor): Promise<void> {
    this.#isLoading = true;
    try {
      const batch = await cursor.load(BATCH_BYTES);
      if (batch && control === this.#control && cursor === this.#cursor) this.#send(control, cursor, batch.bytes);
    } catch (error) {
      control.end((error as Error).message);
      return;
    } finally {
      this.#isLoading = false;
    }
    if (control === this.#control) this.#pump();
  }

  #send(control: LinkConnection, { place }: LogCursor, bytes: Uint8Array): void {
    const split = splitEntries(bytes);
    control.send(FRAME_KIND.control, 0, 0, split.controlCount, split.control);
    if (split.dataCount > 0) this.#sendData(FRAME_KIND.data, split.dataCount, split.data);
    this.#sent.sent(place);
  }

  #sendData(kind: FrameKind, count: number, data: Uint8Array): void {
    if (this.#folder) return this.#folder.put(data);
    const connection = this.#data[this.#turn++ % this.#data.length];
    return connection?.send(kind, 0, 0, count, data);
  }
}

const pointOf = ({ mark, chain }: RingPlace): Point => ({ mark, chain });
