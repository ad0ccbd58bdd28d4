/**
 * A site of a simulated group: its disks, which outlive it, and the process that runs there, which plays the role that its
 * journal says. What must be so of a source is looked at by `SourceSide`, of a target by `TargetSide`.
 */
import { openRole } from '../../agent/cli/mirror-roles.ts';
import type { Role } from '../../agent/cli/mirror-process.ts';
import { toHex } from '../../agent/base/bytes.ts';
import { MirrorSource } from '../../agent/mirror/source/source.ts';
import { JOURNAL_ROLE, readSuper, type JournalSuper } from '../../agent/mirror/store/superblock.ts';
import type { Target } from '../../agent/mirror/target/target.ts';
import { targetOfSource } from '../../agent/settings/mirror.ts';
import type { VolumeDevice } from '../../agent/mirror/threads/volume-loop.ts';
import { JOURNAL_RING_OFFSET, LINK_VERSION } from '../../agent/mirror/wire/layout.ts';
import type { World } from '../sim/world.ts';
import { PowerCut, SimDisk } from './disk.ts';
import type { History } from './history.ts';
import type { SimLog } from './log-device.ts';
import { SimMachine } from './machine.ts';
import type { SimNetwork } from './network.ts';
import type { Oracle } from './oracle.ts';
import { siteName, siteSettings, type SimSettings } from './settings.ts';
import { SourceSide } from './source-side.ts';
import { TargetSide } from './target-side.ts';

export const JOURNAL_PATH = 'journal';
const KEY: Uint8Array = new Uint8Array(32).fill(7);
const AGAIN_MS = 300;

export interface SiteParts {
  readonly world: World;
  readonly network: SimNetwork;
  readonly oracle: Oracle;
  readonly settings: SimSettings;
  readonly log: SimLog;
}

export class Site {
  readonly name: string;
  readonly index: number;
  readonly parts: SiteParts;
  readonly journal: SimDisk;
  readonly volumes: readonly SimDisk[];
  readonly #disks: ReadonlyMap<string, SimDisk>;
  readonly #small = new Map<string, Uint8Array>();
  readonly asSource: SourceSide;
  readonly asTarget: TargetSide;
  machine: SimMachine | null = null;
  source: MirrorSource | null = null;
  target: Target | null = null;
  #role: Role | null = null;
  /** Added to the wall clock, which goes faster or slower than time does. */
  wallMs = 1_700_000_000_000;
  wallRate = 1;
  /** Of the link, as its program speaks it. */
  linkVersion: number = LINK_VERSION;
  /** Its settings say so, whatever it was made to be at first. */
  #isMadeTarget = false;
  /** The last takeover that an operator asked for here was forced. */
  #isForced = false;
  #isTakingOver = false;
  /** That were said to it and are not done. */
  commands = 0;
  /** Its volumes lie: what they show is compared when all is mended. */
  isUnsound = false;
  /** Its storage was put back, or lies: what it had once is not held against it. */
  mayLack = false;
  /** Blocks of a cut may be missing there for a reason: it could not read them, or they came damaged. */
  mayMiss = false;
  /** Where a bug is planted. */
  device: (device: VolumeDevice, path: string) => VolumeDevice = (device) => device;
  digests: (digests: Uint8Array) => Uint8Array = (digests) => digests;
  sourceOpened: (source: MirrorSource) => void = () => {};

