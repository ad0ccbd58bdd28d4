/**
 * Operators of a simulated group: they take over, hand over and fail back at bad moments, and in the end they leave one source,
 * of which all others are targets.
 */
import type { Simulation } from './simulation.ts';
import type { Site } from './site.ts';

/** Some command at some site, with or without force. */
export function actSomewhere(sim: Simulation, site: Site): void {
  const { prng } = sim.world;
  const isForced = prng.chance(1, 4);
  const command = prng.pick(['mirror-handover', 'mirror-takeover', 'mirror-failback']);
  if (site.target) void site.command('mirror-takeover', { force: isForced && isCopy(site) });
  else void site.command(command, { force: isForced, discard: prng.chance(1, 2) });
}

/** By force anything can be made a source, also what was never whole; nobody does that. */
export const isCopy = ({ target }: Site): boolean => target !== null && target.status().state !== 'initialising';

const LOOK_MS = 700;

/** From now on there is one side that goes on, and every other one is to follow it. */
export class Reconciliation {
  readonly #sim: Simulation;
  #winner: Site | null = null;
  #isOver = false;

  constructor(sim: Simulation) {
    this.#sim = sim;
    this.#look();
  }

  /** The only source. */
  get winner(): Site | null {
    return this.#winner;
  }

  end(): void {
    this.#isOver = true;
  }

  #look(): void {
    if (this.#isOver) return;
    this.#sim.world.after(LOOK_MS, () => this.#look());
    const { sites } = this.#sim;
    // What was said to one side may change what is to be said to the other: two that give up at once leave nobody.
    if (sites.some(({ commands }) => commands > 0)) return;
    const standingOf = ({ source }: Site): string | null => source?.succession.standing ?? null;
    const serving = sites.filter((site) => standingOf(site) === 'source' || standingOf(site) === 'split-brain');
    // The newest generation has overtaken whatever it meets.
    const winner = serving.toSorted((a, b) => generationOf(b) - generationOf(a))[0] ?? null;
    this.#winner = winner;
    if (!winner) {
      // Somebody who is down will be up again.
      if (!this.#sim.settings.hasOperators) return;
      if (sites.some(({ machine, source, target }) => machine && !source && !target)) return;
      const heir = sites.find(isCopy) ?? sites.find(({ source }) => source);
      // His word is good: without force.
      const isReleased = sites.some((site) => standingOf(site) === 'released');
      if (heir) void heir.command('mirror-takeover', { force: !isReleased || this.#sim.world.prng.chance(1, 4) });
      return;
    }
    this.#giveRoom(winner);
    if (serving.length === 1) this.#makeAnew(winner);
    for (const site of sites) {
      const standing = standingOf(site);
      const isPast = standing !== null && standing !== 'source' && site !== winner;
      if (isPast) void site.command('mirror-failback', { discard: true });
    }
  }

  /** [MI12] What does not fit into a target's journal is refused until an operator says that its copy may be written in place. */
  #giveRoom({ source }: Site): void {
    if (!isScarce(this.#sim)) return;
    for (const session of source?.monitor.group.sessions ?? []) {
      const isAsked = session.problem?.includes('say mirror resync --in-place') === true;
      if (!isAsked || session.order.compare === 'in place') continue;
      this.#sim.oracle.count('resyncs in place');
      session.compareAll(true);
    }
  }

  /** [MI13] A copy of writes that were given up with their source is refused until an operator takes its journal away. */
  #makeAnew({ source, asSource }: Site): void {
    const { oracle } = this.#sim;
    for (const { problem, link } of source?.monitor.group.sessions ?? []) {
      const site = this.#sim.site(link.name);
      if (problem?.includes('which is no ancestor of') !== true || !isCopy(site)) continue;
      const theirs = oracle.of(site.target?.status().generation ?? '');
      if (asSource.history && theirs && asSource.history.comesFrom(theirs)) {
        oracle.violate('MI13', `${site.name} is a copy of what its source comes from, and is refused: ${problem}`);
      }
      site.makeAnew();
    }
  }
}

/**
 * Whether a journal can be too small for all that a copy lacks: an image of each volume in each of the first two passes, a skip before
 * one that would cross a boundary of the window, and what is written from the third pass on, when hosts are slowed down.
 */
const isScarce = ({ settings: { volumeBytes, targetRing } }: Simulation): boolean =>
  3 * volumeBytes.reduce((sum, bytes) => sum + bytes, 0) + Math.max(...volumeBytes) > targetRing.ringBytes;

/** How late it was begun. */
const generationOf = ({ asSource: { history }, parts: { oracle } }: Site): number =>
  history ? oracle.ageOf(history) : -1;
