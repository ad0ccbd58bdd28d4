/** Finds what somebody meant to write. */

/** Edits (insert, delete, change, swap neighbours) that turn one word into the other. */
export function editDistance(from: string, to: string): number {
  let before: number[] = [];
  let last = Array.from({ length: to.length + 1 }, (_, index) => index);
  for (let row = 1; row <= from.length; row++) {
    const now = [row];
    for (let column = 1; column <= to.length; column++) {
      const same = from[row - 1] === to[column - 1];
      let cost = Math.min(at(last, column) + 1, at(now, column - 1) + 1, at(last, column - 1) + (same ? 0 : 1));
      const swapped = row > 1 && column > 1 && from[row - 1] === to[column - 2] && from[row - 2] === to[column - 1];
      if (swapped) cost = Math.min(cost, at(before, column - 2) + 1);
      now.push(cost);
    }
    before = last;
    last = now;
  }
  return at(last, to.length);
}

const at = (list: readonly number[], index: number): number => list[index] ?? Infinity;

/** Case and word separators are the commonest slips, so they cost nothing: key_file is keyFile. */
const plain = (word: string): string => word.toLowerCase().replaceAll(/[_\- ]/g, '');

/** The known word nearest to `word`, if it is near enough to be what was meant: one edit for each three letters. */
export function nearest(word: string, known: readonly string[]): string | undefined {
  const limit = Math.max(1, Math.floor(word.length / 3));
  const ranked = known
    .map((candidate) => ({ candidate, distance: editDistance(plain(word), plain(candidate)) }))
    .filter(({ distance }) => distance <= limit)
    .sort((a, b) => a.distance - b.distance);
  return ranked[0]?.candidate;
}
