/** Addresses in the four-word form of `vnic/ip-address.ts`, as people write them (IPv6 as RFC 5952 wants it). */

export function ipWordsText(words: Uint32Array): string {
  const [a = 0, b = 0, c = 0, d = 0] = words;
  if (a === 0 && b === 0 && c === 0xffff) return [24, 16, 8, 0].map((shift) => (d >>> shift) & 0xff).join('.');
  return ipv6Text([a, b, c, d].flatMap((word) => [word >>> 16, word & 0xffff]));
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
