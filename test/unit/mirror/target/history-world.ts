/**
 * A target that keeps a history, on disks that crash: the session and the recorder that it has in its process, over the pipe that is
 * between its threads; and a source that fails over, comes back without its last writes, and compares its copy anew.
 */
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { MessageChannel } from 'node:worker_threads';
import { expect } from 'vitest';
import { toHex } from '../../../../agent/base/bytes.ts';
import { portSocket } from '../../../../agent/history/host/port-socket.ts';
import type { RecordingStatus } from '../../../../agent/history/host/recorder-context.ts';
import { TargetHistory, type RecorderEnd } from '../../../../agent/history/host/target-history.ts';
import { Recorder } from '../../../../agent/history/recorder/recorder.ts';
import type { Extent } from '../../../../agent/history/core/spans.ts';
import { loadRecording } from '../../../../agent/history/store/load.ts';
import type { Retention } from '../../../../agent/history/store/recording.ts';
import { State } from '../../../../agent/history/store/state.ts';
import type { Point } from '../../../../agent/mirror/core/meeting.ts';
import { encodeBegin, encodeKnown, type Begin } from '../../../../agent/mirror/link/greeting.ts';
import type { Timers } from '../../../../agent/mirror/machine.ts';
import type { Found } from '../../../../agent/mirror/target/recover.ts';
import { ShownCopy } from '../../../../agent/mirror/target/shown-copy.ts';
import { ShownLog } from '../../../../agent/mirror/target/shown-log.ts';
import { ENTRY, ENTRY_KIND } from '../../../../agent/mirror/wire/entry.ts';
import { FRAME_KIND } from '../../../../agent/mirror/wire/frame.ts';
import { JOURNAL_STATE } from '../../../../agent/mirror/store/superblock.ts';
import type { SourceModel } from '../../../support/source-model.ts';
import { SIZE } from '../store/journal-world.ts';
import { TargetWorld, VOLUMES, type FakePeer, type Said } from './target-world.ts';

const BLOCK = 4096;
const NO_RETENTION: Retention = { hours: 0, bytes: 0 };

/** Time passes when it is told to. */
class HandTimers implements Timers {
  nowMs = 1000;
  #due: { readonly atMs: number; readonly action: () => void }[] = [];

  after(ms: number, action: () => void): () => void {
    const due = { atMs: this.nowMs + ms, action };
    this.#due.push(due);
    return () => (this.#due = this.#due.filter((one) => one !== due));
  }

  idly(ms: number, action: () => void): () => void {
    return this.after(ms, action);
  }

  every(ms: number, action: () => void): () => void {
    let cancel: () => void = () => {};
    const next = (): void => {
      cancel = this.after(ms, () => {
        next();
        action();
      });
    };
    next();
    return () => cancel();
  }

  soon(action: () => void): void {
    setImmediate(action);
  }

  async pass(ms: number): Promise<void> {
    this.nowMs += ms;
    const due = this.#due.filter(({ atMs }) => atMs <= this.nowMs).sort((a, b) => a.atMs - b.atMs);
    this.#due = this.#due.filter((one) => !due.includes(one));
    for (const { action } of due) action();
    // Files are written by other threads.
    for (let i = 0; i < 8; i++) await turn();
  }
}

/** What one process has of it. */
interface Host {
  readonly timers: HandTimers;
  readonly history: TargetHistory;
  recorder: Recorder;
  readonly folder: string;
}

export class HistoryWorld extends TargetWorld {
  readonly root: string;
  /** Wall clock of the sources, ms. */
  sourceMs = 1_000_000;
  /** The last word of a source of how far all was written. */
  wordMs = 0;
  /** By generation: what is right. */
  readonly models = new Map<string, SourceModel>();
  retention: Retention = NO_RETENTION;
  host!: Host;
  said: string[] = [];
  checked = 0;
  gaps = 0;
  /** The states that one look found. */
  offered = 0;
  #log: ShownLog | null = null;
  #folders = 0;
  #generations = 9;
  /** Where the source's generation begins. */
  #begun = 0;
  #ancestry: { readonly generation: string; readonly until: Point }[] = [];
  /** A comparison runs: where it is over, once that is known. */
  comparing: { whole: number | null; images: number; readonly written: number } | null = null;
  /** The target has said in this session which cut it shows. */
  #isShown = false;
  /** The cut of the last list in this session. */
  #listed = 0;
  readonly #left: Promise<unknown>[] = [];

  constructor(seed: number, folder: string) {
    super(seed);
    this.model.clockMs = () => this.sourceMs;
    this.root = mkdtempSync(join(folder, 'history-'));
    this.#know(this.model);
  }

