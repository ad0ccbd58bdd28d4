/** A target on disks that crash, driven step by step, and a source that knows what each volume must hold at each mark. */
import { expect } from 'vitest';
import { toHex } from '../../../../agent/base/bytes.ts';
import {
  decodeStop,
  decodeWelcome,
  encodeBegin,
  encodeHello,
  type Stop,
  type Welcome,
} from '../../../../agent/mirror/link/greeting.ts';
import { allocateJournal, JOURNAL_WORD, JournalMemory } from '../../../../agent/mirror/store/journal-memory.ts';
import {
  encodeSuper,
  JOURNAL_ROLE,
  JOURNAL_STATE,
  readSuper,
  SuperWriter,
  type JournalSuper,
} from '../../../../agent/mirror/store/superblock.ts';
import { Copy } from '../../../../agent/mirror/target/copy.ts';
import { recoverArrivals, type Found } from '../../../../agent/mirror/target/recover.ts';
import { decodeStored } from '../../../../agent/mirror/target/reports.ts';
import { Sessions, type Peer } from '../../../../agent/mirror/target/session.ts';
import type { ShownLog } from '../../../../agent/mirror/target/shown-log.ts';
import {
  ApplyLoop,
  type ApplyCommand,
  type ApplyReport,
  type ImageWrite,
} from '../../../../agent/mirror/threads/apply-loop.ts';
import { JournalLoop } from '../../../../agent/mirror/threads/journal-loop.ts';
import type { TransferPlace } from '../../../../agent/mirror/core/transfers.ts';
import { decodeWanted, type WantedBlock } from '../../../../agent/mirror/wire/checkpoint.ts';
import { ENTRY_KIND } from '../../../../agent/mirror/wire/entry.ts';
import { FRAME_KIND, type FrameKind } from '../../../../agent/mirror/wire/frame.ts';
import { JOURNAL_RING_OFFSET } from '../../../../agent/mirror/wire/layout.ts';
import { CrashDisk } from '../../../support/crash-disk.ts';
import { Prng } from '../../../../agent/base/prng.ts';
import { shuffled, SourceModel, transferOf, type ModelEntry } from '../../../support/source-model.ts';
import { checkpointBodies, type ListOptions } from './checkpoint-lists.ts';
import { freshSuper, SIZE } from '../store/journal-world.ts';

export const VOLUMES = [
  { name: 'one', bytes: 16_384 },
  { name: 'two', bytes: 8192 },
];

export const targetSuper = (change: Partial<JournalSuper> = {}): JournalSuper =>
  freshSuper({
    role: JOURNAL_ROLE.target,
    state: JOURNAL_STATE.initialising,
    generation: new Uint8Array(16),
    volumes: VOLUMES,
    ...change,
  });

export interface Said {
  readonly kind: FrameKind;
  readonly session: number;
  readonly id: number;
  readonly body: Uint8Array;
}

/** The source's end of a connection. */
export class FakePeer implements Peer {
  readonly address: string;
  said: Said[] = [];
  stopped: Stop | null = null;
  isPaused = false;
  /** What the target says, at once. */
  onSaid: (said: Said) => void = () => {};

  constructor(address = 'source:1') {
    this.address = address;
  }

  send(kind: FrameKind, session: number, id: number, body: Uint8Array = new Uint8Array(0)): void {
    const said = { kind, session, id, body };
    this.said.push(said);
    this.onSaid(said);
  }

  stop(stop: Stop): void {
    this.stopped = stop;
  }

  pause(): void {
    this.isPaused = true;
  }

  resume(): void {
    this.isPaused = false;
  }

  last(kind: FrameKind): Said | undefined {
    return this.said.findLast((said) => said.kind === kind);
  }

  get welcome(): Welcome {
    return decodeWelcome(this.last(FRAME_KIND.welcome)?.body ?? new Uint8Array(0));
  }
}

export const stopOf = (body: Uint8Array): Stop => decodeStop(body);

