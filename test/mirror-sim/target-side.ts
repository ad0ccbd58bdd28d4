/** A site as a target: what its volumes must be at the cut that it shows, and what it may not lose. */
import { toHex } from '../../agent/base/bytes.ts';
import { JOURNAL_ROLE, JOURNAL_STATE } from '../../agent/mirror/store/superblock.ts';
import type { Target } from '../../agent/mirror/target/target.ts';
import { ENTRY_KIND } from '../../agent/mirror/wire/entry.ts';
import type { History, Shadow } from './history.ts';
import type { Site } from './site.ts';

const READ_BYTES = 6000;

export class TargetSide {
  readonly #site: Site;
  /** What the volumes must be at the last cut that was seen, of this history. */
  #history: History | null = null;
  #shadow: Shadow | null = null;
  #cut = 0;
  /** Of the volumes that were last found to be right. */
  #version = -1;
  /** By history: some source told it to apply up to here, at most. */
  readonly #committed = new Map<History, number>();
  /** Its arrivals may be damaged on the way: then a session may end for that. */
  mayBeDamaged = false;

  constructor(site: Site) {
    this.#site = site;
  }

  committedIn(history: History): number {
    const own = this.#committed.get(history) ?? 0;
    const { parent } = history;
    return parent ? Math.max(own, Math.min(this.committedIn(parent.history), parent.mark)) : own;
  }

  /** A source said so. */
  commits(history: History, mark: number): void {
    this.#committed.set(history, Math.max(mark, this.#committed.get(history) ?? 0));
  }

  /** What its superblock says is so, whatever runs on it. */
  checkDisks(when: string): void {
    const superblock = this.#site.superblock();
    if (superblock?.role !== JOURNAL_ROLE.target || superblock.state !== JOURNAL_STATE.consistent) return;
    this.#sees(toHex(superblock.generation), superblock.cut, when, superblock.sequence % 2 === 0);
  }

  /** Its storage was put back, or it is another copy now: nothing is known of it. */
  forget(): void {
    this.#history = null;
    this.#shadow = null;
    this.#version = -1;
  }

  opened(target: Target): void {
    const { world } = this.#site.parts;
    const { durable, cut, state } = target.status();
    world.note(`${this.#site.name} is a target: ${state}, cut ${cut}, durable ${durable}`);
    this.look();
    this.#readSoon();
  }

  /** [I1] [I2] [I3] What it shows now. */
  look(): void {
    const site = this.#site;
    const { target } = site;
    if (!target || site.machine?.isAlive !== true) return;
    const { state, cut, durable, journal, generation } = target.status();
    const { oracle } = site.parts;
    const history = oracle.of(generation);
    const promised = history?.isOvertaken === false ? (history.promisedAt.get(site.name) ?? 0) : 0;
    if (durable < promised && !site.mayLack)
      oracle.violate('I3', `${site.name} has ${durable}, and ${promised} was answered as durable there`);
    if (journal.usedBytes > journal.bytes) oracle.violate('I17', `${site.name}: the ring is overfull`);
    if (state === 'taking-over') site.historyOf(generation);
    // A cut that is being brought in is not shown yet, whatever the status says.
    if (state === 'consistent') this.#sees(generation, cut, 'now', true);
  }