  override followed(found: Found): ShownLog | null {
    const { state, cut, cutChain: chain, tailTime: time } = found.superblock;
    const isWhole = state === JOURNAL_STATE.consistent;
    const readFile = async (offset: number, into: Uint8Array): Promise<void> => {
      await turn();
      this.disk.read(offset, into);
      await turn();
    };
    this.#log = new ShownLog(SIZE, readFile, isWhole ? { mark: cut, chain, time } : null, found.passed);
    return this.#log;
  }

  /** A process begins, with its recorder. */
  async begin(): Promise<void> {
    this.start();
    const log = this.#log as ShownLog;
    const { copy, volumes } = this;
    const shown = new ShownCopy({
      group: 'group',
      copy,
      log,
      wallMs: () => this.sourceMs,
      volumes: volumes.map((volume) => ({
        read: (offset: number, into: Uint8Array, done: (errno: number) => void): void => {
          setImmediate(() => {
            volume.read(offset, into);
            setImmediate(() => done(0));
          });
        },
      })),
    });
    const folder = join(this.root, `recording-${this.#folders}`);
    const timers = new HandTimers();
    const recorder = await this.#recorder(folder);
    const end: RecorderEnd = {
      dial: () => {
        const { port1, port2 } = new MessageChannel();
        this.host.recorder.connected(portSocket(port2));
        return portSocket(port1);
      },
      get status() {
        return null as RecordingStatus | null;
      },
      problem: null,
      prune: async () => null,
      close: async () => this.host.recorder.close(),
    };
    const clock = { monotonicMs: () => timers.nowMs, wallMs: () => Date.now() };
    const lines = (line: string): void => void this.said.push(line);
    // What it dials is the host's recorder.
    this.host = { timers, recorder, folder, history: null as unknown as TargetHistory };
    const history = new TargetHistory({ folder, retention: this.retention, shown, log: lines }, end, { timers, clock });
    this.host = { timers, recorder, folder, history };
  }

  /** kill -9: what its storage has at this moment is what the next one finds. */
  async kill(): Promise<void> {
    const { history, recorder, folder } = this.host;
    const next = join(this.root, `recording-${++this.#folders}`);
    if (existsSync(folder)) copyAsItIs(folder, next);
    this.#left.push(history.close().then(() => rmSync(folder, { recursive: true, force: true })));
    void recorder;
    this.comparing = null;
    await this.begin();
  }

  /** The thread of the recorder ends, and another one is there. */
  async restartRecorder(): Promise<void> {
    await this.host.recorder.close();
    this.host.recorder = await this.#recorder(this.host.folder);
  }

  async #recorder(folder: string): Promise<Recorder> {
    return Recorder.open({
      clock: { wallMs: () => this.sourceMs, monotonicMs: () => this.sourceMs },
      name: 'group',
      keys: () => [],
      listen: null,
      store: folder,
      only: 'group',
      retention: this.retention,
      logFolder: null,
      log: (line) => void this.said.push(line),
    });
  }

  /** The recorder's side gets on, and so much time passes. */
  async rest(turns: number, ms = 5): Promise<void> {
    for (let i = 0; i < turns; i++) await this.host.timers.pass(ms);
  }

