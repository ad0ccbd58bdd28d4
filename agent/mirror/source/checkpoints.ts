/**
 * When a source's group makes a cut, and how each target is brought to it ([MI7], [MI8]). With checkpoints a receive volume shows
 * cuts alone. One rule: a target that shows the cut before, in this session, gets the list of blocks that changed since;
 * every other one is told to redo its entries up to the cut, and so is everybody when the list is not known (a
 * restart, more blocks than the map holds, a send volume that does not answer).
 */
import { dataView } from '../../base/bytes.ts';
import { BLOCK, BlockMap, type BlockKind, type ChangedBlock } from '../core/block-map.ts';
import { CUT_DIGEST_BYTES } from '../threads/cut-image.ts';
import type { Image } from '../threads/volume-loop.ts';
import { CHECKPOINT_HOW, type CheckpointHow, type WantedBlock } from '../wire/checkpoint.ts';
import { ENTRY_KIND, type EntryKind } from '../wire/entry.ts';
import { BLOCK_BYTES } from '../wire/layout.ts';
import type { CheckpointOptions } from '../../settings/mirror.ts';
import type { Range } from './group.ts';
import type { SourceJournal } from './journal.ts';
import type { TargetSession } from './target-session.ts';

/** A block of a cut: by what it comes, and what it must be. */
export interface CutBlock extends ChangedBlock {
  readonly how: CheckpointHow;
  readonly crc: number;
  readonly hash: bigint;
  /** Of `data`. */
  readonly bytes: Uint8Array | null;
}

export interface CheckpointTotals {
  readonly cuts: number;
  readonly references: number;
  readonly zeroes: number;
  readonly data: number;
  /** Blocks that had to be sent again as data. */
  readonly wanted: number;
}

interface Cut {
  readonly mark: number;
  readonly cycle: number;
  /** The cut before it. */
  readonly base: number;
  state: 'reading' | 'ready' | 'unknown';
  blocks: readonly CutBlock[];
}

/** What a target was told to show in its session. */
interface Told {
  readonly session: number;
  mark: number;
  /** Of a list that is under way, or whose rest comes with the next one: what it begins at. */
  base: number;
  blocks: readonly CutBlock[];
  isWanted: boolean;
}

/** 256 MiB of blocks a cut, 64 MiB of them as data: beyond that redo is no more work. */
const LIMITS = { blocks: 65_536, partial: 16_384 };
const CUTS_KEPT = 256;
const HOW: Readonly<Record<BlockKind, CheckpointHow>> = {
  [BLOCK.reference]: CHECKPOINT_HOW.reference,
  [BLOCK.zero]: CHECKPOINT_HOW.zeroes,
  [BLOCK.partial]: CHECKPOINT_HOW.data,
};

export class Checkpoints {
  readonly #journal: SourceJournal;
  readonly #options: CheckpointOptions;
  readonly #changed: () => void;
  /** What changed behind the newest cut; nothing is known of what was before the first. */
  #map = new BlockMap(LIMITS);
  #cuts: Cut[] = [];
  #cyclesClosed = 0;
  #cutMs = 0;
  #isAsked = false;
  /** A target waits for blocks that its list could not bring. */
  #isWanted = false;
  readonly #told = new Map<TargetSession, Told>();
  readonly #totals = new Map<TargetSession, CheckpointTotals>();

  /** `changed`: a target may be brought further. */
  constructor(journal: SourceJournal, options: CheckpointOptions, changed: () => void) {
    this.#journal = journal;
    this.#options = options;
    this.#changed = changed;
  }

  /** An entry was appended. */
  entry(kind: EntryKind, { volume, offset, length }: Range, mark: number): void {
    if (kind === ENTRY_KIND.write) this.#map.write(volume, offset, length, mark);
    else this.#map.zero(volume, offset, length);
  }

  cycleClosed(): void {
    this.#cyclesClosed++;
  }

