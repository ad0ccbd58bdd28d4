/**
 * The source's end of real links to a target, as a script: says what it must say, replays what the target lacks, commits and
 * rolls what is sealed. Its writes are a model's, so a test knows what each cut must look like.
 */
import type { TLSSocket } from 'node:tls';
import { toHex } from '../../agent/base/bytes.ts';
import { LinkConnection } from '../../agent/mirror/link/connection.ts';
import {
  decodeStop,
  decodeWelcome,
  encodeBegin,
  encodeHello,
  type Stop,
  type Welcome,
} from '../../agent/mirror/link/greeting.ts';
import { dialLink, type Address } from '../../agent/mirror/link/tls.ts';
import { decodeStored, type Stored } from '../../agent/mirror/target/reports.ts';
import { ENTRY_KIND } from '../../agent/mirror/wire/entry.ts';
import { FRAME_KIND, type Frame } from '../../agent/mirror/wire/frame.ts';
import { shuffled, transferOf, type ModelEntry, type SourceModel } from './source-model.ts';
import { until } from './until.ts';

const SOON_MS = 60_000;

export interface ScriptOptions {
  readonly address: Address;
  readonly key: Uint8Array;
  readonly group: string;
  readonly target: string;
  readonly volumes: readonly { readonly name: string; readonly bytes: number }[];
}

/** One connection to a target. */
export class ScriptedLink {
  readonly connection: LinkConnection;
  readonly socket: TLSSocket;
  readonly frames: { readonly frame: Frame; readonly body: Uint8Array }[] = [];
  isClosed = false;
  onFrame: (frame: Frame, body: Uint8Array) => void = () => {};

  private constructor(socket: TLSSocket) {
    this.socket = socket;
    this.connection = new LinkConnection(socket, {
      frame: (frame, body) => {
        this.frames.push({ frame, body: Uint8Array.from(body) });
        this.onFrame(frame, body);
      },
      drain: () => {},
      closed: () => (this.isClosed = true),
    });
  }

  /** Null when the target is not there. */
  static async dial({ address, key, group, target }: ScriptOptions): Promise<ScriptedLink | null> {
    const socket = dialLink(address, key, { group, target });
    const isThere = await new Promise<boolean>((resolve) => {
      socket.once('secureConnect', () => resolve(true));
      socket.once('error', () => resolve(false));
      socket.once('close', () => resolve(false));
    });
    socket.on('error', () => {});
    return isThere ? new ScriptedLink(socket) : null;
  }

  find(kind: number): { readonly frame: Frame; readonly body: Uint8Array } | undefined {
    return this.frames.findLast(({ frame }) => frame.kind === kind);
  }

  get stop(): Stop | null {
    const found = this.find(FRAME_KIND.stop);
    return found ? decodeStop(found.body) : null;
  }

  end(): void {
    this.connection.end('the test is over');
  }
}

export class ScriptedSource {
  readonly model: SourceModel;
  readonly #options: ScriptOptions;
  links: ScriptedLink[] = [];
  session = 0;
  welcome!: Welcome;
  received = 0;
  stored: Stored = { durable: 0, roomBytes: 0 };
  sealed = 0;
  committed = 0;
  applied = 0;
  #transfer = 0;

  constructor(model: SourceModel, options: ScriptOptions) {
    this.model = model;
    this.#options = options;
  }

  get isLost(): boolean {
    return this.links.some(({ isClosed }) => isClosed);
  }