  override hear(peer: FakePeer, said: Said): void {
    // Of another generation it may lie before the cut that was shown until now.
    if (said.kind === FRAME_KIND.applied) {
      if (!this.#isShown || this.comparing) this.cut = 0;
      this.#isShown = true;
    }
    super.hear(peer, said);
  }

  /** A source sends lists to who shows the cut that they begin at, in this session: after a comparison that is the end of it. */
  override checkpoint(): void {
    const { comparing, copy } = this;
    const isCompared = comparing === null || (comparing.whole !== null && copy.hasCut && !copy.isStaged);
    if (!this.#isShown || !isCompared) return this.roll();
    // The next one begins where the one before ends.
    if (this.cut < this.#listed && this.wanted.length === 0) return undefined;
    const asData = this.wanted.splice(0);
    this.#listed = this.committed;
    return super.checkpoint((list) => ({ ...list, asData }));
  }

  /** No cycle is larger than a part of the ring. */
  override write(count: number): void {
    for (let i = 0; i < count; i++) {
      super.write(1);
      let bytes = 0;
      for (let at = this.model.mark - 1; at >= 0; at--) {
        const entry = this.model.entries[at];
        if (!entry || entry.kind === ENTRY_KIND.seal) break;
        bytes += entry.bytes.length;
      }
      if (bytes > SIZE.ringBytes / 8) this.unsent.push(this.model.seal());
    }
  }

  override send(most: number): void {
    if (this.peers.length > 0) super.send(most);
  }

  /** It has time enough, unless something is in its way. */
  async catchUp(most: number): Promise<void> {
    for (let i = 0; i < most; i++) {
      const { state, kept } = this.host.history.status();
      if (state === 'recording' && kept === this.copy.shown.cut.mark) return;
      await this.rest(1, 2);
    }
  }

  /** The source has lost what it had not committed, or another one goes on from `until`. */
  succeed(until: number): void {
    this.#leave();
    // Behind nothing there is nothing to go on from: that is a stranger.
    if (until === 0) return;
    const former = this.model;
    const generation = toHex(former.generation);
    this.#ancestry = [{ generation, until: former.point(until) }, ...this.#ancestry];
    this.model = former.branch(until, ++this.#generations);
    // Its clock is another.
    const aheadMs = this.random.below(400) - 200;
    this.model.clockMs = () => this.sourceMs + aheadMs;
    this.#begun = until;
    this.#know(this.model);
    this.unsent = [];
    this.committed = 0;
    this.cut = 0;
  }

  /** Comes as it must, or as it is told; false when it was sent away for now. */
  join(wanted: 'replay' | 'staged' | 'in place'): boolean {
    this.#leave();
    this.#isShown = false;
    this.#listed = 0;
    this.wanted = [];
    const { model, random } = this;
    const peer = this.greet(0, { ancestry: this.#ancestry });
    if (peer.stopped) return this.#away();
    const { hasCut, prefix, session } = peer.welcome;
    const isKnown = hasCut && prefix.mark <= model.mark && model.point(prefix.mark).chain === prefix.chain;
    const how = !hasCut ? 'in place' : isKnown || wanted !== 'replay' ? wanted : 'staged';
    const from = how === 'replay' ? prefix : model.point(model.mark);
    this.session = session + 1 + random.below(3);
    peer.onSaid = (said) => this.hear(peer, said);
    const first = how === 'in place';
    const begin: Begin = {
      how: how === 'replay' ? 'replay' : 'scan',
      from,
      isFirst: first,
      isInPlace: first,
      checksum: 'crc32',
    };
    this.frame(peer, FRAME_KIND.begin, this.session, 0, encodeBegin(begin));
    if (peer.stopped) return how === 'replay' && wanted === 'replay' ? this.join('staged') : this.#away();
    if (how !== 'replay') [this.committed, this.cut, this.durable] = [from.mark, 0, 0];
    this.unsent = model.entries.slice(from.mark);
    this.transfer = 0;
    this.places = new Map();
    expect(this.greet(this.session, { ancestry: this.#ancestry }).stopped).toBeNull();
    if (how !== 'replay') this.#compare(peer);
    else if (!this.hasCheckpoints) this.roll();
    return true;
  }

  /** The source says that all is stamped up to now. */
  tellKnown(): void {
    const [peer] = this.peers;
    if (!peer || peer.stopped) return;
    this.wordMs = this.model.clockMs?.() ?? 0;
    this.frame(peer, FRAME_KIND.known, this.session, this.model.mark, encodeKnown(this.wordMs));
    // What it writes next is later.
    this.sourceMs++;
  }

  /** [HI9] Until when all is said to be known, ms by the source's clock. */
  get knownMs(): number {
    return loadRecording(this.host.folder).extent.knownUs / 1000;
  }

  /** The source is gone. */
  #leave(): void {
    for (const peer of this.peers.splice(0)) this.sessions.disconnected(peer, 'lost');
    this.comparing = null;
  }

  #away(): boolean {
    this.peers = [];
    this.unsent = [];
    return false;
  }

  /** All blocks come, as they are now; what is written meanwhile comes as entries. */
  #compare(peer: FakePeer): void {
    const comparing = { whole: null, images: 0, written: this.imagesWritten };
    this.comparing = comparing;
    // Nothing was ever written: they are zeros there and here.
    if (this.model.mark === 0) return;
    VOLUMES.forEach(({ bytes }, volume) => {
      for (let offset = 0; offset < bytes; offset += BLOCK) {
        comparing.images++;
        const body = this.model.image(volume, offset, Math.min(BLOCK, bytes - offset));
        this.frame(peer, FRAME_KIND.entries, this.session, ++this.transfer, body, 1);
      }
    });
  }

  /** All that differed is there. */
  endComparison(): void {
    if (!this.comparing || this.comparing.whole !== null) return;
    this.settle();
    const [peer] = this.peers;
    const { copy, comparing, imagesWritten } = this;
    const here = copy.isStaged ? copy.receiver.images.here : imagesWritten - comparing.written;
    if (!peer || peer.stopped || here < comparing.images) return;
    const seal = this.model.seal();
    this.unsent.push(seal);
    this.comparing.whole = seal.mark;
    this.frame(peer, FRAME_KIND.resynced, this.session, seal.mark);
  }

  /** A source that is gone takes with it what it had not committed. */
  lose(): void {
    this.#leave();
    this.#isShown = false;
    this.#listed = 0;
    this.wanted = [];
    const { model, random } = this;
    const kept = this.kept + random.below(model.mark - this.kept + 1);
    this.durable = Math.min(this.durable, kept);
    model.loseBehind(kept);
    this.unsent = this.unsent.filter(({ mark }) => mark <= kept);
  }

  /** What the source has committed, of which it never loses any. */
  get kept(): number {
    const { generation, shown } = this.copy;
    const isOurs = toHex(generation) === toHex(this.model.generation);
    return Math.min(this.model.mark, Math.max(this.committed, this.#begun, isOurs ? shown.committed : 0));
  }

  /** The newest mark that is offered; 0 when nothing is. */
  get newest(): number {
    try {
      return loadRecording(this.host.folder).extent.spans.at(-1)?.to ?? 0;
    } catch {
      return 0;
    }
  }

  /** Every state that is offered, of each volume, against a replay of the writes. */
  check(what: string): void {
    const { folder } = this.host;
    let loaded;
    try {
      loaded = loadRecording(folder);
    } catch {
      return;
    }
    const { head, extent } = loaded;
    this.gaps = Math.max(this.gaps, extent.gaps.length);
    this.offered = 0;
    const model = this.models.get(head.generation);
    if (!model) return;
    for (const { from, to } of extent.spans) {
      expect(to, `${what}: what is offered was written`).toBeLessThanOrEqual(model.mark);
      const content = model.contentAt(from);
      for (let mark = from; mark <= to; mark++) {
        if (mark > from) apply(model, mark, content);
        this.#compareState(loaded, mark, content, what);
        this.offered++;
      }
    }
    this.checked += this.offered;
    this.#checkKnown(model, extent, what);
  }

  /** [HI9] No entry that is not there, and in no gap, is stamped before the time that is known. */
  #checkKnown(model: SourceModel, { spans, gaps, knownUs }: Extent, what: string): void {
    const last = spans.at(-1);
    if (!last) return;
    expect(knownUs, `${what}: somebody has noted it`).toBeLessThan(Infinity);
    for (const { mark, time } of model.entries.slice(last.to)) {
      // Times are whole microseconds there.
      if (Number(time / 1000n) + 1 >= knownUs || gaps.some((gap) => mark >= gap.first && mark <= gap.last)) continue;
      throw new Error(
        `${what}: mark ${mark} of ${time} ns, and all is said to be known until ${knownUs} us, mark ${last.to}`,
      );
    }
  }

  #compareState(
    loaded: ReturnType<typeof loadRecording>,
    mark: number,
    wanted: readonly Uint8Array[],
    what: string,
  ): void {
    const state = new State(loaded, mark);
    try {
      VOLUMES.forEach(({ bytes }, volume) => {
        const found = new Uint8Array(bytes);
        state.read(volume, 0, found);
        const isSame = Buffer.compare(found, wanted[volume] ?? found) === 0;
        if (!isSame)
          throw new Error(
            `${what}: volume ${volume} at mark ${mark} of ${JSON.stringify(loaded.extent)} ${JSON.stringify(loaded.head)}\n${this.said.join('\n')}`,
          );
      });
    } finally {
      state.close();
    }
  }

  async remove(): Promise<void> {
    await this.host.history.close();
    await Promise.all(this.#left);
    rmSync(this.root, { recursive: true, force: true });
  }

  #know(model: SourceModel): void {
    this.models.set(toHex(model.generation), model);
  }
}

/**
 * A folder that threads of this process write to, as it was at one moment as far as anybody can tell: what names something else is
 * copied before that.
 */
function copyAsItIs(from: string, to: string): void {
  mkdirSync(to);
  const copied = new Set<string>();
  for (const isNext of [/^known$/, /\.control$/, /^(?!known\.new$)/]) {
    for (const name of readdirSync(from)) {
      if (copied.has(name) || !isNext.test(name)) continue;
      copied.add(name);
      copyFileSync(join(from, name), join(to, name));
    }
  }
}

function apply(model: SourceModel, mark: number, content: readonly Uint8Array[]): void {
  const entry = model.entries[mark - 1];
  if (!entry || entry.kind === ENTRY_KIND.seal) return;
  const { kind, volume, offset, length, bytes } = entry;
  if (kind === ENTRY_KIND.write) content[volume]?.set(bytes.subarray(ENTRY.bytes, ENTRY.bytes + length), offset);
  else content[volume]?.fill(0, offset, offset + length);
}
