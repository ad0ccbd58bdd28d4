/** A client of the source's exports: one request after the other, and what an answer means is told to the oracle. */
import type { MirrorSource } from '../../agent/mirror/source/source.ts';
import type { History } from './history.ts';
import type { Site } from './site.ts';

type Done = (errno: number) => void;

const SECTOR = 512;
let stamp = new Uint8Array(16);

export class Client {
  readonly #site: Site;
  readonly #history: History;
  readonly #source: MirrorSource;
  readonly #waitedFor: () => readonly string[];
  /** The mark that each answer waits for. */
  readonly #marks = new Map<Done, number>();

  constructor(site: Site, history: History, source: MirrorSource, waitedFor: () => readonly string[]) {
    this.#site = site;
    this.#history = history;
    this.#source = source;
    this.#waitedFor = waitedFor;
  }

  waits(done: Done, mark: number): void {
    if (this.#marks.has(done)) this.#marks.set(done, mark);
  }

  /** Waits for no answer. */
  isIdle = true;

  begin(): void {
    this.isIdle = true;
    const { world, settings } = this.#site.parts;
    const { machine, source } = this.#site;
    if (source !== this.#source) return;
    const { pace } = this.#site.asSource;
    const thinkMs = settings.thinkMs * (pace === Infinity ? 1 : pace);
    const ms = world.fraction() < 0.3 / pace ? 0.01 : 2 * thinkMs * world.fraction();
    machine?.timers.after(ms, () => {
      if (this.#site.asSource.pace === Infinity) this.begin();
      else if (this.#site.source === this.#source) this.#next();
    });
  }

  #next(): void {
    this.isIdle = false;
    const { world, settings } = this.#site.parts;
    const { prng } = world;
    const what = prng.below(100);
    const volume = prng.below(settings.volumeBytes.length);
    if (prng.below(100) < settings.flushPercent) this.#flush();
    else if (what < 70) this.#write(volume);
    else if (what < 80) this.#zero(volume, prng.chance(1, 2));
    else this.#read(volume);
  }

  /** Some place; hot ones are few. */
  #range(volume: number, most: number): { offset: number; length: number } {
    const { world, settings } = this.#site.parts;
    const { prng } = world;
    const bytes = settings.volumeBytes[volume] ?? 0;
    const isHot = prng.below(100) < settings.hotPercent;
    const length = Math.min(bytes, prng.pick([SECTOR, 4096, 1 + prng.below(most), 1 + prng.below(most)]));
    const span = isHot ? Math.min(bytes - length, 8192) : bytes - length;
    const unit = prng.pick([1, 1, SECTOR, 4096]);
    const offset = Math.floor(prng.below(span + 1) / unit) * unit;
    return { offset, length };
  }

  /** Also larger than an entry may be, now and then: it goes in several. */
  #write(volume: number): void {
    const { world, settings } = this.#site.parts;
    const { prng } = world;
    const most = prng.below(40) === 0 ? 40_000 : settings.payloadMax;
    const { offset, length } = this.#range(volume, most);
    const bytes = Buffer.alloc(length, pattern(prng.u32(), prng.u32()));
    const cut = prng.below(length + 1);
    const chunks = [bytes.subarray(0, cut), bytes.subarray(cut)].filter((chunk) => chunk.length > 0);
    const fua = prng.below(10) === 0;
    this.#ask(fua, (done) => this.#source.monitor.volumes[volume]?.write(offset, length, chunks, fua, done));
  }

  #zero(volume: number, isTrim: boolean): void {
    const { offset, length } = this.#range(volume, 20_000);
    const fua = this.#site.parts.world.prng.below(10) === 0;
    const how = { fua, mayPunch: isTrim, onlyIfFast: false };
    this.#ask(fua, (done) => this.#source.monitor.volumes[volume]?.zero(offset, length, how, done));
  }

  /** A change: its answer is a promise, by the policy. */
  #ask(fua: boolean, submit: (done: Done) => void): void {
    const { oracle, settings } = this.#site.parts;
    const history = this.#history;
    const done: Done = (errno) => {
      const mark = this.#marks.get(done) ?? 0;
      this.#marks.delete(done);
      if (errno === 0) {
        if (mark === 0) oracle.violate('I16', 'a write was answered that was never admitted');
        oracle.count('answers');
        history.answered = Math.max(history.answered, mark);
        if (settings.acknowledge !== 'receipt' || fua) history.promised = Math.max(history.promised, mark);
        if (settings.acknowledge === 'sync') history.durableAt(this.#waitedFor(), mark);
      } else oracle.count('errors');
      this.begin();
    };
    this.#marks.set(done, 0);
    submit(done);
  }

  #flush(): void {
    const history = this.#history;
    const covers = history.answered;
    this.#source.monitor.flush((errno) => {
      if (errno === 0) history.promised = Math.max(history.promised, covers);
      this.begin();
    });
  }

  /** [I22] What it reads is what was admitted when it asked, but for what was admitted since. */
  #read(volume: number): void {
    const { oracle } = this.#site.parts;
    const history = this.#history;
    const { offset, length } = this.#range(volume, 9000);
    const into = new Uint8Array(length);
    const before = history.mark;
    const wanted = history.newest.content[volume]?.slice(offset, offset + length) ?? new Uint8Array(0);
    const { machine } = this.#site;
    this.#source.monitor.volumes[volume]?.read(offset, into, (errno) => {
      if (errno === 0 && machine?.isAlive && !this.#site.isUnsound) {
        for (let mark = before + 1; mark <= history.mark; mark++) {
          const entry = history.entry(mark);
          if (entry?.volume !== volume) continue;
          const from = Math.max(0, entry.offset - offset);
          const to = Math.min(length, entry.offset + entry.length - offset);
          if (to > from) wanted.set(into.subarray(from, to), from);
        }
        const isSame = Buffer.compare(wanted, into) === 0;
        if (!isSame) oracle.violate('I22', `a read of ${length} at ${offset} of volume ${volume} shows what is old`);
        oracle.count('reads');
      }
      this.begin();
    });
  }
}

function pattern(a: number, b: number): Uint8Array {
  stamp = stamp.slice();
  const view = new DataView(stamp.buffer);
  view.setUint32(0, a);
  view.setUint32(4, b);
  view.setUint32(8, a ^ 0x5555_5555);
  view.setUint32(12, b ^ 0x3333_3333);
  return stamp;
}