  constructor(index: number, parts: SiteParts) {
    this.name = siteName(index);
    this.index = index;
    this.parts = parts;
    const { world, settings } = parts;
    this.journal = new SimDisk(world, JOURNAL_RING_OFFSET + this.#ring.ringBytes);
    this.volumes = settings.volumeBytes.map((bytes, i) => (index === 0 ? this.#filled(i) : this.#mixed(i, bytes)));
    this.#disks = new Map([
      [JOURNAL_PATH, this.journal],
      ...this.volumes.map((disk, i) => [`volume-${i}`, disk] as const),
    ]);
    this.asSource = new SourceSide(this);
    this.asTarget = new TargetSide(this);
  }

  get disks(): Iterable<SimDisk> {
    return this.#disks.values();
  }

  get content(): Uint8Array[] {
    return this.volumes.map(({ content }) => content);
  }

  /** Grows with every change of a volume. */
  get version(): number {
    return this.volumes.reduce((sum, { version }) => sum + version, 0);
  }

  superblock(): JournalSuper | null {
    const read = readSuper(this.journal.medium);
    return typeof read === 'object' && read.ok ? read.superblock : null;
  }

  /** Starts, and again when that fails. */
  boot(): void {
    if (this.machine) return;
    const { world, network, oracle, settings, log } = this.parts;
    const machine = new SimMachine({
      name: this.name,
      world,
      disks: this.#disks,
      small: this.#small,
      network: (of) => network.of(of),
      log,
      wallMs: () => this.wallMs + world.nowMs * this.wallRate,
      device: (device, path) => this.device(device, path),
      digests: (digests) => this.digests(digests),
      powerCut: () => this.crash(true),
    });
    this.machine = machine;
    network.isBack();
    const own = siteSettings(this.index, settings);
    openRole(this.#isMadeTarget && own.role === 'source' ? targetOfSource(own) : own, {
      machine,
      keys: { cluster: () => [KEY], exports: null },
      log: { log: (...words: unknown[]) => this.#log(words) } as never,
      fatal: (error) => oracle.violate('fatal', `${this.name}: ${error.message}`),
      opened: (role) => {
        if (machine.isAlive) this.#opened(role);
      },
    }).then(
      (role) => {
        if (this.machine === machine) this.#role = role;
      },
      (error: Error) => this.#ended(machine, `does not start: ${error.message}`, error),
    );
  }

  /** As an operator does; then it starts again. */
  stop(): void {
    const { machine } = this;
    const role = this.#role;
    if (!machine || !role) return;
    this.#leave();
    this.parts.world.note(`${this.name} is stopped in order`);
    role.close().then(
      () => this.#ended(machine, 'has stopped'),
      (error: Error) => this.#ended(machine, `could not be stopped in order: ${error.message}`, error),
    );
  }

  /** What an operator says to it; resolves to what is wrong, or null. */
  async command(
    name: string,
    request: { readonly force?: boolean; readonly discard?: boolean },
  ): Promise<string | null> {
    const { machine } = this;
    const run = this.#role?.commands[name];
    if (!machine || !run) return 'nobody is there';
    const { world } = this.parts;
    this.commands++;
    const said = `${name}${request.force === true || request.discard === true ? ', by force' : ''}`;
    // Of takeovers one is done at a time, and whoever asks for another one meanwhile is refused.
    const isTakeover = name === 'mirror-takeover' && !this.#isTakingOver;
    if (isTakeover) [this.#isTakingOver, this.#isForced] = [true, request.force === true];
    try {
      const { next } = await run(request);
      if (this.machine !== machine) return null;
      world.note(`${this.name}: ${said}: done`);
      if (!next) return null;
      this.#role = null;
      const role = await next();
      if (this.machine === machine) this.#role = role;
      return null;
    } catch (error) {
      const { message } = error as Error;
      if (this.machine !== machine) return message;
      if (this.#role) world.note(`${this.name}: ${said}: ${message}`);
      else this.#ended(machine, `could not change its role: ${message}`, error as Error);
      return message;
    } finally {
      if (this.machine === machine) {
        this.commands--;
        if (isTakeover) this.#isTakingOver = false;
      }
    }
  }

  /** `power`: what was not flushed is lost in part. */
  crash(power: boolean): void {
    const { machine } = this;
    if (!machine) return;
    const { world, network } = this.parts;
    world.note(`${this.name} ${power ? 'loses power' : 'is killed'}`);
    machine.end();
    this.asSource.ended(machine);
    this.machine = null;
    this.commands = 0;
    this.#isTakingOver = false;
    this.#leave();
    if (power) for (const disk of this.disks) disk.losePower();
    network.ended(machine, !power);
    this.asTarget.checkDisks('after a crash');
  }

  /** All of its storage as it is now; only when it is down. */
  snapshot(): () => void {
    const contents = [...this.disks].map((disk) => [disk, disk.snapshot()] as const);
    const small = new Map(this.#small);
    return () => {
      for (const [disk, content] of contents) disk.restore(content);
      this.#small.clear();
      for (const [path, bytes] of small) this.#small.set(path, bytes);
    };
  }

  /** What an operator does with a damaged journal of a target, when it is down: it is made anew, and the copy with it. */
  renewJournal(): void {
    this.parts.oracle.count('journals made anew');
    this.mayLack = true;
    this.asTarget.forget();
    this.journal.wipe();
  }

  /** What an operator does with a copy that nobody wants any more: from now on its settings say that it is a target. */
  makeAnew(): void {
    this.crash(false);
    this.renewJournal();
    this.#isMadeTarget = true;
    this.boot();
  }

  /** One of its volumes is not as large as it was made. */
  get isResized(): boolean {
    return this.volumes.some(({ grown }) => grown !== 0);
  }

  /** It does not start on another device: that is said with the name of the volume. */
  #refused({ message }: Error): void {
    const { oracle } = this.parts;
    if (/volume .*\d+ bytes/.test(message)) oracle.count('resized volumes refused');
    else if (!message.includes('errno') && !(this.isUnsound && message.includes('damaged')))
      oracle.violate('MI13', `${this.name} has a volume of another size, and says: ${message}`);
  }

  /** The history of what it plays: of a generation that nobody has seen begin, it begins here. */
  historyOf(generation: string, there?: JournalSuper): History | undefined {
    const { oracle } = this.parts;
    const known = oracle.of(generation);
    if (known) return known;
    const superblock = there ?? this.superblock();
    const [last] = superblock?.ancestry ?? [];
    // The group's first one: its journal was blank.
    if (superblock?.role === JOURNAL_ROLE.source && !last && oracle.isBlank) return oracle.begin(generation);
    if (!superblock || !last || toHex(superblock.generation) !== generation) return undefined;
    const parent = oracle.of(toHex(last.generation));
    return parent && oracle.branched(generation, parent, last.until, !this.#isForced);
  }

  #opened(role: MirrorSource | Target): void {
    this.#leaveRole();
    // A target may have a larger device than the volume: it uses what it was told.
    if (this.volumes.some(({ grown }) => grown < 0 || (grown > 0 && role instanceof MirrorSource))) {
      this.parts.oracle.violate('MI13', `${this.name} starts on a volume of another size`);
    }
    if (role instanceof MirrorSource) {
      this.source = role;
      this.asSource.opened(role);
    } else {
      this.target = role;
      this.asTarget.opened(role);
    }
  }

  #ended(machine: SimMachine, why: string, error?: Error): void {
    if (this.machine !== machine) return;
    const { world, oracle } = this.parts;
    world.note(`${this.name} ${why}`);
    const isDamaged = error !== undefined && /damaged|a journal that|everything is on/.test(error.message);
    if (isDamaged && !this.mayLack) oracle.violate('I16', `${this.name}: ${error.message}`);
    // In the middle of a call of its start.
    const isPowerCut = error instanceof PowerCut;
    if (error && !isPowerCut && this.isResized) this.#refused(error);
    this.crash(isPowerCut);
    if (isDamaged) this.renewJournal();
    world.after(AGAIN_MS, () => this.boot());
  }

  #leave(): void {
    this.#role = null;
    this.#leaveRole();
  }

  #leaveRole(): void {
    this.source = null;
    this.target = null;
    this.asSource.left();
  }

