/**
 * The target of one group: listens for its source, keeps what arrives, brings it onto the receive volumes cut by cut, and
 * serves these read-only.
 */
import type { AddressInfo } from 'node:net';
import { AgentError } from '../../base/errors.ts';
import type { Diverged, Point } from '../core/meeting.ts';
import type { CopyFacts } from '../core/takeover.ts';
import { generationText } from '../link/greeting.ts';
import type { LinkSocket } from '../link/connection.ts';
import type { Address } from '../link/tls.ts';
import { sleep, type FileReader, type Files, type Machine, type Network } from '../machine.ts';
import { becomeSource } from '../source/turn-journal.ts';
import { allocateJournal, JournalMemory } from '../store/journal-memory.ts';
import type { RingSize } from '../store/ring.ts';
import { JOURNAL_STATE, type JournalVolume } from '../store/superblock.ts';
import { systemMachine } from '../system-machine.ts';
import type { ServedVolume } from '../../nbd/volume.ts';
import { cannotListen } from '../../platform/listen.ts';
import { Copy } from './copy.ts';
import { emptyTargetSuper } from './format.ts';
import { openTargetJournal } from './open-journal.ts';
import type { ReadFile } from '../source/ring-cursor.ts';
import type { Found } from './recover.ts';
import type { ApplyCommand } from '../threads/apply-loop.ts';
import type { WantedBlock } from '../wire/checkpoint.ts';
import { LinkPeer } from './peer.ts';
import { ReceiveVolume } from './receive-volume.ts';
import { ShownCopy, type ShownParts } from './shown-copy.ts';
import { ShownLog } from './shown-log.ts';
import { Sessions } from './session.ts';
import { TargetThreads } from './threads.ts';

export interface TargetVolume {
  readonly name: string;
  readonly path: string;
  /** Of the source's volume; all of the device without it. */
  readonly bytes?: number;
}

export interface TargetOptions {
  readonly group: string;
  /** This target's, as the source calls it. */
  readonly name: string;
  /** The cluster keys that open now. Asked for each connection. */
  readonly keys: () => readonly Uint8Array[];
  readonly listen: Address;
  /** In the order of the source. */
  readonly volumes: readonly TargetVolume[];
  /** Made when there is no such file. */
  readonly journal: RingSize & { readonly path: string };
  /** It was a source: what its volumes hold beyond what its successor has. */
  readonly diverged?: Diverged | null;
  /** Somebody records what is shown: the ring holds it for that one, within bounds. */
  readonly isFollowed?: boolean;
}

export interface TargetEvents {
  /** For the operator's log. */
  readonly log: (line: string) => void;
  /** A thread died: the target takes nothing more, and is to be closed. */
  readonly fatal: (error: Error) => void;
}

/** Marks count writes in order, bytes are bytes, an errno of 0 is well. */
export interface TargetStatus {
  readonly group: string;
  readonly name: string;
  /** As hexadecimal text; zeros before the first source. */
  readonly generation: string;
  /** The highest that was begun, and where its connections come from: none when it is over. */
  readonly session: number;
  readonly links: readonly string[];
  readonly address: Address;
  /** `initialising`: the volumes have never been a whole copy. `applying`: a cut is being brought in. */
  readonly state: 'initialising' | 'consistent' | 'applying' | 'taking-over';
  /** A comparison runs: what it has brought is shown when all of it is there. */
  readonly isStaging: boolean;
  readonly cut: number;
  readonly committed: number;
  readonly received: number;
  readonly durable: number;
  readonly journal: {
    readonly path: string;
    readonly usedBytes: number;
    readonly bytes: number;
    readonly errno: number;
    readonly hungMs: number;
  };
  readonly volumes: readonly { readonly name: string; readonly path: string; readonly bytes: number }[];
  /** Of what the volumes lie on. `hungMs`: a call to it has not come back for so long. */
  readonly storage: { readonly errno: number; readonly hungMs: number };
}

/** For a connection to say who it is. */
const GREETING_MS = 10_000;

