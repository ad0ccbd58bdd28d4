/**
 * `copy: mirror`: the mirror's engine inside the agent. This node's send volume is the one volume of a group named after the
 * node: its monitor is fed by the flush thread. For each peer a target takes what the peer writes, and brings it to the
 * receive volume that this node reads.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { open } from 'node:fs/promises';
import { AgentError, assert } from '../base/errors.ts';
import { sameBytes } from '../base/bytes.ts';
import type { MirrorWrite } from '../flush/mirrored-disk.ts';
import type { Machine } from '../mirror/machine.ts';
import { MirrorSource } from '../mirror/source/source.ts';
import { systemMachine } from '../mirror/system-machine.ts';
import { Target } from '../mirror/target/target.ts';
import { Scanner } from '../mirror/threads/scan-context.ts';
import { ENTRY_KIND } from '../mirror/wire/entry.ts';
import { BlockDevice } from '../platform/block-device.ts';
import { systemClock } from '../platform/clock.ts';
import { raiseThread } from '../platform/native.ts';
import { type CopyPoint, type CopyState, hasCopied } from '../queue/copy-state.ts';
import { readKeyFile } from '../settings/key.ts';
import { type MirrorSourceSettings, parseMirrorSource } from '../settings/mirror.ts';
import type { CopyMirror, MirrorPeer, Settings } from '../settings/settings.ts';
import { BLOCK_BYTES, SUPERBLOCK_COPIES } from '../volume/layout.ts';
import { examineContent } from './local-target.ts';
import type { CopyMethod, MethodEvent } from './method.ts';

export interface MirrorCopyParts {
  readonly settings: Settings;
  readonly state: CopyState;
  readonly volumeBytes: number;
  readonly tell: (event: MethodEvent) => void;
  readonly fatal: (error: Error) => void;
}

const VOLUME = 'send';
const WINDOW = '8M';
/** What a crash left in the journal is on the volume by then: before, nobody may look where the ring ends. */
const REPLAY_MS_MAX = 30_000;
/** For what is on its way at the end. */
const LAST_MS_MAX = 1000;
const SUPERBLOCKS_BYTES = SUPERBLOCK_COPIES * BLOCK_BYTES;
const SUPERBLOCKS_MS = 1000;

/** An agent starts when the first comparison is over; at the lowest priority that took over 30 s on a busy host. */
const MACHINE: Machine = {
  ...systemMachine,
  threads: { ...systemMachine.threads, scanner: (context) => new Scanner({ ...context, isAwaited: true }) },
};

/** What was written when the source's newest mark was this. */
interface Noted {
  readonly point: CopyPoint;
  readonly mark: number;
}

export class MirrorCopy implements CopyMethod {
  readonly #parts: MirrorCopyParts;
  readonly #source: MirrorSource;
  readonly #targets: readonly Target[];
  #copied: CopyPoint = { position: 0, heads: 0 };
  #noted: Noted[] = [];
  #isCutting = false;
  #superblocks: Uint8Array | null = null;
  #superblocksMs = -Infinity;
  #isLooking = false;
  #isClosing = false;

  private constructor(parts: MirrorCopyParts, source: MirrorSource, targets: readonly Target[]) {
    this.#parts = parts;
    this.#source = source;
    this.#targets = targets;
  }

  /** Throws an AgentError that says what to do. */
  static async open(parts: MirrorCopyParts): Promise<MirrorCopy> {
    const { mirror } = parts.settings.storage;
    assert(mirror !== null, 'settings with copy: mirror name a journal');
    const targets: Target[] = [];
    // A packet passes this thread and six of the mirror's: each that waits behind other programs is late by their turns.
    raiseThread(true);
    try {
      for (const peer of mirror.peers) targets.push(await openTarget(peer, parts));
      return new MirrorCopy(parts, await openSource(mirror, parts), targets);
    } catch (error) {
      for (const target of targets) await target.close();
      throw error;
    } finally {
      raiseThread(false);
    }
  }

