/**
 * IP addresses as four 32-bit words, most significant first, in one form for both families: an IPv4 address takes the
 * IPv6 form ::ffff:a.b.c.d. Packets are compared with settings in this form, without a string for each packet.
 */
export const ADDRESS_WORDS = 4;
const V4_PREFIX_WORD = 0xffff;

/** Reads an address as people write it into `into` at `offset`; false (and `into` undefined) when it is none. */
export function parseIp(text: string, into: Uint32Array, offset = 0): boolean {
  if (!text.includes(':')) {
    const word = parseIpv4(text);
    if (word === null) return false;
    into[offset] = 0;
    into[offset + 1] = 0;
    into[offset + 2] = V4_PREFIX_WORD;
    into[offset + 3] = word;
    return true;
  }
  const groups = parseIpv6Groups(text);
  if (groups === null) return false;
  for (let word = 0; word < ADDRESS_WORDS; word++) {
    into[offset + word] = ((groups[2 * word] ?? 0) << 16) | (groups[2 * word + 1] ?? 0);
  }
  return true;
}

/** The one spelling of an address, for comparing texts: both `FD77:0::1` and `fd77::1` give the same. Throws on none. */
export function ipText(text: string): string {
  const words = new Uint32Array(ADDRESS_WORDS);
  if (!parseIp(text, words)) throw new RangeError(`"${text}" is not an IP address`);
  return Array.from(words, (word) => word.toString(16).padStart(8, '0')).join('');
}

/** The sixteen bytes of an address. Throws on none. */
export const ipBytes = (text: string): Uint8Array =>
  Uint8Array.from(ipText(text).match(/../g) ?? [], (byte) => Number.parseInt(byte, 16));

/** The text of an address of sixteen bytes. */
export function ipFromBytes(bytes: Uint8Array): string {
  const isMapped = bytes.subarray(0, 10).every((byte) => byte === 0) && bytes[10] === 0xff && bytes[11] === 0xff;
  if (isMapped) return bytes.subarray(12).join('.');
  const group = (i: number) => (((bytes[2 * i] ?? 0) << 8) | (bytes[2 * i + 1] ?? 0)).toString(16);
  const text = Array.from({ length: 8 }, (_, i) => group(i)).join(':');
  const runs = [...text.matchAll(/\b0(?::0)+\b/g)].map((found) => ({ at: found.index, bytes: found[0].length }));
  const [longest] = runs.toSorted((one, other) => other.bytes - one.bytes);
  if (longest === undefined) return text;
  const { at, bytes: length } = longest;
  return `${text.slice(0, at).replace(/:$/, '')}::${text.slice(at + length).replace(/^:/, '')}`;
}

/** The highest address of an IPv4 subnet, to which all of it listens; null where a subnet has none (/31, /32, IPv6). */
export function broadcastAddress(address: string, prefix: number): string | null {
  const word = parseIpv4(address);
  if (word === null || prefix < 0 || prefix > 30) return null;
  const host = prefix === 0 ? 0xffffffff : 2 ** (32 - prefix) - 1;
  const highest = (word | host) >>> 0;
  return [24, 16, 8, 0].map((shift) => (highest >>> shift) & 0xff).join('.');
}

function parseIpv4(text: string): number | null {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text);
  if (match === null) return null;
  const bytes = match.slice(1).map(Number);
  if (bytes.some((byte) => byte > 255)) return null;
  return bytes.reduce((word, byte) => word * 256 + byte, 0);
}

/** Eight groups of 16 bits; `::` filled with zeros and a dotted tail taken apart. */
function parseIpv6Groups(text: string): number[] | null {
  const halves = text.split('::');
  if (halves.length > 2) return null;
  const parsed = halves.map((half, index) => parseGroups(half, index === halves.length - 1));
  const [head, tail] = parsed;
  if (head === null || head === undefined || tail === null) return null;
  if (tail === undefined) return head.length === 8 ? head : null;
  const missing = 8 - head.length - tail.length;
  return missing < 1 ? null : [...head, ...Array<number>(missing).fill(0), ...tail];
}

function parseGroups(text: string, mayEndDotted: boolean): number[] | null {
  if (text === '') return [];
  const groups: number[] = [];
  const parts = text.split(':');
  for (const [index, part] of parts.entries()) {
    if (mayEndDotted && index === parts.length - 1 && part.includes('.')) {
      const word = parseIpv4(part);
      if (word === null) return null;
      groups.push(word >>> 16, word & 0xffff);
    } else if (/^[0-9a-f]{1,4}$/i.test(part)) {
      groups.push(Number.parseInt(part, 16));
    } else {
      return null;
    }
  }
  return groups;
}
