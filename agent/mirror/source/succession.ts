/**
 * A source and those that come after it: it is overtaken by a generation that was begun without it, gives up its role in
 * order, or finds that it is one of two (MI13). What it decides is durable before anybody is told.
 */
import { AgentError } from '../../base/errors.ts';
import type { Lineage } from '../core/generation.ts';
import type { Point, Rival } from '../core/meeting.ts';
import { ancestryShown, generationBytes, generationText } from '../link/greeting.ts';
import { sleep, type Machine } from '../machine.ts';
import { JOURNAL_STATE } from '../store/superblock.ts';
import { GENERATION_BYTES } from '../wire/layout.ts';
import { beyond, type Beyond } from './beyond.ts';
import type { Monitor } from './monitor.ts';

export type Standing = 'source' | 'split-brain' | 'overtaken' | 'released';

/** For an operator: marks count writes and ends of cycles. */
export interface StandingStatus {
  readonly standing: Standing;
  /** Of the other side, as hexadecimal text. */
  readonly rival?: string;
  /** The last mark that both have; what lies beyond is here alone. */
  readonly until?: number;
  readonly beyond?: number;
  readonly reason?: string;
}

export class Succession {
  readonly #monitor: Monitor;
  readonly #log: (line: string) => void;
  readonly #machine: Machine;
  #split: { readonly rival: Rival; readonly reason: string } | null = null;

  #isHandingOver = false;

  constructor(monitor: Monitor, log: (line: string) => void, machine: Machine) {
    this.#monitor = monitor;
    this.#machine = machine;
    this.#log = log;
    const { down } = monitor.journal;
    if (!down) return;
    monitor.refuse();
    monitor.group.freeze();
    if (down.state === JOURNAL_STATE.overtaken) monitor.group.fail('overtaken');
    log(this.#reason());
  }

  get lineage(): Lineage & { readonly end: Point } {
    const { superblock, end } = this.#monitor.journal;
    return {
      generation: generationText(superblock.generation),
      ancestry: ancestryShown(superblock.ancestry),
      end: { mark: end.mark, chain: end.chain },
    };
  }

  get standing(): Standing {
    const { down } = this.#monitor.journal;
    if (!down) return this.#split ? 'split-brain' : 'source';
    return down.state === JOURNAL_STATE.overtaken ? 'overtaken' : 'released';
  }

  status(): StandingStatus {
    const { standing } = this;
    const rival = this.#rival();
    if (!rival) return { standing };
    const until = rival.until.mark;
    const last = Math.max(until, this.#monitor.group.marks.admitted);
    return { standing, rival: rival.generation, until, beyond: last - until, reason: this.#reason() };
  }

  /** Another source of the group was met, or spoken of. */
  met(rival: Rival, reason: string): void {
    if (rival.kin === 'split') {
      if (this.#split?.reason !== reason) this.#log(reason);
      this.#split = { rival, reason };
      return;
    }
    if (this.standing === 'overtaken') return;
    this.#monitor.refuse();
    this.#monitor.group.fail('overtaken');
    this.#log(reason);
    const { mark, chain } = rival.until;
    const successor = generationBytes(rival.generation);
    void this.#monitor.journal
      .keep({ down: { state: JOURNAL_STATE.overtaken, successor, cut: mark, cutChain: chain } })
      .catch((error: Error) => this.#log(`that it is overtaken could not be kept: ${error.message}`));
  }

  /** A target follows. When all do, none is left that could be the other side: to give up this one would give up everything. */
  followed(): void {
    if (!this.#split || !this.#monitor.group.sessions.every(({ link }) => link.isLinked)) return;
    this.#split = null;
    this.#log('split brain is over: every target follows this side');
  }

  /**
   * Gives up the role in order: takes no more writes, waits until every target shows all of it, and says so to each. Rejects,
   * and takes writes again, when a target does not get there in time.
   */
  async handOver(boundMs: number): Promise<{ readonly mark: number }> {
    const monitor = this.#monitor;
    const { group, journal } = monitor;
    if (this.standing !== 'source') throw new AgentError('failed', `it is ${this.standing}: ${this.#reason()}`);
    // The one that gives up takes writes again, which the other one would not count.
    if (this.#isHandingOver)
      throw new AgentError('failed', 'a handover is under way here: see stillbeat mirror status');
    const sessions = group.sessions;
    const away = sessions.filter(({ link }) => link.state !== 'in-sync').map(({ link }) => link.name);
    if (sessions.length === 0) throw new AgentError('failed', 'there is no target to hand over to');
    if (away.length > 0) {
      throw new AgentError('failed', `not in sync: ${away.join(', ')}; wait, or take it out of the settings`);
    }
    this.#isHandingOver = true;
    monitor.refuse();
    const endMs = this.#machine.clock.monotonicMs() + boundMs;
    const until = async (isDone: () => boolean): Promise<void> => {
      while (!isDone()) {
        if (this.#machine.clock.monotonicMs() > endMs)
          throw new AgentError('failed', 'a target did not get there in time');
        await sleep(this.#machine, 10);
      }
    };
    try {
      await until(() => monitor.isQuiet);
      const { mark } = await group.cut();
      group.freeze();
      await until(() => sessions.every(({ link }) => link.state === 'in-sync' && link.applied >= mark));
      const successor = new Uint8Array(GENERATION_BYTES);
      const down = { state: JOURNAL_STATE.released, successor, cut: mark, cutChain: journal.end.chain };
      await journal.keep({ down });
      const before = sessions.map(({ link }) => link.session);
      // Each hears it in the next greeting, and at any later one.
      for (const session of sessions) session.redial('the source has given up its role');
      await until(() => sessions.every(({ link }, i) => link.session > (before[i] ?? 0) && link.state === 'in-sync'));
      return { mark };
    } catch (error) {
      if (!journal.down) {
        monitor.serve();
        group.thaw();
      }
      throw error;
    } finally {
      this.#isHandingOver = false;
    }
  }

  /** What of a failback or a new generation would be lost, read from the ring. Null: it is not known. */
  beyond(): Beyond | null {
    const rival = this.#rival();
    if (!rival) return null;
    const device = this.#machine.files.open(this.#monitor.journal.path);
    return typeof device === 'number' ? null : beyond(device, rival.until);
  }

  #rival(): Rival | null {
    const { down } = this.#monitor.journal;
    if (!down) return this.#split?.rival ?? null;
    const until = { mark: down.cut, chain: down.cutChain };
    return { kin: 'overtaken', generation: generationText(down.successor), until };
  }

  #reason(): string {
    const { down, end } = this.#monitor.journal;
    if (!down) return this.#split?.reason ?? '';
    if (down.state === JOURNAL_STATE.released) {
      return `the role was given up at mark ${down.cut}; no writes are served here: say stillbeat mirror failback to become a target`;
    }
    const by = generationText(down.successor).slice(0, 8);
    const alone = end.mark > down.cut ? `marks ${down.cut + 1} to ${end.mark} are here alone` : 'nothing is here alone';
    return `generation ${by} was begun without us behind mark ${down.cut}, and ${alone}; no writes are served here: say stillbeat mirror failback`;
  }
}