  /** Meets the target and begins a session over so many connections; false when the target is, or goes, away. */
  async connect(connections = 2): Promise<boolean> {
    this.end();
    const first = await this.#greet(0);
    if (!first) return false;
    const { welcome } = this;
    const { model } = this;
    const from = welcome.hasCut ? welcome.prefix : model.point(0);
    this.session = Math.max(this.session, welcome.session) + 1;
    this.received = from.mark;
    this.#transfer = 0;
    first.onFrame = (frame, body) => this.#hear(frame, body);
    const begin = {
      how: welcome.hasCut ? 'replay' : 'scan',
      from,
      isFirst: !welcome.hasCut,
      isInPlace: false,
      checksum: 'crc32',
    } as const;
    this.#say(FRAME_KIND.begin, 0, encodeBegin(begin));
    if (!welcome.hasCut) this.#say(FRAME_KIND.resynced, 0);
    this.#say(FRAME_KIND.roll, this.committed);
    for (let i = 1; i < connections; i++) if (!(await this.#join(first))) return false;
    return true;
  }

  /** A further connection may overtake the word that begins its session: it is refused then, and dialled again, as a source does. */
  async #join(first: ScriptedLink): Promise<boolean> {
    const endMs = performance.now() + SOON_MS;
    const before = this.links.length;
    while (!(await this.#greet(this.session))) {
      for (const link of this.links.splice(before)) link.end();
      if (first.isClosed || performance.now() > endMs) return false;
    }
    return true;
  }

  /** Sends these in any order over all connections, some of them twice. */
  send(entries: readonly ModelEntry[]): void {
    const { random } = this.model;
    const some = shuffled(entries, random);
    while (some.length > 0) {
      const transfer = some.splice(0, 1 + random.below(6));
      if (random.below(8) === 0) some.push(random.pick(transfer));
      const link = random.pick(this.links);
      link.connection.send(FRAME_KIND.entries, this.session, ++this.#transfer, transfer.length, transferOf(transfer));
    }
  }

  /** All that the target lacks, no more at a time than it has room for; false when it went away meanwhile. */
  async sendAll(): Promise<boolean> {
    const { entries } = this.model;
    let next = this.received;
    while (next < entries.length) {
      const piece = entries.slice(next, next + 40);
      next += piece.length;
      this.send(piece);
      const wanted = next;
      await until('what was sent is there', () => this.isLost || this.received >= wanted, SOON_MS);
      if (this.isLost) return false;
    }
    return true;
  }

  async untilApplied(mark: number): Promise<void> {
    await until(`cut ${mark}`, () => this.applied >= mark, SOON_MS);
  }

  end(): void {
    for (const link of this.links.splice(0)) link.end();
  }

  async #greet(session: number): Promise<ScriptedLink | null> {
    const link = await ScriptedLink.dial(this.#options);
    if (!link) return null;
    this.links.push(link);
    const { model } = this;
    const hello = {
      group: this.#options.group,
      volumes: this.#options.volumes,
      generation: toHex(model.generation),
      ancestry: [],
      tail: model.point(0),
      durable: model.point(model.mark),
    };
    link.connection.send(FRAME_KIND.hello, 0, 0, 0, encodeHello(hello, 'degrade', session));
    const isMet = await until('a welcome', () => link.isClosed || link.find(FRAME_KIND.welcome) || link.stop, SOON_MS);
    const welcome = link.find(FRAME_KIND.welcome);
    if (isMet === true || !welcome) return null;
    this.welcome = decodeWelcome(welcome.body);
    return link;
  }

  #say(kind: (typeof FRAME_KIND)[keyof typeof FRAME_KIND], id: number, body?: Uint8Array): void {
    this.links[0]?.connection.send(kind, this.session, id, 0, ...(body ? [body] : []));
  }

  #hear({ kind, session, id }: Frame, body: Uint8Array): void {
    if (session !== this.session) return;
    if (kind === FRAME_KIND.stored) {
      this.received = Math.max(this.received, id);
      this.stored = decodeStored(body) ?? this.stored;
    }
    if (kind === FRAME_KIND.applied) this.applied = id;
    if (kind !== FRAME_KIND.sealed) return;
    this.sealed = id;
    const seal = this.model.entries.find((entry) => entry.kind === ENTRY_KIND.seal && entry.cycle === id);
    this.committed = Math.max(this.committed, seal?.mark ?? 0);
    this.#say(FRAME_KIND.commit, id);
    this.#say(FRAME_KIND.roll, this.committed);
  }
}