export class Target {
  readonly #options: TargetOptions;
  readonly #ringBytes: number;
  readonly #copy: Copy;
  readonly #sessions: Sessions;
  readonly #scanner: ReturnType<Machine['threads']['scanner']>;
  readonly #threads: TargetThreads;
  readonly #lock: ReturnType<Files['lock']>;
  readonly #machine: Machine;
  readonly #volumes: readonly ReceiveVolume[];
  /** What is shown, for who records it; null: nobody does. */
  readonly shown: ShownCopy | null;
  readonly #readers: readonly FileReader[];
  #listener: Awaited<ReturnType<Network['listen']>> | null = null;
  #closed: Promise<void> | null = null;

  private constructor(options: TargetOptions, lock: ReturnType<Files['lock']>, events: TargetEvents, machine: Machine) {
    this.#options = options;
    this.#machine = machine;
    this.#lock = lock;
    const { path } = options.journal;
    const shapes = options.volumes.map((volume) => shapeOf(volume, machine.files));
    const { isFollowed = false } = options;
    const found = openTargetJournal(path, machine.files.open(path), options.group, shapes, isFollowed);
    const { superblock, end } = found;
    this.#ringBytes = superblock.ringBytes;
    const shared = allocateJournal(superblock);
    const followed = isFollowed ? followedLog(options, found, machine) : null;
    this.#readers = followed?.readers ?? [];
    const copyParts = {
      apply: (command: ApplyCommand) => this.#threads.apply(command),
      applied: (cut: number) => this.#sessions.applied(cut),
      wanted: (cut: number, blocks: readonly WantedBlock[]) => this.#sessions.wanted(cut, blocks),
      imagesLost: () => this.#sessions.imagesLost(),
      log: events.log,
    };
    this.#copy = new Copy(new JournalMemory(shared), found, copyParts, followed?.log);
    this.shown = followed && new ShownCopy({ ...followed, group: options.group, copy: this.#copy });
    const { group } = options;
    this.#scanner = machine.threads.scanner({
      volumes: superblock.volumes.map(({ bytes }, i) => ({ path: options.volumes[i]?.path ?? '', bytes })),
    });
    this.#sessions = new Sessions(this.#copy, {
      group,
      diverged: options.diverged ?? null,
      log: events.log,
      nowMs: () => machine.clock.monotonicMs(),
      look: () => this.#lookAtStorage(),
      soon: (action) => queueMicrotask(action),
      digests: async (volume, wish) => this.#scanner.digests(volume, wish),
      prepare: () => this.#scanner.prepare?.(),
      write: (image) => this.#threads.write(image),
    });
    const gate = this.#copy.gate;
    const hasCut = (): boolean => this.#copy.hasCut;
    const volumes = superblock.volumes.map(({ name, bytes }, i) => ({
      name,
      bytes,
      path: options.volumes[i]?.path ?? '',
    }));
    this.#volumes = volumes.map((volume) => ReceiveVolume.open({ ...volume, gate, hasCut }, machine));
    this.#threads = new TargetThreads(
      {
        shared,
        generation: superblock.generation,
        end,
        apply: { ring: ringOf(superblock), journalPath: path, volumes },
      },
      {
        journal: () => this.#look(),
        applied: (report) => this.#copy.report(report),
        written: (report) => this.#sessions.written(report),
        fatal: events.fatal,
      },
      machine,
    );
    this.#copy.start();
  }

  /** Throws an AgentError that says what to do. */
  static async open(options: TargetOptions, events: TargetEvents, machine: Machine = systemMachine): Promise<Target> {
    const { journal, volumes, group } = options;
    const { ringBytes, windowBytes, path } = journal;
    const { files } = machine;
    if (files.isUnmade(path)) {
      const shapes = volumes.map((volume) => shapeOf(volume, files));
      await files.make(path, emptyTargetSuper({ ringBytes, windowBytes, group, volumes: shapes }));
    }
    const lock = files.lock(path);
    let target: Target;
    try {
      target = new Target(options, lock, events, machine);
    } catch (error) {
      lock.close();
      throw error;
    }
    try {
      await target.#threads.ready(path);
      if (!target.isTakenOver) await target.#listen(events);
    } catch (error) {
      await target.close();
      throw error;
    }
    return target;
  }

  /** Read-only, at the cut. */
  get volumes(): readonly ServedVolume[] {
    return this.#volumes;
  }

  /** It takes nothing from a source any more, and is to become one: `finishTakeover`. */
  get isTakenOver(): boolean {
    return this.#copy.isTakenOver;
  }

  /** What speaks for and against a takeover, but for the log device. */
  get facts(): Omit<CopyFacts, 'log'> {
    const { hasCut, policy } = this.#copy;
    return {
      state: hasCut ? 'consistent' : 'initialising',
      isResyncing: this.#copy.isStaged,
      isSourceHere: this.#sessions.isSourceHere,
      policy: POLICY_WORDS[policy] ?? 'degrade',
    };
  }

  /** Its generation, those before it, newest first, and what the next one would branch off at. */
  get lineage(): { readonly generation: string; readonly ancestry: readonly string[]; readonly end: Point } {
    const { generation, ancestry, shown } = this.#copy;
    const former = ancestry.map((ancestor) => generationText(ancestor.generation));
    return { generation: generationText(generation), ancestry: former, end: shown.prefix };
  }

  /**
   * Begins a generation behind all that is durable here and whole. When this resolves it is taken over, whatever happens
   * then. Rejects when the journal takes nothing: the process is to end, and the next start says what has become durable.
   */
  async takeOver(generation: Uint8Array): Promise<void> {
    const { arrivals } = this.#copy;
    this.#sessions.close();
    // What is being brought in is the copy's when it is there.
    await this.#until(() => !this.#copy.isStaged, STAGED_MS);
    if (this.#copy.isStaged) throw new AgentError('failed', 'a comparison is being brought in: say it again later');
    const { receiver } = this.#copy;
    // What the source was told of as in memory may have been answered.
    await this.#until(() => arrivals.durable >= arrivals.head || this.#copy.journalErrno !== 0, DURABLE_MS);
    receiver.flushed(arrivals.durable);
    let isDurable = false;
    this.#copy.takeOver(generation, () => (isDurable = true));
    await this.#until(() => isDurable, DURABLE_MS);
    if (!isDurable)
      throw new AgentError('volume', `journal ${this.#options.journal.path} takes nothing: check its storage`);
  }

  /** Brings what is left onto the volumes, ends the target and makes its journal a source's. */
  async finishTakeover(): Promise<void> {
    const { receiver } = this.#copy;
    await this.#until(() => receiver.cut.mark >= receiver.committed && !this.#copy.isApplying, Infinity);
    await this.close();
    becomeSource(this.#options.journal.path, this.#machine.files);
  }

  async #until(isDone: () => boolean, boundMs: number): Promise<void> {
    const { clock } = this.#machine;
    const endMs = clock.monotonicMs() + boundMs;
    while (!isDone() && clock.monotonicMs() < endMs) await sleep(this.#machine, 2);
  }

  status(): TargetStatus {
    this.#lookAtStorage();
    const copy = this.#copy;
    const { shown: receiver, arrivals } = copy;
    const whole = copy.hasCut ? 'consistent' : 'initialising';
    return {
      group: this.#options.group,
      name: this.#options.name,
      generation: generationText(copy.generation),
      session: copy.session,
      links: this.#sessions.addresses,
      address: this.#address(),
      state: copy.isTakenOver ? 'taking-over' : copy.hasCut && copy.isApplying ? 'applying' : whole,
      isStaging: copy.isStaged,
      cut: receiver.cut.mark,
      committed: receiver.committed,
      received: this.#sessions.received,
      durable: receiver.prefix.mark,
      journal: {
        path: this.#options.journal.path,
        usedBytes: arrivals.head - arrivals.tail,
        bytes: this.#ringBytes,
        errno: copy.journalErrno,
        hungMs: this.#threads.hungMs.journal,
      },
      volumes: this.#volumes.map(({ name, size }, i) => ({
        name,
        path: this.#options.volumes[i]?.path ?? '',
        bytes: size,
      })),
      storage: { errno: copy.volumesErrno, hungMs: this.#threads.hungMs.volumes },
    };
  }

  /** What has arrived is durable; what is committed is applied at the next start. */
  async close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    this.#sessions.close();
    await this.#scanner.close();
    await this.#threads.close();
    // Last: it destroys the connections, which meanwhile take their `stop` away.
    this.#listener?.close();
    for (const volume of [...this.#volumes, ...this.#readers]) volume.close();
    this.#lock.close();
  }

  #lookAtStorage(): void {
    const { journal, volumes } = this.#threads.hungMs;
    this.#copy.hung(journal > 0, volumes > 0);
  }

  #look(): void {
    this.#copy.arrivals.look();
    this.#sessions.progress();
  }

  async #listen({ log }: TargetEvents): Promise<void> {
    const { group, name: target, keys, listen } = this.#options;
    this.#listener = await this.#machine.network
      .listen({
        address: listen,
        names: () => [{ group, target }],
        keys,
        onLink: (socket) => this.#connected(socket),
        onRefused: (from, why) => log(`somebody at ${from} did not get in: ${why}`),
      })
      .catch((error: Error) => {
        throw cannotListen('listen', listen, error);
      });
  }

  #connected(socket: LinkSocket): void {
    const { timers } = this.#machine;
    const peer = new LinkPeer(socket, timers, {
      frame: (one, frame, body) => this.#sessions.frame(one, frame, body),
      closed: (one, reason) => this.#sessions.disconnected(one, reason),
    });
    this.#sessions.connected(peer);
    timers.idly(GREETING_MS, () => {
      if (!this.#sessions.isGreeted(peer)) peer.end('it never said who it is');
    });
  }

  #address(): Address {
    const address = this.#listener?.server.address() as AddressInfo | null | undefined;
    return address ? { host: address.address, port: address.port } : this.#options.listen;
  }
}

