import { expect, test } from 'vitest';
import { AddressTable } from '../../../agent/core/address-table.ts';
import { parseIp } from '../../../vnic/ip-address.ts';
import { Prng } from '../../../agent/base/prng.ts';

const address = (text: string): Uint32Array => {
  const words = new Uint32Array(4);
  expect(parseIp(text, words)).toBe(true);
  return words;
};

test('an empty table knows nothing', () => {
  expect(new AddressTable([]).get(address('10.77.0.1'))).toBe(-1);
});

test('of two entries with one address the first stands', () => {
  const entries = [4, 5].map((value) => ({ address: address('10.77.0.1'), value }));
  expect(new AddressTable(entries).get(address('10.77.0.1'))).toBe(4);
});

test('finds every one of 1 to 300 random addresses, and none of their neighbours', () => {
  const random = new Prng(11);
  for (let count = 1; count <= 300; count += 13) {
    const entries = Array.from({ length: count }, (_, value) => {
      const words = new Uint32Array([random.u32(), random.u32(), random.u32(), random.u32() & ~1]);
      return { address: words, value };
    });
    const table = new AddressTable(entries);
    expect(entries.map((entry) => table.get(entry.address))).toEqual(entries.map((entry) => entry.value));
    for (const entry of entries) {
      for (const word of [0, 1, 2, 3]) {
        const neighbour = entry.address.slice();
        neighbour[word] = (neighbour[word] ?? 0) ^ 1;
        expect(table.get(neighbour)).toBe(-1);
      }
    }
  }
});