  /** A client's flush is to be at the targets. */
  flushed(): void {
    if (this.#options.onFlush) this.#isAsked = true;
  }

  /** Whether a cut is to be made; `admitted`: the newest mark. */
  isDue(nowMs: number, admitted: number, sessions: readonly TargetSession[]): boolean {
    const { everyCycles, ms } = this.#options;
    const newest = this.#cuts.at(-1)?.mark ?? 0;
    if ((admitted <= newest && !this.#isWanted) || this.isUnderWay(sessions)) return false;
    const isOld = ms > 0 && nowMs - this.#cutMs >= ms;
    const isMany = everyCycles > 0 && this.#cyclesClosed >= everyCycles;
    return (
      this.#isAsked ||
      this.#isWanted ||
      isOld ||
      isMany ||
      sessions.some(({ link, cuts }) => link.isWaitedFor && cuts.isHalfFull)
    );
  }

  /** Somebody who is in sync does not show the newest cut yet: there is one at a time. */
  isUnderWay(sessions: readonly TargetSession[]): boolean {
    const newest = this.#cuts.at(-1)?.mark ?? 0;
    return sessions.some((session) => {
      const told = this.#told.get(session);
      const waitsForNext = told?.isWanted === true && told.mark === newest;
      return session.link.isWaitedFor && session.link.applied < newest && !waitsForNext;
    });
  }

  /** In the turn in which the seal of this mark was appended: what comes later is no part of the cut. */
  cut(mark: number, cycle: number, nowMs: number): void {
    const base = this.#cuts.at(-1)?.mark ?? -1;
    const map = this.#map;
    this.#map = new BlockMap(LIMITS);
    this.#cyclesClosed = 0;
    this.#cutMs = nowMs;
    this.#isAsked = false;
    this.#isWanted = false;
    const changed = base < 0 || map.isOver ? null : this.#asWanted(map.list());
    const cut: Cut = { mark, cycle, base, state: changed ? 'reading' : 'unknown', blocks: [] };
    // Of the older ones the marks are needed, for whoever is behind.
    for (const old of this.#cuts) old.blocks = [];
    this.#cuts = [...this.#cuts.slice(1 - CUTS_KEPT), cut];
    if (changed) this.#read(cut, changed);
  }

  /** Brings a target towards the newest cut that is committed there; `committed`: its newest cycle and the last mark of that. */
  bring(session: TargetSession, committed: { readonly cycle: number; readonly mark: number }): void {
    const cut = this.#cuts.findLast(({ cycle }) => cycle <= committed.cycle);
    const told = this.#toldTo(session);
    if (!cut || told.mark >= cut.mark) {
      // The next cut would never get there.
      if (session.behindBytes > session.roomBytes && committed.mark > told.mark)
        this.#redo(session, told, committed.mark);
      return;
    }
    const isShown = told.isWanted || session.link.applied >= told.mark;
    const isNext = isShown && told.mark === cut.base && session.cuts.from <= told.base && cut === this.#cuts.at(-1);
    if (isNext && cut.state === 'reading') {
      if (!this.#journal.isAway) return;
      cut.state = 'unknown';
    }
    if (!isNext || cut.state === 'unknown') {
      this.#redo(session, told, cut.mark);
      return;
    }
    const blocks = told.isWanted ? merged(told.blocks, cut.blocks) : cut.blocks;
    const base = told.isWanted ? told.base : cut.base;
    session.cuts.list(cut.mark, base, blocks);
    session.appended();
    this.#count(session, blocks);
    Object.assign(told, { mark: cut.mark, base, blocks, isWanted: false });
  }

  /**
   * By redo, cut or not, as far as is committed: the next cut could not come to a ring that is full of what lies before. Noted,
   * for a list would refer to entries that it has let go.
   */
  catchUp(session: TargetSession, mark: number): void {
    this.#redo(session, this.#toldTo(session), mark);
  }

  #redo(session: TargetSession, told: Told, mark: number): void {
    session.roll(mark);
    Object.assign(told, { mark, base: mark, blocks: [], isWanted: false });
  }

  /** It shows this cut. */
  applied(session: TargetSession, mark: number): void {
    const told = this.#told.get(session);
    if (told?.session === session.link.session && told.mark === mark) Object.assign(told, { base: mark, blocks: [] });
  }

  /** It could not bring these blocks of the cut: the next one has them as data, and comes at once. */
  wanted(session: TargetSession, mark: number, blocks: readonly WantedBlock[]): void {
    const told = this.#told.get(session);
    if (told?.session !== session.link.session || told.mark !== mark) return;
    told.isWanted = true;
    this.#isWanted = true;
    for (const { volume, block } of blocks) this.#map.data(volume, block);
    const totals = this.totals(session);
    this.#totals.set(session, { ...totals, wanted: totals.wanted + blocks.length });
  }

  totals(session: TargetSession): CheckpointTotals {
    return this.#totals.get(session) ?? { cuts: 0, references: 0, zeroes: 0, data: 0, wanted: 0 };
  }

  #toldTo(session: TargetSession): Told {
    const known = this.#told.get(session);
    if (known?.session === session.link.session) return known;
    const told = { session: session.link.session, mark: 0, base: 0, blocks: [], isWanted: false };
    this.#told.set(session, told);
    return told;
  }

  /** Null where that would be too much. */
  #asWanted(changed: ChangedBlock[]): ChangedBlock[] | null {
    if (this.#options.by === 'references') return changed;
    if (changed.length > LIMITS.partial) return null;
    return changed.map((block) => ({ ...block, kind: BLOCK.partial }));
  }

  #read(cut: Cut, changed: readonly ChangedBlock[]): void {
    const volumeBytes = this.#journal.superblock.volumes.map(({ bytes }) => bytes);
    const volumes = Uint16Array.from(changed, ({ volume }) => volume);
    const blocks = Float64Array.from(changed, ({ block }) => block);
    const isData = Uint8Array.from(changed, ({ kind }) => (kind === BLOCK.partial ? 1 : 0));
    this.#journal.cut({ volumes, blocks, isData, volumeBytes }, (image) => {
      if (cut.state !== 'reading') return;
      cut.state = image.errno === 0 ? 'ready' : 'unknown';
      if (image.errno === 0) cut.blocks = blocksOf(changed, image);
      this.#changed();
    });
  }