export class TargetWorld {
  readonly random: Prng;
  model: SourceModel;
  readonly disk = new CrashDisk(JOURNAL_RING_OFFSET + SIZE.ringBytes);
  readonly volumes = VOLUMES.map(({ bytes }) => new CrashDisk(bytes));
  memory!: JournalMemory;
  copy!: Copy;
  sessions!: Sessions;
  loop!: JournalLoop;
  applyLoop!: ApplyLoop;
  found!: Found;
  nowMs = 0;
  /** How often a comparison was made ready for. */
  prepared = 0;
  /** By which sources are heard or not. */
  heardMs = 0;
  lines: string[] = [];
  peers: FakePeer[] = [];
  session = 0;
  /** Entries that the target may lack in this session. */
  unsent: ModelEntry[] = [];
  /** What the target promised: durable, sealed, shown. */
  durable = 0;
  committed = 0;
  cut = 0;
  /** In this session, by mark: transfer and place of an entry. */
  places = new Map<number, TransferPlace>();
  /** Makes cuts, instead of rolling to what is committed. */
  hasCheckpoints = false;
  /** Of the source, as it says it in its next greeting. */
  policy: 'degrade' | 'strict' = 'degrade';
  /** Blocks that the target asked for. */
  wanted: WantedBlock[] = [];
  /** Processes that began. */
  #run = 0;
  #reports: ApplyReport[] = [];
  #images: ImageWrite[] = [];
  /** Onto the volumes, by this process. */
  imagesWritten = 0;
  transfer = 0;
  #told = false;

  constructor(seed: number, superblock: JournalSuper = targetSuper()) {
    this.random = new Prng(seed);
    this.model = new SourceModel(
      this.random,
      VOLUMES.map(({ bytes }) => bytes),
    );
    expect(new SuperWriter(1).write(this.disk, encodeSuper(superblock))).toBe(0);
  }

  superblock(): JournalSuper {
    const read = readSuper(this.disk);
    if (typeof read === 'number' || !read.ok) throw new Error('no superblock');
    return read.superblock;
  }

