/** The source of a mirrored group as a whole: journal, monitor, NBD server, and a session with each target. */
import { toHex } from '../../base/bytes.ts';
import { AgentError } from '../../base/errors.ts';
import type { NbdServer } from '../../nbd/server.ts';
import type { PreSharedKeys } from '../../nbd/tls.ts';
import type { AsTarget, MirrorSourceSettings, MirrorVolume } from '../../settings/mirror.ts';
import { RecordLog } from '../../history/monitor/record-log.ts';
import { recordJournal } from '../../history/monitor/record-journal.ts';
import { OutOfSync } from '../core/out-of-sync.ts';
import type { FileReader, Files, Machine } from '../machine.ts';
import { systemMachine } from '../system-machine.ts';
import type { Scanner } from '../threads/scan-context.ts';
import type { Rival } from '../core/meeting.ts';
import { TargetLink } from '../core/target-link.ts';
import { ancestryShown } from '../link/greeting.ts';
import type { RingPlace } from '../store/ring.ts';
import type { JournalSuper } from '../store/superblock.ts';
import { SourceLog } from '../log/source-log.ts';
import { openDoor, type Door } from './door.ts';
import { GENERATION_BYTES } from '../wire/layout.ts';
import { keepPromise, promiseOf } from './kept-promise.ts';
import { emptySuper } from './format-journal.ts';
import { Monitor } from './monitor.ts';
import { scrubEvery } from './operate.ts';
import { readJournalSuper } from './open-journal.ts';
import type { ReadFile } from './ring-cursor.ts';
import { noOrder } from '../store/orders.ts';
import { saveBitmaps, takeBitmaps, type SavedTarget } from './saved-bitmaps.ts';
import { storageWaits } from './storage-waits.ts';
import { Succession } from './succession.ts';
import type { SessionEvent, SessionHost } from './session-host.ts';
import { TargetSession } from './target-session.ts';

export interface SourceParts {
  /** The keys of the key file, newest first: the first seals. */
  readonly keys: () => readonly Uint8Array[];
  /** Of NBD clients; null: they need none. */
  readonly exportKeys: PreSharedKeys | null;
  readonly tell: (event: SessionEvent) => void;
  readonly log: (line: string) => void;
  /** A part of it died: nothing is answered any more. */
  readonly fatal: (error: Error) => void;
}

interface Opened {
  readonly succession: Succession;
  readonly door: Door | null;
  readonly sourceLog: SourceLog | null;
  readonly monitor: Monitor;
  /** Null: the volumes' writer is in this process. */
  readonly server: Pick<NbdServer, 'port' | 'close'> | null;
  readonly scanner: Pick<Scanner, 'digests' | 'close'>;
  readonly journalFile: FileReader;
  /** Before the journal says that it was stopped in order. */
  readonly save: (end: RingPlace) => void;
  readonly stopScrub: () => void;
}

const CLOSE_GRACE_MS = 2000;

export class MirrorSource {
  readonly settings: MirrorSourceSettings;
  readonly monitor: Monitor;
  readonly succession: Succession;
  readonly #opened: Opened;

  private constructor(settings: MirrorSourceSettings, opened: Opened) {
    this.settings = settings;
    this.monitor = opened.monitor;
    this.succession = opened.succession;
    this.#opened = opened;
  }

