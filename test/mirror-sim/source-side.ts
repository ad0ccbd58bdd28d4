/** A site as a source: its clients, and what each entry and answer means to the oracle. */
import { toHex } from '../../agent/base/bytes.ts';
import type { MirrorSource } from '../../agent/mirror/source/source.ts';
import { decodeEntry, ENTRY_KIND, type Entry, type EntryKind } from '../../agent/mirror/wire/entry.ts';
import { Client } from './client.ts';
import type { History } from './history.ts';
import type { SimMachine } from './machine.ts';
import type { Site } from './site.ts';

export class SourceSide {
  readonly #site: Site;
  clients: Client[] = [];
  /** How much longer than else clients think; Infinity: they send nothing. */
  pace = 1;
  /** The oldest mark that its ring had when it started: what was let go before, a bitmap had that may be lost by now. */
  oldestAtStart = 0;
  /** Of its generation; null before it has run. */
  history: History | null = null;

  constructor(site: Site) {
    this.#site = site;
  }

  opened(source: MirrorSource): void {
    const site = this.#site;
    const { world, settings } = site.parts;
    const { journal, group } = source.monitor;
    const { superblock } = journal;
    const history = site.historyOf(toHex(superblock.generation), superblock);
    if (!history) throw new Error('a generation that came from nowhere');
    this.history = history;
    this.oldestAtStart = journal.oldest.mark;
    const sealed = site.machine?.threads.takeStart(journal.end.position)?.entries ?? [];
    began(history, sealed, journal.end.mark);
    world.note(`${site.name} is a source, behind mark ${journal.end.mark}: ${source.succession.standing}`);
    this.#watch(source, history);
    site.sourceOpened(source);
    const isWaitedFor = (): string[] =>
      group.sessions.filter(({ link }) => link.isWaitedFor).map(({ link }) => link.name);
    this.clients = Array.from({ length: settings.clients }, () => new Client(site, history, source, isWaitedFor));
    for (const client of this.clients) client.begin();
  }

  left(): void {
    this.clients = [];
  }

  /** Its machine ends, maybe in the middle of a start: the next one may find what this one has sealed. */
  ended({ threads }: SimMachine): void {
    const start = threads.takeStart();
    if (!start?.entries[0]) return;
    const history = this.#site.historyOf(toHex(start.generation));
    if (!history) throw new Error('a generation that came from nowhere');
    began(history, start.entries);
    this.#site.parts.oracle.count('starts that sealed, and ended');
  }

  /** Every entry is told to the oracle, and which mark each client waits for. */
  #watch({ monitor }: MirrorSource, history: History): void {
    const { journal, group } = monitor;
    const append = journal.append.bind(journal);
    journal.append = (kind: EntryKind, volume, offset, length, chunks, flags) => {
      const put = append(kind, volume, offset, length, chunks, flags);
      if (!put) return null;
      const decoded = decodeEntry(journal.windowFrom(put.position) ?? new Uint8Array(0), 0);
      if (!decoded.ok) throw new Error(`what was appended is no entry: ${decoded.fault}`);
      const { mark, time, cycle, chain } = decoded.entry;
      const bytes = kind === ENTRY_KIND.write ? Uint8Array.from(Buffer.concat(chunks ?? [])) : null;
      history.admitted({ mark, kind, cycle, time, chain, volume, offset, length, bytes });
      return put;
    };
    const admitted = group.admitted.bind(group);
    group.admitted = (put, bytes, isFlush, done) => {
      for (const client of this.clients) client.waits(done, put.mark);
      admitted(put, bytes, isFlush, done);
    };
  }
}

/** A start found the journal to end at `end`, or before `sealed`: ends of cycles, which need no client, may come before it is over. */
function began(history: History, sealed: readonly Entry[], end = 0): void {
  history.restarted(sealed[0] ? sealed[0].mark - 1 : end);
  for (const entry of sealed) history.admitted({ ...entry, bytes: null });
}