  /** A process begins on what is there. */
  start(): void {
    const recovered = recoverArrivals(this.disk, this.superblock(), true);
    if (!recovered.ok) throw new Error(`cannot start: ${recovered.fault} at ${recovered.position}`);
    this.found = recovered.found;
    const { end, superblock } = recovered.found;
    this.memory = new JournalMemory(allocateJournal(SIZE));
    this.#reports = [];
    this.#images = [];
    this.peers = [];
    const run = ++this.#run;
    const parts = {
      // A reader of a process that is gone may yet let its gate be shut.
      apply: (command: ApplyCommand) => run === this.#run && this.applyLoop.take(command),
      applied: (cut: number) => this.sessions.applied(cut),
      wanted: (cut: number, blocks: readonly WantedBlock[]) => this.sessions.wanted(cut, blocks),
      imagesLost: () => this.sessions.imagesLost(),
      log: (line: string) => void this.lines.push(line),
    };
    this.copy = new Copy(this.memory, recovered.found, parts, this.followed(recovered.found));
    const log = (line: string) => this.lines.push(line);
    this.sessions = new Sessions(this.copy, {
      group: 'group',
      log,
      nowMs: () => this.heardMs,
      look: () => {},
      soon: (action) => action(),
      digests: async () => Promise.reject(new Error('no comparison here')),
      prepare: () => this.prepared++,
      write: (image) => void this.#images.push(image),
    });
    this.loop = new JournalLoop(this.memory, end, superblock.generation, {
      open: () => this.disk,
      nowMs: () => this.nowMs,
      tell: () => (this.#told = true),
      more: () => {},
    });
    this.applyLoop = new ApplyLoop({
      ring: SIZE,
      volumeCount: VOLUMES.length,
      open: (volume) => this.volumes[volume] ?? -2,
      openJournal: () => this.disk,
      nowMs: () => this.nowMs,
      tell: (report) => this.#reports.push(report),
    });
    this.copy.start();
  }

  /** Who records what is shown: nobody here. */
  followed(_found: Found): ShownLog | null {
    return null;
  }

  crash(): void {
    this.disk.crash(this.random);
    for (const volume of this.volumes) volume.crash(this.random);
  }

  /** The journal thread, then main hears of it. */
  stepJournal(): void {
    this.loop.step();
    if (!this.#told) return;
    this.#told = false;
    this.memory.set(JOURNAL_WORD.told, 0);
    this.copy.arrivals.look();
    this.sessions.progress();
  }

  /** The apply thread, then main hears of it. */
  stepApply(): void {
    for (const image of this.#images.splice(0)) {
      this.imagesWritten++;
      this.sessions.written(this.applyLoop.write(image));
    }
    this.applyLoop.step();
    for (const report of this.#reports.splice(0)) this.copy.report(report);
  }

  /** Everything goes on until nothing changes. */
  settle(): void {
    for (let i = 0; i < 12; i++) {
      this.nowMs += 2000;
      this.stepJournal();
      this.stepApply();
    }
  }

  greet(session = 0, change: object = {}): FakePeer {
    const peer = new FakePeer(`source:${this.peers.length + 1}`);
    const { model } = this;
    const view = {
      group: 'group',
      volumes: VOLUMES,
      generation: toHex(model.generation),
      ancestry: [],
      tail: model.point(0),
      durable: model.point(model.mark),
      ...change,
    };
    this.sessions.connected(peer);
    this.frame(peer, FRAME_KIND.hello, 0, 0, encodeHello(view, this.policy, session));
    this.peers.push(peer);
    return peer;
  }

  frame(
    peer: Peer,
    kind: FrameKind,
    session: number,
    id: number,
    body: Uint8Array = new Uint8Array(0),
    count = 0,
  ): void {
    this.sessions.frame(peer, { kind, count, bodyBytes: body.length, session, id, bodyCrc: 0 }, body);
  }

  /** A source comes, as far as the first entry: what it decides is what `meet` would. */
  connect(): FakePeer {
    for (const peer of this.peers.splice(0)) this.sessions.disconnected(peer, 'lost');
    const peer = this.greet();
    const { hasCut, prefix, session } = peer.welcome;
    const from = hasCut ? prefix : this.model.point(0);
    this.session = session + 1 + this.random.below(3);
    peer.onSaid = (said) => this.hear(peer, said);
    const how = hasCut ? 'replay' : 'scan';
    this.frame(
      peer,
      FRAME_KIND.begin,
      this.session,
      0,
      encodeBegin({ how, from, isFirst: !hasCut, isInPlace: false, checksum: 'crc32' }),
    );
    expect(peer.stopped).toBeNull();
    if (!hasCut) {
      this.durable = 0;
      this.frame(peer, FRAME_KIND.resynced, this.session, 0);
    }
    this.unsent = this.model.entries.slice(from.mark);
    this.transfer = 0;
    this.places = new Map();
    const second = this.greet(this.session);
    expect(second.stopped).toBeNull();
    if (!this.hasCheckpoints) this.roll();
    return peer;
  }

  /** Some of what is not sent leaves, in any order, over any connection, some of it twice. */
  send(most: number): void {
    const { random } = this;
    const some = shuffled(this.unsent.slice(0, most), random);
    this.unsent = this.unsent.slice(most);
    while (some.length > 0) {
      const transfer = some.splice(0, 1 + random.below(4));
      if (random.below(5) === 0) some.push(random.pick(transfer));
      this.transfer++;
      transfer.forEach(({ mark }, index) => this.places.set(mark, { transfer: this.transfer, index }));
      const peer = random.pick(this.peers);
      this.frame(peer, FRAME_KIND.entries, this.session, this.transfer, transferOf(transfer), transfer.length);
    }
  }

  /** As far as the source has committed. */
  roll(): void {
    const [peer] = this.peers;
    if (peer) this.frame(peer, FRAME_KIND.roll, this.session, this.committed);
  }

  /** Brings the target from its cut to what is committed, by a list. */
  checkpoint(change: (list: ListOptions) => ListOptions = (list) => list): void {
    const [peer] = this.peers;
    if (!peer || this.committed <= this.cut) return;
    const list = change({ base: this.cut, cut: this.committed, places: this.places, asData: [] });
    for (const { count, body } of checkpointBodies(this.model, list)) {
      this.frame(peer, FRAME_KIND.checkpoint, this.session, list.cut, body, count);
    }
  }

  /** New writes at the source. */
  write(count: number): void {
    const { model, random } = this;
    for (let i = 0; i < count; i++) {
      const write = () => (this.hasCheckpoints && random.below(2) === 0 ? model.appendBlocks() : model.append());
      this.unsent.push(random.below(6) === 0 ? model.seal() : write());
    }
  }

  hear(peer: FakePeer, { kind, session, id, body }: Said): void {
    if (session !== this.session) return;
    if (kind === FRAME_KIND.stored) this.durable = Math.max(this.durable, decodeStored(body)?.durable ?? 0);
    if (kind === FRAME_KIND.applied) {
      expect(id).toBeGreaterThanOrEqual(this.cut);
      this.cut = id;
    }
    if (kind === FRAME_KIND.want) this.wanted.push(...(decodeWanted(body) ?? []));
    if (kind !== FRAME_KIND.sealed) return;
    const seal = this.model.entries.find((entry) => entry.kind === ENTRY_KIND.seal && entry.cycle === id);
    expect(seal).toBeDefined();
    this.committed = seal?.mark ?? 0;
    this.frame(peer, FRAME_KIND.commit, session, id);
    if (!this.hasCheckpoints && this.random.below(4) > 0) this.roll();
  }

  /** The receive volumes are A(mark). */
  expectContent(mark: number, what: string): void {
    this.model.contentAt(mark).forEach((wanted, i) => {
      expect(Buffer.compare(this.volumes[i]?.content ?? new Uint8Array(0), wanted), `${what}: volume ${i}`).toBe(0);
    });
  }
}
