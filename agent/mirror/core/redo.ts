/**
 * The order in which a target brings arrivals onto its receive volumes without the source: by mark, and an image (a block
 * read at the source after that mark) behind the entry of its mark (MI8, MI12). What an image already holds and what came
 * before it is overwritten by it, so nobody has to know which.
 */
export interface Redone {
  readonly mark: number;
  readonly isImage: boolean;
  /** Where it lies in the arrival journal. */
  readonly position: number;
}

/** Those up to and with `cut`, in that order. */
export function redoOrder<Item extends Redone>(arrivals: readonly Item[], cut: number): Item[] {
  return arrivals
    .filter(({ mark }) => mark <= cut)
    .sort((a, b) => a.mark - b.mark || Number(a.isImage) - Number(b.isImage) || a.position - b.position);
}