  /** Throws an AgentError that says what to do. */
  static async open(
    settings: MirrorSourceSettings,
    parts: SourceParts,
    machine: Machine = systemMachine,
  ): Promise<MirrorSource> {
    const { files } = machine;
    const isNew = files.isUnmade(settings.journal.path);
    if (isNew) await formatNew(settings, machine);
    // Before its entries are brought onto any volume.
    checkJournal(settings, readJournalSuper(settings.journal.path, files.open(settings.journal.path)), files);
    const { acknowledge, cycles, checkpoint, volumes, journal, overflow } = settings;
    const superblock = readJournalSuper(journal.path, files.open(journal.path));
    const sourceLog = await openLog(settings, { superblock, isNew }, parts, machine);
    const monitor = await Monitor.open(
      {
        path: journal.path,
        volumes: volumes.map(({ path }) => path),
        group: { acknowledge, cycles, checkpoint, overflow, marks: sourceLog, graceMs: graceOf(settings) },
        fatal: parts.fatal,
      },
      machine,
    );
    try {
      const journalFile = files.reader(journal.path);
      const { volumes: shapes } = monitor.journal.superblock;
      const scanner = machine.threads.scanner({
        volumes: shapes.map(({ bytes }, index) => ({ path: volumes[index]?.path ?? '', bytes })),
      });
      const succession = new Succession(monitor, parts.log, machine);
      const host = hostOf(settings, { monitor, succession, scanner, journalFile, machine }, parts);
      const { end } = monitor.journal;
      const saved = takeBitmaps(files, journal.path, monitor.journal.superblock, end);
      await keepPromise(settings, monitor, parts.log);
      for (const { name, address, connections } of settings.targets) {
        const { tailMark, session, orders } = monitor.journal.superblock;
        const known = saved.find((one) => one.name === name);
        const link = new TargetLink(
          name,
          tailMark - 1,
          session,
          known?.isOutdated,
          lacksSinceMs(known, tailMark, machine),
        );
        const lacks = new OutOfSync(shapes, end.mark, known?.bitmap);
        // From here on every write is noted: also for a former source that is where this one began.
        lacks.mayShow({ mark: end.mark, chain: end.chain });
        const order = orders.find((one) => one.name === name) ?? noOrder(name);
        const options = { name, address, connections, order, inquiry: settings.inquiry, ...settings.limits };
        if (succession.standing !== 'overtaken') monitor.group.add(new TargetSession(options, link, lacks, host));
      }
      followAll(settings, monitor, host, parts.log);
      const exports = { list: () => monitor.volumes };
      const { listen } = settings;
      const keys = parts.exportKeys;
      const server = listen && (await machine.network.serve({ exports, listen, keys, log: parts.log }));
      const stopScrub = scrubEvery(settings.scrub.everyHours, monitor.group, machine);
      const save = (place: RingPlace): void => saveTo(settings, monitor, place, machine, parts.log);
      const door =
        settings.failback && (await doorOf(settings, settings.failback, { monitor, succession, machine }, parts));
      const rest = { server, scanner, sourceLog, journalFile, save, stopScrub };
      // An administrator who knows that there was one has a mount that is missing.
      if (isNew)
        parts.log(`journal ${journal.path} was not there and has been made: if there was one, stop and look for it`);
      return new MirrorSource(settings, { monitor, succession, door, ...rest });
    } catch (error) {
      sourceLog?.close();
      await monitor.close();
      throw error;
    }
  }

  get nbdPort(): number {
    return this.#opened.server?.port ?? 0;
  }

  /** Clients are sent away, what they wrote is brought to the volumes, and the journal ends clean. */
  async close(): Promise<void> {
    const { server, scanner, journalFile, door, sourceLog, save, stopScrub } = this.#opened;
    stopScrub();
    door?.close();
    sourceLog?.close();
    await server?.close(CLOSE_GRACE_MS);
    await scanner.close();
    await this.monitor.close(save);
    journalFile.close();
  }
}

/** Recorders, and the log device that records. */
function followAll(
  { recorders, log, group }: MirrorSourceSettings,
  monitor: Monitor,
  host: SessionHost,
  say: (line: string) => void,
): void {
  for (const recorder of recorders) monitor.group.follow(recordJournal(recorder, monitor.journal, host));
  if (log?.records) monitor.group.follow(new RecordLog({ ...log.records, monitor: group, say }, monitor.journal, host));
}

/**
 * Since when a target lacks what the journal does not hold any more, by the clock that is never set; null: it lacks no such thing, and the
 * journal says the rest. Where nobody knows, from now on: whoever goes by the time would else take it for up to date.
 */
function lacksSinceMs(
  known: SavedTarget | undefined,
  tailMark: number,
  { clock }: Pick<Machine, 'clock'>,
): number | null {
  const isWhole = known ? !known.isOutdated : tailMark === 1;
  if (isWhole) return null;
  const forMs = clock.wallMs() - (known?.lacksSince ?? Infinity);
  return clock.monotonicMs() - Math.max(0, forMs);
}

/** What the targets may lack, for the next start. */
function saveTo(
  { journal }: MirrorSourceSettings,
  { group, journal: { superblock } }: Monitor,
  end: RingPlace,
  { files, clock }: Pick<Machine, 'files' | 'clock'>,
  log: (line: string) => void,
): void {
  const targets = group.sessions.map(({ link, lacks }): SavedTarget => ({
    name: link.name,
    isOutdated: link.isOutdated,
    lacksSince: link.isOutdated ? Math.floor(clock.wallMs() - group.behindMs(link)) : null,
    bitmap: lacks.save(),
  }));
  try {
    saveBitmaps(files, journal.path, superblock, end, targets);
  } catch (error) {
    log(`the bitmaps cannot be saved (${(error as Error).message}): a target that is behind is compared as a whole`);
  }
}

