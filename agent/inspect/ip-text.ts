/** Addresses in the four-word form of `vnic/ip-address.ts`, as people write them (IPv6 as RFC 5952 wants it). */

/** Texts of IPv4 addresses that were met: few are behind millions of packets. */
const texts = new Map<number, string>();
const TEXTS_MAX = 4096;

export function ipWordsText(words: Uint32Array): string {
  // One by one: to take a typed array apart as a list is to walk it with an iterator.
  const [a, b, c, d] = [words[0] ?? 0, words[1] ?? 0, words[2] ?? 0, words[3] ?? 0];
  if (a === 0 && b === 0 && c === 0xffff) return ipv4Text(d);
  return ipv6Text([a, b, c, d].flatMap((word) => [word >>> 16, word & 0xffff]));
}

function ipv4Text(word: number): string {
  const known = texts.get(word);
  if (known !== undefined) return known;
  if (texts.size >= TEXTS_MAX) texts.clear();
  const text = [24, 16, 8, 0].map((shift) => (word >>> shift) & 0xff).join('.');
  texts.set(word, text);
  return text;
}

function ipv6Text(groups: readonly number[]): string {
  const { start, length } = longestZeros(groups);
  const text = (part: readonly number[]): string => part.map((group) => group.toString(16)).join(':');
  if (length < 2) return text(groups);
  return `${text(groups.slice(0, start))}::${text(groups.slice(start + length))}`;
}

function longestZeros(groups: readonly number[]): { start: number; length: number } {
  let best = { start: 0, length: 0 };
  let start = 0;
  groups.forEach((group, index) => {
    if (group !== 0) start = index + 1;
    else if (index + 1 - start > best.length) best = { start, length: index + 1 - start };
  });
  return best;
}