/** For the journal to make durable what it was given. */
/** For a committed comparison to be on the volumes. */
const STAGED_MS = 60_000;
const DURABLE_MS = 10_000;
const POLICY_WORDS = ['degrade', 'strict', 'logged', 'released'] as const;

const ringOf = ({ ringBytes, windowBytes }: RingSize): RingSize => ({ ringBytes, windowBytes });

/** What a start finds of what is shown, and how it is read; null after a takeover: that is another role's. */
function followedLog(
  { journal, volumes }: TargetOptions,
  { superblock, passed }: Found,
  { files, clock }: Machine,
): (Pick<ShownParts, 'log' | 'volumes' | 'wallMs'> & { readonly readers: readonly FileReader[] }) | null {
  const { state, cut: mark, cutChain: chain, tailTime: time } = superblock;
  if (state === JOURNAL_STATE.takenOver) return null;
  const ring = files.reader(journal.path);
  const readFile: ReadFile = async (offset, into) =>
    new Promise((resolve, reject) => {
      ring.read(offset, into, (errno) => {
        if (errno === 0) resolve();
        else reject(new AgentError('volume', `journal ${journal.path} cannot be read (errno ${errno})`));
      });
    });
  const cut = state === JOURNAL_STATE.consistent ? { mark, chain, time } : null;
  const log = new ShownLog(ringOf(superblock), readFile, cut, passed);
  const readers = volumes.map(({ path }) => files.reader(path));
  return { log, volumes: readers, wallMs: () => clock.wallMs(), readers: [ring, ...readers] };
}

/** The volume as a source must have it. Throws an AgentError that says what to do. */
function shapeOf({ name, path, bytes }: TargetVolume, files: Files): JournalVolume {
  const device = files.open(path);
  if (typeof device === 'number') {
    throw new AgentError('volume', `volume ${path} cannot be opened (errno ${-device}): check the path`);
  }
  const there = device.bytes;
  device.close();
  if (bytes !== undefined && there < bytes) {
    throw new AgentError('volume', `volume ${path} has ${there} bytes and the source's ${bytes}: make it as large`);
  }
  return { name, bytes: bytes ?? there };
}
