/** The recorder as a whole: listens for monitors, and keeps a recording for each. */
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { AgentError } from '../../base/errors.ts';
import { GreetingError, decodeStop } from '../../mirror/link/greeting.ts';
import type { LinkSocket } from '../../mirror/link/connection.ts';
import { listenForLinks, type Address, type LinkListener } from '../../mirror/link/tls.ts';
import { systemMachine } from '../../mirror/system-machine.ts';
import { LinkPeer } from '../../mirror/target/peer.ts';
import type { Peer } from '../../mirror/target/session.ts';
import { FRAME_KIND, type Frame } from '../../mirror/wire/frame.ts';
import { systemClock } from '../../platform/clock.ts';
import { cannotListen } from '../../platform/listen.ts';
import { decodeRecordHello, type RecordHello } from '../wire/greeting.ts';
import { recorderLink } from '../wire/link-name.ts';
import type { Retention } from '../store/recording.ts';
import { isRecording, recordingsIn } from '../store/files.ts';
import { Intake } from './intake.ts';
import { storageFault } from './storage-fault.ts';

export interface RecorderOptions {
  /** Left out: the system's. */
  readonly clock?: Pick<typeof systemClock, 'wallMs' | 'monotonicMs'>;
  readonly name: string;
  readonly keys: () => readonly Uint8Array[];
  /** Null: connections are brought to it. */
  readonly listen: Address | null;
  /** A folder with one for each monitor. */
  readonly store: string;
  /** Of this monitor alone, whose recording the store itself is. */
  readonly only?: string;
  readonly retention: Retention;
  /** A folder of log devices, one for each monitor; null without. */
  readonly logFolder: string | null;
  /** For the operator's log. `isGood`: nothing is to be done about it. */
  readonly log: (line: string, isGood?: boolean) => void;
}

/** For a connection to say who it is. */
const GREETING_MS = 10_000;
const LOOK_MS = 100;

export class Recorder {
  readonly #options: RecorderOptions;
  readonly #intakes = new Map<string, Promise<Intake>>();
  readonly #opened = new Map<string, Intake>();
  /** Connections that have said who they are: null while they have not. */
  readonly #peers = new Map<Peer, Intake | null>();
  /** Whose recording is being opened: what came in one piece with their first word, and no pause keeps back. */
  readonly #held = new Map<Peer, { readonly frame: Frame; readonly body: Uint8Array }[]>();
  #listener: LinkListener | null = null;
  #looking: NodeJS.Timeout | null = null;

  private constructor(options: RecorderOptions) {
    this.#options = options;
  }