function hostOf(
  settings: MirrorSourceSettings,
  {
    monitor,
    succession,
    scanner,
    journalFile,
    machine,
  }: Pick<Opened, 'monitor' | 'succession' | 'scanner' | 'journalFile'> & { readonly machine: Machine },
  parts: SourceParts,
): SessionHost {
  const { journal, group } = monitor;
  const { superblock } = journal;
  return {
    machine,
    ring: journal,
    readFile: readerOf(journalFile),
    group: settings.group,
    shape: {
      group: settings.group,
      volumes: superblock.volumes,
      generation: toHex(superblock.generation),
      ancestry: ancestryShown(superblock.ancestry),
    },
    get policy() {
      if (succession.standing === 'released') return 'released';
      return promiseOf(settings);
    },
    rival: (rival, reason) => succession.met(rival, reason),
    keepsTransfers: settings.checkpoint !== null,
    get oldest() {
      return journal.oldest;
    },
    get newest() {
      return journal.end.mark;
    },
    begun: journal.end,
    placeBefore: (mark) => journal.placeBefore(mark),
    keepFrom: (position) => journal.keepFrom(position),
    durable: async () =>
      new Promise((resolve, reject) => {
        const place = journal.end;
        journal.whenDurable(place.position, (errno) => {
          if (errno === 0) resolve(place);
          else reject(new AgentError('volume', `the journal takes nothing (errno ${errno})`));
        });
      }),
    key: () => {
      const [key] = parts.keys();
      if (!key) throw new AgentError('key', `key file ${settings.keyFile} holds no key`);
      return key;
    },
    verify: { bytesPerSecond: settings.scrub.bytesPerSecond, idleMs: settings.scrub.idleMs },
    compared: {
      checksum: settings.checksum,
      volumes: superblock.volumes,
      generation: superblock.generation,
      digests: async (volume, wish) => scanner.digests(volume, wish),
      image: (volume, offset, length, done) => journal.imageNow(volume, offset, length, done),
    },
    ...storageWaits(journal, machine),
    cut: async () => group.cut(),
    changed: () => group.progress(),
    // Forgotten, it costs a comparison more.
    ordered: () => void group.keepOrders().catch((error: Error) => parts.log(error.message)),
    tell: (event) => {
      parts.tell(event);
      if (event.kind === 'target-linked') succession.followed();
    },
  };
}

async function openLog(
  { log, group, targets }: MirrorSourceSettings,
  { superblock: { generation }, isNew }: { readonly superblock: JournalSuper; readonly isNew: boolean },
  parts: SourceParts,
  { timers, files }: Machine,
): Promise<SourceLog | null> {
  if (!log) return null;
  return SourceLog.open({
    timers,
    isNew,
    path: log.path,
    device: files.log(log.path),
    group,
    generation,
    targets: targets.map(({ name }) => name),
    log: parts.log,
    claimed: () => {},
  });
}

/** A target that is there is met within it. */
const graceOf = ({ inquiry }: MirrorSourceSettings): number => 1000 + inquiry.intervalMs * inquiry.misses;

async function doorOf(
  { group }: MirrorSourceSettings,
  { name, address }: AsTarget,
  { monitor: { journal }, succession, machine }: Pick<Opened, 'monitor' | 'succession'> & { readonly machine: Machine },
  { keys, log }: SourceParts,
): Promise<Door> {
  const { volumes } = journal.superblock;
  const lineage = () => succession.lineage;
  const met = (rival: Rival, reason: string): void => succession.met(rival, reason);
  return openDoor({ group, name, listen: address, volumes, keys, lineage, met, log }, machine);
}

const readerOf =
  (file: FileReader): ReadFile =>
  async (offset, into) =>
    new Promise((resolve, reject) => {
      file.read(offset, into, (errno) => {
        if (errno === 0) resolve();
        else reject(new AgentError('volume', `the journal cannot be read (errno ${errno}): check its storage`));
      });
    });

async function formatNew({ group, journal, volumes }: MirrorSourceSettings, { files, random }: Machine): Promise<void> {
  const { path, ringBytes, windowBytes } = journal;
  const generation = random(GENERATION_BYTES);
  const shapes = volumes.map(({ name, path: volume }) => ({ name, bytes: volumeBytes({ name, path: volume }, files) }));
  await files.make(path, emptySuper({ group, generation, ringBytes, windowBytes, volumes: shapes }));
}

/** Bytes of a volume. Throws an AgentError when there is none. */
function volumeBytes({ name, path }: MirrorVolume, files: Files): number {
  try {
    const file = files.reader(path);
    file.close();
    return file.bytes;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new AgentError('volume', `volume ${name}: ${path} cannot be opened (${code}): check the path`, {
      cause: error,
    });
  }
}

/** A journal that belongs to other volumes would be brought onto these. */
function checkJournal({ group, journal, volumes }: MirrorSourceSettings, superblock: JournalSuper, files: Files): void {
  const is = `journal ${journal.path} is`;
  if (superblock.group !== group) {
    throw new AgentError(
      'volume',
      `${is} of group ${superblock.group}, not ${group}: name the right file, or remove it`,
    );
  }
  if (superblock.volumes.length !== volumes.length) {
    const counts = `${superblock.volumes.length} volumes, not ${volumes.length}`;
    throw new AgentError('volume', `${is} for ${counts}: correct the settings, or remove it and compare all`);
  }
  superblock.volumes.forEach((made, index) => {
    const named = volumes[index];
    const bytes = named ? volumeBytes(named, files) : 0;
    if (named?.name === made.name && bytes === made.bytes) return;
    const now = named ? `${named.name} with ${bytes} bytes` : 'nothing';
    throw new AgentError(
      'volume',
      `${is} for volume ${made.name} with ${made.bytes} bytes, not ${now}: correct the settings, or remove it and compare all`,
    );
  });
}