  /** `isWhole`: the volumes show this cut; else it is on its way. */
  #sees(generation: string, cut: number, when: string, isWhole: boolean): void {
    const site = this.#site;
    const { oracle } = site.parts;
    const history = site.historyOf(generation);
    if (!history || site.isUnsound) return;
    if (history !== this.#history) this.#turned(history, cut);
    if (cut < this.#cut) oracle.violate('I2', `${site.name} ${when}: cut ${cut} behind ${this.#cut}`);
    if (cut > history.mark)
      return oracle.violate('MI4', `${site.name} ${when}: cut ${cut}, the source has ${history.mark}`);
    const { version } = site;
    if (cut === this.#cut && this.#shadow && (!isWhole || version === this.#version)) return;
    if (cut > this.#cut) {
      const { kind } = history.entry(cut) ?? {};
      if (kind !== ENTRY_KIND.seal) oracle.violate('CY3', `${site.name} ${when}: cut ${cut} is no end of a cycle`);
      const committed = this.committedIn(history);
      if (cut > committed) oracle.violate('MI4', `${site.name}: cut ${cut}, committed was ${committed}`);
      oracle.count('cuts');
    }
    this.#cut = Math.max(cut, this.#cut);
    if (!isWhole) return;
    this.#shadow = this.#shadow ? history.roll(this.#shadow, cut) : history.at(cut);
    history.compare('I1', `${site.name} ${when}`, site.content, this.#shadow);
    this.#version = version;
  }

  /** It is a copy of another generation now; where that is one that came from the former, what it showed still counts. */
  #turned(history: History, cut: number): void {
    const { parent } = history;
    const former = this.#history?.entry(this.#cut);
    // Of a parent whose end a crash took, the child may come from the line that was before.
    const isOnLine = this.#cut === 0 || former?.chain === history.entry(this.#cut)?.chain;
    const isChild = parent !== null && parent.history === this.#history && this.#cut <= parent.mark && isOnLine;
    this.#history = history;
    if (isChild && this.#site.asSource.history === history) {
      // What it wrote itself as the source of that generation nobody told it to apply, and the end of it may be no seal: it
      // failed back, and a cut may only not lie behind the one that it showed before.
      [this.#cut, this.#version] = [Math.max(cut, this.#cut), -1];
    }
    if (isChild) return;
    this.#shadow = null;
    this.#cut = cut;
  }

  /** A reader of the receive volumes. */
  #readSoon(): void {
    const site = this.#site;
    const { world, oracle, settings } = site.parts;
    const { machine, target } = site;
    machine?.timers.after(world.within(10, 150), () => {
      if (site.target !== target || !target) return;
      const volume = world.prng.below(settings.volumeBytes.length);
      const length = Math.min(READ_BYTES, settings.volumeBytes[volume] ?? 0);
      const offset = world.prng.below((settings.volumeBytes[volume] ?? 0) - length + 1);
      const into = new Uint8Array(length);
      target.volumes[volume]?.read(offset, into, (errno) => {
        const { cut, generation } = target.status();
        const history = oracle.of(generation);
        const isKnown = history !== undefined && cut <= history.mark && !site.isUnsound;
        // Who reads from a target that has become a source gets no answer: its export was closed first.
        const isThere = machine.isAlive && site.target === target;
        if (errno === 0 && isKnown && isThere && oracle.violations.length === 0) {
          const isAtHand = history === this.#history && this.#shadow?.mark === cut;
          const shadow = isAtHand && this.#shadow ? this.#shadow : history.at(cut);
          const wanted = shadow.content[volume]?.subarray(offset, offset + length) ?? into;
          if (Buffer.compare(wanted, into) !== 0) oracle.violate('I1', `${site.name}: a reader sees no A(${cut})`);
          oracle.count('target reads');
        }
        this.#readSoon();
      });
    });
  }

  /** A line of its log. */
  said(line: string): void {
    const { mayMiss, mayLack, name, parts } = this.#site;
    if (/blocks of cut .* asked for/.test(line) && !mayMiss && !mayLack)
      parts.oracle.violate('I11', `${name}: ${line}`);
    if (line.endsWith('are given up')) this.#givesUp();
    const isTrip = /does not follow|damaged|impossible|no entry|longer than its frame|another generation/.test(line);
    if (isTrip && !this.mayBeDamaged && !mayLack) parts.oracle.violate('I9', `${name}: ${line}`);
  }

  /** [I3] What was answered as durable there goes only where its source has gone on without it. */
  #givesUp(): void {
    const { name, parts } = this.#site;
    parts.oracle.count('tails given up');
    parts.oracle.forgetPromises(name);
  }
}
