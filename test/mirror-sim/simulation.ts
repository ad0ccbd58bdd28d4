/** The sites of a group, the links between them and their log device in one object, and what befalls them. */
import { crc32 } from '../../agent/base/crc32.ts';
import { toHex } from '../../agent/base/bytes.ts';
import { decodeBegin } from '../../agent/mirror/link/greeting.ts';
import type { TargetSession } from '../../agent/mirror/source/target-session.ts';
import { decodeFrame, encodeFrame, FRAME, FRAME_KIND } from '../../agent/mirror/wire/frame.ts';
import { LINK_VERSION } from '../../agent/mirror/wire/layout.ts';
import { World } from '../sim/world.ts';
import { SimLog } from './log-device.ts';
import { SimNetwork } from './network.ts';
import { Oracle } from './oracle.ts';
import { drawSettings, type SimSettings } from './settings.ts';
import { Site } from './site.ts';
import { viewOf, type Own, type Tap } from './way.ts';

const LOOK_MS_MAX = 12;
/** Connections of one link differ in delay by up to so much. */
const APART_MS = 40;
/** So many lines of the trace are kept for whoever asks what came before a violation. */
const TRACE_LINES = Number(process.env['SIM_TRACE'] ?? 60);
/** Between two looks at whatever else wants to run in this process. */
const EVENTS_A_TURN = 4096;

/** What a link's frames have said of its session. */
interface Session {
  number: number;
  /** Admitted when it began. */
  readonly admitted: number;
  isCommitted: boolean;
  /** What it brings cannot come as one: its target's journal could not hold it. */
  isTooMuch: boolean;
}

export class Simulation {
  readonly world: World;
  readonly settings: SimSettings;
  readonly oracle: Oracle;
  readonly network: SimNetwork;
  readonly log: SimLog;
  readonly sites: readonly Site[];
  readonly trace: string[] = [];
  /** Frames are in the trace too. */
  showsFrames = false;
  /** By who dialled and whom. */
  readonly #sessions = new Map<string, Session>();
  /** What was admitted when a link's last hello was said. */
  readonly #greeted = new Map<string, number>();
  /** The newest transfer of a link's session that has come, and over which connection. */
  readonly #newest = new Map<string, { readonly session: bigint; readonly transfer: bigint; readonly on: Own }>();
  /** Ways on which the last welcome was that of another version. */
  readonly #strangers = new Set<string>();
  /** Faults come for so long at least. */
  faultsMsMin = 0;
  /** None come but those of a story that a test tells. */
  isCalm = false;
  /** They are over. */
  isHealed = false;
  /** Alters or swallows what is sent; for planted bugs. */
  tap: Tap = (_l, _d, frame) => frame;

  constructor(seed: number, change: Partial<SimSettings> = {}) {
    this.world = new World(seed, (line) => {
      this.trace.push(line);
      if (!this.showsFrames && this.trace.length > 2 * TRACE_LINES) this.trace.splice(0, TRACE_LINES);
    });
    const { prng } = this.world;
    this.settings = { ...drawSettings(prng), ...change };
    const initial = this.settings.volumeBytes.map((bytes) => {
      const content = new Uint8Array(bytes);
      for (let at = 0; at < bytes; at += 4096) content.fill(prng.below(256), at, Math.min(bytes, at + 4096));
      return content;
    });
    this.oracle = new Oracle(this.world, initial);
    this.network = new SimNetwork(this.world);
    this.network.tap = (link, isToTarget, frame, by) => this.#sees(link, isToTarget, frame, by);
    if (this.settings.connections.some((count) => count > 1)) this.network.apartMs = prng.pick([0, 2, APART_MS]);
    this.network.arrived = (link, by, frame, on) => this.#arrived(`${by}>${link}`, viewOf(frame), on);
    this.log = new SimLog(this.world);
    const { world, network, oracle, settings, log } = this;
    const parts = { world, network, oracle, settings, log };
    this.sites = Array.from({ length: settings.targets + 1 }, (_, i) => new Site(i, parts));
    this.#look();
  }

  /** Made to be the source. */
  get source(): Site {
    return this.sites[0] as Site;
  }

  /** Made to be targets. */
  get targets(): readonly Site[] {
    return this.sites.slice(1);
  }

  begin(): void {
    this.source.boot();
    for (const target of this.targets) this.world.after(this.world.within(0, 30), () => target.boot());
  }