  #count(session: TargetSession, blocks: readonly CutBlock[]): void {
    const { cuts, references, zeroes, data, wanted } = this.totals(session);
    const of = (how: CheckpointHow): number => blocks.filter((block) => block.how === how).length;
    this.#totals.set(session, {
      cuts: cuts + 1,
      references: references + of(CHECKPOINT_HOW.reference),
      zeroes: zeroes + of(CHECKPOINT_HOW.zeroes),
      data: data + of(CHECKPOINT_HOW.data),
      wanted,
    });
  }
}

function blocksOf(changed: readonly ChangedBlock[], { bytes }: Image): CutBlock[] {
  const view = dataView(bytes);
  let dataAt = changed.length * CUT_DIGEST_BYTES;
  return changed.map((block, i) => {
    const isData = block.kind === BLOCK.partial;
    const data = isData ? bytes.subarray(dataAt, dataAt + BLOCK_BYTES) : null;
    if (isData) dataAt += BLOCK_BYTES;
    const crc = view.getUint32(i * CUT_DIGEST_BYTES, true);
    const hash = view.getBigUint64(i * CUT_DIGEST_BYTES + 4, true);
    return { ...block, how: HOW[block.kind], crc, hash, bytes: data };
  });
}

/** Both lists, of which the newer counts where both have a block; by volume and block, ascending. */
function merged(older: readonly CutBlock[], newer: readonly CutBlock[]): CutBlock[] {
  const keyOf = ({ volume, block }: CutBlock): string => `${volume}/${block}`;
  const all = new Map([...older, ...newer].map((block) => [keyOf(block), block]));
  return [...all.values()].sort((a, b) => a.volume - b.volume || a.block - b.block);
}
