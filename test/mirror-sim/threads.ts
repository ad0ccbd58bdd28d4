/** The threads of a simulated machine: actors that run the production loops and sleep on their bells. */
import { EventEmitter } from 'node:events';
import { AgentError } from '../../agent/base/errors.ts';
import type { Machine, Thread, Threads } from '../../agent/mirror/machine.ts';
import { VolumeDigests } from '../../agent/mirror/scan/volume-digests.ts';
import { JOURNAL_WORD, JournalMemory } from '../../agent/mirror/store/journal-memory.ts';
import { END_WORD } from '../../agent/platform/thread-end.ts';
import { ApplyLoop, type ApplyCommand, type ImageWrite } from '../../agent/mirror/threads/apply-loop.ts';
import type { ApplyContext } from '../../agent/mirror/threads/apply-context.ts';
import { teller, type JournalContext, type VolumeContext } from '../../agent/mirror/threads/context.ts';
import { JournalLoop } from '../../agent/mirror/threads/journal-loop.ts';
import { VolumeLoop, type ImageCommand, type VolumeDevice } from '../../agent/mirror/threads/volume-loop.ts';
import { decodeEntry, ENTRY_KIND, ringBytesOf, type Entry } from '../../agent/mirror/wire/entry.ts';
import { Actor } from '../sim/world.ts';
import type { SimDisk } from './disk.ts';
import type { SimMachine } from './machine.ts';

const ESTALE = 116;

/** A bell of a journal and who sleeps on it. */
interface Sleeper {
  readonly memory: JournalMemory;
  readonly bell: 2 | 3;
  heard: number;
  readonly actor: Actor;
}

/** A journal, and where it ended. */
interface Opened {
  readonly memory: JournalMemory;
  readonly end: number;
  readonly generation: Uint8Array;
}

export class SimThreads implements Threads {
  readonly #machine: SimMachine;
  readonly #sleepers: Sleeper[] = [];
  readonly #actors: Actor[] = [];
  /** The journal that was opened last, and what a source's start has put behind its end; null when that is told. */
  #journal: Opened | null = null;
  #started: Opened | null = null;

  constructor(machine: SimMachine) {
    this.#machine = machine;
  }

  journal(context: JournalContext): Thread {
    return this.#journalThread(context);
  }

  /** A source's alone. */
  volume(context: VolumeContext): Thread {
    this.#started = this.#journal;
    return this.#volumeThread(context);
  }

  apply(context: ApplyContext): Thread {
    return this.#applyThread(context);
  }

  scanner(context: Parameters<Threads['scanner']>[0]): ReturnType<Threads['scanner']> {
    return this.#scanner(context.volumes);
  }

  end(): void {
    for (const actor of this.#actors) actor.end();
  }

  wake(): void {
    for (const actor of this.#actors) actor.wake();
  }

  /**
   * What a source has appended in its start, and of which generation; null when that was asked before, or there was no start.
   * `end`: of it, where that is known; else as far as the threads were shown.
   */
  takeStart(end?: number): { readonly generation: Uint8Array; readonly entries: readonly Entry[] } | null {
    if (!this.#started) return null;
    const { memory, end: begin, generation } = this.#started;
    this.#started = null;
    const entries: Entry[] = [];
    const until = end ?? memory.position(JOURNAL_WORD.appended, begin);
    for (let at = begin; at < until;) {
      const decoded = decodeEntry(memory.window, at % memory.windowBytes);
      if (!decoded.ok) throw new Error(`what was appended is no entry: ${decoded.fault}`);
      if (decoded.entry.kind !== ENTRY_KIND.skip) entries.push(decoded.entry);
      at += ringBytesOf(decoded.entry);
    }
    return { generation, entries };
  }

  /** Wakes those whose bells were rung. */
  ring(): void {
    for (const sleeper of this.#sleepers) {
      const rung = sleeper.memory.get(sleeper.bell);
      if (rung === sleeper.heard) continue;
      sleeper.heard = rung;
      sleeper.actor.wake();
    }
  }

  /** An actor whose rounds take as long as the calls to its disks do; it stands while one of them hangs. */
  #actor(disks: readonly SimDisk[], step: () => number): Actor {
    const { world } = this.#machine;
    const actor = new Actor(
      world,
      () => {
        const hangMs = Math.max(...disks.map((disk) => disk.hangMs));
        if (hangMs > 0) return hangMs;
        let sleepMs = Infinity;
        this.#machine.guard(() => (sleepMs = step()));
        if (!this.#machine.isAlive) return Infinity;
        return Math.max(sleepMs, ...disks.map((disk) => disk.takeCostMs()));
      },
      () => this.#machine.isFrozen,
    );
    this.#actors.push(actor);
    actor.wake();
    return actor;
  }

  #tell(emitter: EventEmitter): (word: unknown) => void {
    const { world } = this.#machine;
    return (word) => void this.#machine.after(world.within(0.01, 0.1), () => emitter.emit('message', word));
  }

  #journalThread({ shared, journalPath, generation, end }: JournalContext): Thread {
    const memory = new JournalMemory(shared);
    const emitter = new EventEmitter();
    this.#journal = { memory, end, generation };
    const loop = new JournalLoop(memory, end, generation, {
      open: () => this.#machine.open(journalPath),
      nowMs: () => this.#machine.world.nowMs,
      tell: teller(memory, this.#tell(emitter)),
      more: () => memory.ring(JOURNAL_WORD.volumeBell),
    });
    this.#sleep(memory, JOURNAL_WORD.journalBell, [journalPath], emitter, loop);
    return threadOf(emitter, () => {});
  }

  #volumeThread({ shared, journalPath, volumes, start }: VolumeContext): Thread {
    const memory = new JournalMemory(shared);
    const emitter = new EventEmitter();
    const tell = this.#tell(emitter);
    let commands: ImageCommand[] = [];
    const loop = new VolumeLoop(memory, start, {
      open: (volume) => this.#openVolume(volumes[volume]),
      openJournal: () => this.#machine.open(journalPath),
      commands: () => commands.splice(0),
      image: tell,
      nowMs: () => this.#machine.world.nowMs,
      tell: teller(memory, tell),
    });
    this.#sleep(
      memory,
      JOURNAL_WORD.volumeBell,
      volumes.map(({ path }) => path),
      emitter,
      loop,
    );
    return threadOf(emitter, (word) => (commands = [...commands, word as ImageCommand]));
  }