  site(name: string): Site {
    const site = this.sites.find((one) => one.name === name);
    if (!site) throw new Error(`no site ${name}`);
    return site;
  }

  /** What each of them says of itself. */
  get state(): object {
    return this.sites.map(({ name, source, target }) => {
      if (!source) return { name, target: target?.status() ?? null };
      const { marks, sessions } = source.monitor.group;
      const links = sessions.map(({ link, behindBytes, problem, resync, roomBytes }) => {
        const { state, received, durable, sealed, isOutdated } = link;
        return {
          name: link.name,
          state,
          received,
          durable,
          sealed,
          isOutdated,
          behindBytes,
          problem,
          resync,
          roomBytes,
        };
      });
      return { name, standing: source.succession.status(), journal: source.monitor.status, marks, links };
    });
  }

  /** Lets time pass; ends early when something is not as it must be. */
  async run(ms: number, isDone: () => boolean = () => false): Promise<boolean> {
    const untilMs = this.world.nowMs + ms;
    let isMore = true;
    while (isMore && this.oracle.violations.length === 0 && !isDone()) {
      isMore = await new Promise((resolve, reject) => this.#steps(untilMs, isDone, EVENTS_A_TURN, resolve, reject));
      await new Promise(setImmediate);
    }
    return isDone();
  }

  /**
   * Event by event. Promises that were kept by one are acted on before the next: a tick that is asked for from a microtask
   * comes when no microtask is left, and costs no turn of the event loop.
   */
  #steps(
    untilMs: number,
    isDone: () => boolean,
    left: number,
    resolve: (isMore: boolean) => void,
    reject: (error: unknown) => void,
  ): void {
    try {
      for (const { machine } of this.sites) machine?.threads.ring();
      if (left === 0 || this.oracle.violations.length > 0 || isDone()) return resolve(true);
      if (!this.world.step(untilMs)) return resolve(false);
    } catch (error) {
      return reject(error);
    }
    return queueMicrotask(() => process.nextTick(() => this.#steps(untilMs, isDone, left - 1, resolve, reject)));
  }

  #look(): void {
    this.world.after(this.world.within(1, LOOK_MS_MAX), () => this.#look());
    for (const site of this.sites) site.asTarget.look();
    if (this.world.prng.below(4) > 0) return;
    for (const site of this.sites) {
      if (!site.source) continue;
      this.#checkReclaim(site);
      const { head, tail } = site.source.monitor.status;
      const { ringBytes } = site.source.monitor.journal;
      if (head - tail > ringBytes) this.oracle.violate('I17', `${site.name}: the source's ring is overfull`);
    }
  }

  /** [I6] */
  #checkReclaim({ name: by, source, asSource }: Site): void {
    if (!source) return;
    const { journal, group } = source.monitor;
    const tail = journal.oldest.mark;
    if (tail <= asSource.oldestAtStart) return;
    // Its targets follow another one, and drop what is not applied when that begins.
    if (asSource.history?.isOvertaken === true) return;
    const generation = toHex(journal.superblock.generation);
    for (const { link, resync } of group.sessions) {
      const { target, name, mayLack } = this.site(link.name);
      if (!target || mayLack) continue;
      const { state, durable, generation: theirs } = target.status();
      // What its bitmap has, or a comparison brings, is not kept for it.
      if (theirs !== generation || link.isOutdated || resync || !this.#sessions.has(`${by}>${name}`)) continue;
      if (state !== 'initialising' && durable < tail) {
        this.oracle.violate('I6', `${by} has freed up to mark ${tail}, and ${name} has ${durable}`);
      }
    }
  }

  /** What only the wire shows. */
  #sees(link: string, isToTarget: boolean, frame: Uint8Array, by: string): Uint8Array | null {
    const view = viewOf(frame);
    const kind = frame[FRAME.at.kind];
    const number = Number(view.getBigUint64(FRAME.at.session, true));
    const way = `${by}>${link}`;
    if (this.showsFrames) {
      const name = Object.entries(FRAME_KIND).find(([, value]) => value === kind)?.[0];
      const id = view.getBigUint64(FRAME.at.id, true);
      this.trace.push(
        `  ${this.world.nowMs.toFixed(3)} ${by} ${isToTarget ? '>' : '<'} ${link} ${name} ${id}, session ${number}`,
      );
    }
    if (kind === FRAME_KIND.hello || kind === FRAME_KIND.welcome) frame = this.#spoken(link, isToTarget, frame, by);
    if (kind === FRAME_KIND.welcome) {
      const isSame = this.site(by).linkVersion === this.site(link).linkVersion;
      if (isSame) this.#strangers.delete(way);
      else this.#strangers.add(way);
    }
    if (isToTarget && kind === FRAME_KIND.begin && this.#strangers.has(way)) {
      this.oracle.violate('MI13', `${by} begins a session with ${link}, which speaks another version`);
    }
    const history = this.site(by).asSource.history;
    // Of the connections that a session has only the first one says `begin`.
    if (isToTarget && kind === FRAME_KIND.hello) this.#greeted.set(way, history?.mark ?? 0);
    if (isToTarget && kind === FRAME_KIND.begin) {
      const admitted = this.#greeted.get(way) ?? 0;
      this.#sessions.set(way, { number, admitted, isCommitted: false, isTooMuch: false });
      this.oracle.count('sessions');
      const { how, isFirst } = decodeBegin(frame.subarray(FRAME.bytes));
      this.oracle.count(`sessions by ${how}`);
      if (how === 'scan' && !isFirst) this.oracle.count('scans of a copy');
    }
    if (isToTarget && kind === FRAME_KIND.begin) this.world.after(0, () => this.#begins(by, link));
    if (isToTarget && kind === FRAME_KIND.commit) this.#commits(by, link, Number(view.getBigUint64(FRAME.at.id, true)));
    return this.tap(link, isToTarget, frame, by);
  }

  /** Counts transfers that were overtaken by later ones on other connections. */
  #arrived(way: string, view: DataView, on: Own): void {
    const [session, transfer] = [view.getBigUint64(FRAME.at.session, true), view.getBigUint64(FRAME.at.id, true)];
    const newest = this.#newest.get(way);
    if (newest?.session === session && newest.transfer > transfer) {
      if (newest.on !== on) this.oracle.count('transfers overtaken by other connections');
    } else this.#newest.set(way, { session, transfer, on });
  }

  /** A greeting as whoever says it would, were his program another. */
  #spoken(link: string, isToTarget: boolean, frame: Uint8Array, by: string): Uint8Array {
    const { linkVersion: version } = this.site(isToTarget ? by : link);
    if (version === LINK_VERSION) return frame;
    const head = decodeFrame(frame, 0);
    if (!head.ok) return frame;
    const greeting: unknown = JSON.parse(new TextDecoder().decode(frame.subarray(FRAME.bytes)));
    const body = new TextEncoder().encode(JSON.stringify({ ...(greeting as object), version }));
    const spoken = new Uint8Array(FRAME.bytes + body.length);
    encodeFrame({ ...head.frame, bodyBytes: body.length, bodyCrc: crc32(body) }, spoken, 0);
    spoken.set(body, FRAME.bytes);
    return spoken;
  }