  /** Throws an AgentError that says what to do. */
  static async open(options: RecorderOptions): Promise<Recorder> {
    const recorder = new Recorder(options);
    // What is there is taken up at once: retention, and what a log device can give back, wait for no monitor.
    for (const monitor of options.only === undefined ? recordingsIn(options.store) : [])
      await recorder.#takeUp(monitor);
    if (options.only !== undefined && isRecording(options.store)) await recorder.#intake(options.only, null);
    const { listen, keys, log, name } = options;
    recorder.#listener =
      listen &&
      (await listenForLinks({
        address: listen,
        names: () => [recorderLink(name)],
        keys,
        onLink: (socket) => recorder.connected(socket),
        onRefused: (from, why) => log(`somebody at ${from} did not get in: ${why}`),
      }).catch((error: Error) => {
        throw cannotListen('listen', listen, error);
      }));
    recorder.#looking = setInterval(() => {
      for (const intake of recorder.#opened.values()) intake.look();
    }, LOOK_MS);
    return recorder;
  }

  /** One that is damaged is passed over: its monitor is told when it comes, and the others' are served. */
  async #takeUp(monitor: string): Promise<void> {
    try {
      await this.#intake(monitor, null);
    } catch (error) {
      const why = storageFault(this.#folderOf(monitor), error);
      if (why === null || (error instanceof AgentError && error.reason === 'taken')) throw error;
      this.#options.log(`${monitor}: ${why}: it is passed over`);
    }
  }

  #folderOf(monitor: string): string {
    const { store, only } = this.#options;
    return only === undefined ? join(store, monitor) : store;
  }

  get port(): number {
    return (this.#listener?.server.address() as AddressInfo | null)?.port ?? 0;
  }

  status(): Readonly<Record<string, unknown>> {
    const { name, store, retention, listen } = this.#options;
    return {
      role: 'recorder',
      name,
      store,
      retention,
      listen,
      monitors: [...this.#opened.values()].map((intake) => intake.status()),
    };
  }

  /** Of one monitor, or of all. */
  async prune(monitor: string | null, beforeUs: number, bytes: number): Promise<readonly unknown[]> {
    const gone: unknown[] = [];
    for (const [name, intake] of this.#opened) {
      if (monitor !== null && name !== monitor) continue;
      gone.push({ monitor: name, ...(await intake.recording.prune(beforeUs, bytes)) });
    }
    return gone;
  }

  async close(): Promise<void> {
    if (this.#looking) clearInterval(this.#looking);
    for (const peer of this.#peers.keys()) peer.stop({ reason: 'the recorder is being stopped', again: true });
    for (const intake of this.#opened.values()) await intake.close();
    this.#listener?.close();
  }

  /** `hello`: null for a recording that is there. */
  async #intake(monitor: string, hello: RecordHello | null): Promise<Intake> {
    const known = this.#intakes.get(monitor);
    if (known) return known;
    const { only, retention, logFolder, log, clock = systemClock } = this.#options;
    if (only !== undefined && monitor !== only) throw new GreetingError(`it records ${only} alone`);
    const opening = Intake.open({
      folder: this.#folderOf(monitor),
      logFolder: logFolder === null ? null : join(logFolder, monitor),
      monitor,
      hello,
      retention,
      log: (line, isGood) => log(`${monitor}: ${line}`, isGood),
      nowMs: () => clock.wallMs(),
      steadyMs: () => clock.monotonicMs(),
    });
    this.#intakes.set(monitor, opening);
    try {
      const intake = await opening;
      this.#opened.set(monitor, intake);
      return intake;
    } catch (error) {
      this.#intakes.delete(monitor);
      throw error;
    }
  }

  /** Somebody comes, who has to say who he is. */
  connected(socket: LinkSocket): void {
    const peer = new LinkPeer(socket, systemMachine.timers, {
      frame: (one, frame, body) => this.#frame(one, frame, body),
      closed: (one, reason) => {
        this.#peers.get(one)?.disconnected(one, reason);
        this.#peers.delete(one);
        this.#held.delete(one);
      },
    });
    this.#peers.set(peer, null);
    systemMachine.timers.idly(GREETING_MS, () => {
      if (this.#peers.get(peer) === null) peer.end('it never said who it is');
    });
  }

  #frame(peer: Peer, frame: Frame, body: Uint8Array): void {
    const intake = this.#peers.get(peer);
    if (intake === undefined) return;
    const held = this.#held.get(peer);
    if (held) return void held.push({ frame, body });
    try {
      if (frame.kind === FRAME_KIND.record && intake === null) this.#greet(peer, decodeRecordHello(body));
      else if (intake === null) throw new GreetingError('a monitor has to say first who it is');
      else if (frame.kind === FRAME_KIND.stop) {
        this.#options.log(`monitor at ${peer.address} ends the session: ${decodeStop(body).reason}`);
        peer.stop({ reason: 'as you said', again: true });
      } else intake.frame(peer, frame, body);
    } catch (error) {
      if (!(error instanceof GreetingError)) throw error;
      this.#refuse(peer, error.message, false);
    }
  }

  /** Nothing more is read of it until its recording is open. */
  #greet(peer: Peer, hello: RecordHello): void {
    peer.pause();
    this.#held.set(peer, []);
    void this.#intake(hello.monitor, hello)
      .then(async (intake) => {
        if (!this.#peers.has(peer)) return;
        const fault = await intake.greet(peer, hello);
        if (fault !== null) return this.#refuse(peer, fault, false);
        if (this.#peers.has(peer)) this.#greeted(peer, intake);
      })
      .catch((error: Error) => {
        const why = storageFault(this.#folderOf(hello.monitor), error);
        this.#refuse(peer, why ?? error.message, false);
      });
  }

  #greeted(peer: Peer, intake: Intake): void {
    const held = this.#held.get(peer) ?? [];
    this.#held.delete(peer);
    this.#peers.set(peer, intake);
    for (const { frame, body } of held) this.#frame(peer, frame, body);
    peer.resume();
  }

  #refuse(peer: Peer, reason: string, again: boolean): void {
    this.#options.log(`a monitor at ${peer.address} is sent away: ${reason}`);
    this.#peers.delete(peer);
    this.#held.delete(peer);
    peer.stop({ reason, again });
  }
}