  get #ring(): SimSettings['sourceRing'] {
    const { sourceRing, targetRing } = this.parts.settings;
    return this.index === 0 ? sourceRing : targetRing;
  }

  #filled(volume: number): SimDisk {
    const { world, oracle } = this.parts;
    const initial = oracle.initial[volume] ?? new Uint8Array(0);
    const disk = new SimDisk(world, initial.length);
    disk.content.set(initial);
    return disk;
  }

  /** Some of it is there already, some is not, some is something else. */
  #mixed(volume: number, bytes: number): SimDisk {
    const { world, oracle } = this.parts;
    const disk = new SimDisk(world, bytes);
    const initial = oracle.initial[volume] ?? new Uint8Array(0);
    for (let at = 0; at < bytes; at += 4096) {
      const how = world.prng.below(3);
      if (how === 0) disk.content.set(initial.subarray(at, at + 4096), at);
      if (how === 1) disk.content.fill(world.prng.below(256), at, Math.min(bytes, at + 4096));
    }
    return disk;
  }

  #log(words: readonly unknown[]): void {
    const text = words.map((word) => (typeof word === 'string' ? word : JSON.stringify(word))).join(' ');
    this.parts.world.note(`${this.name}: ${text}`);
    if (words[0] === 'info') this.asTarget.said(text);
    if (/the peer speaks version \d+ of the mirror/.test(text)) this.parts.oracle.count('versions refused');
  }
}