  /** A thread that sleeps on a bell until it is to stop. */
  #sleep(
    memory: JournalMemory,
    bell: Sleeper['bell'],
    paths: readonly string[],
    emitter: EventEmitter,
    loop: { step(): number; close(): unknown },
  ): void {
    let hasEnded = false;
    const step = (): number => {
      if (hasEnded) return Infinity;
      if (memory.get(JOURNAL_WORD.stop) === 0) return loop.step();
      hasEnded = true;
      loop.close();
      void this.#machine.after(0, () => emitter.emit('exit', 0));
      return Infinity;
    };
    const disks = paths.map((path) => this.#machine.disk(path));
    this.#sleepers.push({ memory, bell, heard: memory.get(bell), actor: this.#actor(disks, step) });
  }

  #applyThread({ ring, journalPath, volumes }: ApplyContext): Thread {
    const emitter = new EventEmitter();
    const tell = this.#tell(emitter);
    const loop = new ApplyLoop({
      ring,
      volumeCount: volumes.length,
      open: (volume) => this.#openVolume(volumes[volume]),
      openJournal: () => this.#machine.open(journalPath),
      nowMs: () => this.#machine.world.nowMs,
      tell,
    });
    const inbox: (ApplyCommand | ImageWrite | number)[] = [];
    const step = (): number => {
      for (const word of inbox.splice(0)) {
        if (typeof word === 'number') tell(word);
        else if ('image' in word) tell(loop.write(word));
        else loop.take(word);
      }
      return loop.step();
    };
    const disks = volumes.map(({ path }) => this.#machine.disk(path));
    const actor = this.#actor(disks, step);
    const post = (word: unknown): void => {
      if (word === END_WORD) return void thread.terminate();
      inbox.push(word as ApplyCommand | ImageWrite | number);
      actor.wake();
      return undefined;
    };
    const thread: Thread = threadOf(emitter, post, () => actor.end());
    return thread;
  }

  #openVolume(volume: { readonly path: string; readonly bytes: number } | undefined): VolumeDevice | number {
    if (!volume) return -ESTALE;
    return this.#machine.open(volume.path);
  }

  #scanner(
    volumes: readonly { readonly path: string; readonly bytes: number }[],
  ): ReturnType<Machine['threads']['scanner']> {
    const { world } = this.#machine;
    const made = new VolumeDigests();
    return {
      digests: async (volume, wish) =>
        new Promise((resolve, reject) => {
          const facts = volumes[volume];
          const disk = this.#machine.disk(facts?.path ?? '');
          this.#machine.after(disk.hangMs + world.within(0.1, 2), () => {
            const found = made.make(disk, volume, facts?.bytes ?? 0, wish);
            if (typeof found !== 'number') resolve(this.#machine.parts.digests(found));
            else reject(new AgentError('volume', `${facts?.path} cannot be read (errno ${-found}): check it`));
          });
        }),
      close: async () => {},
    };
  }
}

function threadOf(emitter: EventEmitter, post: (word: unknown) => void, end: () => void = () => {}): Thread {
  const thread = Object.assign(emitter, {
    postMessage: post,
    terminate: async () => {
      end();
      emitter.emit('exit', 1);
      return 1;
    },
  });
  return thread as unknown as Thread;
}