  get copied(): CopyPoint {
    this.#note();
    return this.#copied;
  }

  get fault(): string | null {
    const away = this.#sessions.filter(({ link: { state } }) => state === 'journaling' || state === 'bitmap');
    if (away.length === 0) return null;
    return `no link to ${away.map(({ link }) => link.name).join(', ')}: it is kept in the journal`;
  }

  get figures(): Readonly<Record<string, unknown>> {
    const { journal, group } = this.#source.monitor;
    const { head, tail } = journal.status;
    return {
      journalBytes: head - tail,
      mark: group.marks.admitted,
      targets: this.#sessions.map(({ link: { name, state, durable, applied }, behindBytes, resync }) => ({
        node: name,
        state,
        durable,
        applied,
        lagBytes: behindBytes,
        resync,
      })),
      recorders: group.followers.map((follower) => follower.status()),
      receives: this.#targets.map((target) => {
        const { group: node, state, cut, received, links } = target.status();
        return { node, state, cut, received, linked: links.length > 0 };
      }),
    };
  }

  /** Answered when this node's journal has it; sealed at once, so that it is applied at the peers as soon as they all have it. */
  write({ id, offset, from }: MirrorWrite): void {
    this.#submit(offset, from, (errno) => this.#parts.state.answerWrite(id, errno === 0 ? 0 : -Math.abs(errno)));
  }

  /** While all of a volume is compared for the first time, what is written meanwhile waits for the end of it. */
  hasCopyOf(peer: string): boolean {
    return this.#targets.every((target) => {
      const { group, state } = target.status();
      return group !== peer || state !== 'initialising';
    });
  }

  async copyNow(): Promise<null> {
    return null;
  }

  look(nowMs: number): void {
    this.#note();
    if (nowMs - this.#superblocksMs < SUPERBLOCKS_MS || this.#isLooking) return;
    this.#superblocksMs = nowMs;
    this.#isLooking = true;
    void this.#lookAtSuperblocks().finally(() => (this.#isLooking = false));
  }

  async close(): Promise<void> {
    // The last head block says that this node has stopped in order.
    const untilMs = systemClock.monotonicMs() + LAST_MS_MAX;
    const isThere = () => hasCopied(this.copied, this.#parts.state.written);
    while (!isThere() && this.fault === null && systemClock.monotonicMs() < untilMs) await delay(5);
    this.#isClosing = true;
    await this.#source.close();
    for (const target of this.#targets) await target.close();
  }

  get #sessions(): MirrorSource['monitor']['group']['sessions'] {
    return this.#source.monitor.group.sessions;
  }

  #submit(offset: number, bytes: Uint8Array, done: (errno: number) => void): void {
    if (this.#isClosing) return done(5);
    const { monitor } = this.#source;
    const change = { kind: ENTRY_KIND.write, volume: 0, offset, length: bytes.length, chunks: [bytes], fua: false };
    monitor.submit(change, done);
    if (this.#isCutting) return;
    this.#isCutting = true;
    void monitor.group.cut().finally(() => (this.#isCutting = false));
  }

  /** All that the flush thread says it has written bears a mark by now; it is copied when all peers show that. */
  #note(): void {
    const { written } = this.#parts.state;
    const newest = this.#noted.at(-1)?.point ?? this.#copied;
    const isNew = newest.position !== written.position || newest.heads !== written.heads;
    if (isNew) this.#noted.push({ point: written, mark: this.#source.monitor.group.marks.admitted });
    const applied = Math.min(...this.#sessions.map(({ link }) => link.applied));
    let count = 0;
    for (let next = this.#noted[0]; next && next.mark <= applied; next = this.#noted[++count])
      this.#copied = next.point;
    this.#noted.splice(0, count);
    // Of a peer that is away for long, what is between the oldest and the newest is of no use.
    if (this.#noted.length > 1024) this.#noted.splice(1, 512);
  }

  /** `format --add` writes the node table to the volume itself: the peers get it by the mirror. */
  async #lookAtSuperblocks(): Promise<void> {
    const { sendVolume } = this.#parts.settings.storage;
    const found = Buffer.alloc(SUPERBLOCKS_BYTES);
    const file = await open(sendVolume, 'r').catch(() => null);
    if (file === null) return;
    const { bytesRead } = await file.read(found, 0, found.length, 0).catch(() => ({ bytesRead: 0 }));
    await file.close();
    if (bytesRead !== found.length || this.#isClosing) return;
    const isKnown = this.#superblocks === null || sameBytes(found, 0, this.#superblocks, 0, found.length);
    this.#superblocks = found;
    if (!isKnown) this.#submit(0, found, () => {});
  }
}

const keysOf =
  ({ keyFile }: Settings): (() => readonly Uint8Array[]) =>
  () =>
    keyFile === null ? [] : readKeyFile(keyFile);

async function openTarget({ node, listen, journal, volume }: MirrorPeer, parts: MirrorCopyParts): Promise<Target> {
  const { settings, tell, fatal } = parts;
  const device = BlockDevice.open(volume);
  try {
    examineContent(device, settings.cluster, `volume ${volume}, which peer ${node} is copied to,`);
  } finally {
    device.close();
  }
  const { journal: sized } = sourceSettings({ journal, peers: [], recorders: [] }, settings);
  return Target.open(
    {
      group: node,
      name: settings.node,
      keys: keysOf(settings),
      listen,
      volumes: [{ name: VOLUME, path: volume }],
      journal: { path: journal.path, ringBytes: sized.ringBytes, windowBytes: sized.windowBytes },
    },
    { log: (reason) => tell({ kind: 'copy-link', peer: node, to: 'from', reason }), fatal },
    MACHINE,
  );
}

async function openSource(mirror: CopyMirror, { settings, tell, fatal }: MirrorCopyParts): Promise<MirrorSource> {
  const source = await MirrorSource.open(
    { ...sourceSettings(mirror, settings), listen: null },
    {
      keys: keysOf(settings),
      exportKeys: null,
      tell: ({ kind, target, ...rest }) => {
        const how = 'how' in rest ? `it goes on by ${rest.how}` : `after ${'ms' in rest ? rest.ms : 0} ms`;
        const reason = 'reason' in rest ? rest.reason : how;
        tell({ kind: 'copy-link', peer: target, to: kind.replace(/^(target|recorder)-/, ''), reason });
      },
      log: () => {},
      fatal,
    },
    MACHINE,
  );
  const { journal } = source.monitor;
  const { position } = journal.end;
  const untilMs = systemClock.monotonicMs() + REPLAY_MS_MAX;
  while (journal.stored < position) {
    if (systemClock.monotonicMs() > untilMs) {
      await source.close();
      const what = `volume ${settings.storage.sendVolume} does not take what its journal holds for it`;
      throw new AgentError('volume', `${what}: see dmesg, the storage is at fault`);
    }
    await delay(5);
  }
  return source;
}

/** The agent's settings as those of a source; what they do not say is as the replicator's own defaults are. */
function sourceSettings(
  { journal, peers, recorders }: CopyMirror,
  { storage, node, keyFile, file }: Settings,
): MirrorSourceSettings {
  const document = {
    group: node,
    role: 'source',
    keyFile,
    journal: { path: journal.path, size: journal.size, window: WINDOW },
    volumes: [{ name: VOLUME, path: storage.sendVolume }],
    export: { listen: 'unix:-' },
    targets: peers.map(({ node: name, connect }) => ({ name, connect })),
    recorders,
    acknowledge: 'local',
    cycleMs: 50,
    // Packets wait for no checkpoint: each write is brought to the peers' volumes as soon as it is committed.
    checkpoint: { by: 'entries' },
  };
  return parseMirrorSource(JSON.stringify(document), file);
}
