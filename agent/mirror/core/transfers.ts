/**
 * Which transfer of a session brought which entry, on both sides (RF1, RF4). The source knows it by mark, for it sends marks in
 * their order; the target by transfer and place, in whatever order they came. Gone with the session: references never
 * survive what a target may have dropped ([MI5]).
 */
export interface TransferPlace {
  readonly transfer: number;
  /** In entries. */
  readonly index: number;
}

interface Sent {
  readonly transfer: number;
  readonly first: number;
  readonly count: number;
}

/** The source's side. */
export class SentTransfers {
  /** By mark, ascending. */
  #sent: Sent[] = [];

  /** A transfer of `count` entries, of which the last has this mark. */
  add(transfer: number, last: number, count: number): void {
    this.#sent.push({ transfer, first: last - count + 1, count });
  }

  /** Null for a mark that was not sent in this session. */
  placeOf(mark: number): TransferPlace | null {
    let [low, high] = [0, this.#sent.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#sent[middle]?.first ?? Infinity) <= mark) low = middle + 1;
      else high = middle;
    }
    const sent = this.#sent[low - 1];
    if (!sent || mark >= sent.first + sent.count) return null;
    return { transfer: sent.transfer, index: mark - sent.first };
  }

  /** What lies behind this mark is sent once more, in other transfers. */
  dropBeyond(mark: number): void {
    this.#sent = this.#sent.filter(({ first, count }) => first + count - 1 <= mark);
  }

  /** Up to this mark nobody refers to anything any more. */
  forget(mark: number): void {
    const kept = this.#sent.findIndex(({ first, count }) => first + count - 1 > mark);
    this.#sent = kept < 0 ? [] : this.#sent.slice(kept);
  }
}

/** The target's side. */
export class ArrivedTransfers {
  readonly #marks = new Map<number, number[]>();

  /** The next entry of a transfer. */
  add(transfer: number, mark: number): void {
    const marks = this.#marks.get(transfer);
    if (marks) marks.push(mark);
    else this.#marks.set(transfer, [mark]);
  }

  /** Null for what never came in this session, or is forgotten. */
  markAt({ transfer, index }: TransferPlace): number | null {
    return this.#marks.get(transfer)?.[index] ?? null;
  }

  /** Transfers whose entries all lie up to `mark` are on the receive volumes. */
  forget(mark: number): void {
    for (const [transfer, marks] of this.#marks) if (marks.every((one) => one <= mark)) this.#marks.delete(transfer);
  }
}