  #sessionOf(by: string, link: string): TargetSession | undefined {
    return this.site(by).source?.monitor.group.sessions.find((one) => one.link.name === link);
  }

  #begins(by: string, link: string): void {
    const session = this.#sessions.get(`${by}>${link}`);
    const { behindBytes = 0, roomBytes = 0 } = this.#sessionOf(by, link) ?? {};
    if (session) session.isTooMuch = behindBytes > roomBytes / 3;
  }

  #commits(by: string, link: string, cycle: number): void {
    const { oracle } = this;
    const { history } = this.site(by).asSource;
    const mark = history?.committedBy(cycle);
    if (!history || mark === undefined) {
      return oracle.violate('MI4', `cycle ${cycle} is committed, and was never sealed`);
    }
    const session = this.#sessions.get(`${by}>${link}`);
    const isShort = this.#sessionOf(by, link)?.isShortOfRoom ?? true;
    const isAsOne = session && !session.isCommitted && !session.isTooMuch && !isShort;
    if (isAsOne && mark < session.admitted) {
      oracle.violate('I10', `the first commit in a session of ${link} is mark ${mark}, behind ${session.admitted}`);
    }
    if (session) session.isCommitted = true;
    this.site(link).asTarget.commits(history, mark);
    history.promised = Math.max(history.promised, mark);
    for (const one of this.site(by).source?.monitor.group.sessions ?? []) {
      const { target, name, mayLack } = this.site(one.link.name);
      if (!one.link.isWaitedFor || !target || mayLack || oracle.of(target.status().generation) !== history) continue;
      const { durable } = target.status();
      if (durable < mark) oracle.violate('MI4', `mark ${mark} is committed, and ${name} has ${durable}`);
    }
    return undefined;
  }
}
