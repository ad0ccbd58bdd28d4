import { describe, expect, test } from 'vitest';
import { crc32 } from '../../../../agent/base/crc32.ts';
import { dataView } from '../../../../agent/base/bytes.ts';
import {
  chainAt,
  decodeEntry,
  encodeEntry,
  ENTRY,
  ENTRY_FLAG,
  ENTRY_KIND,
  entryBytes,
  type Entry,
} from '../../../../agent/mirror/wire/entry.ts';
import { ENTRY_ALIGN, PAYLOAD_BYTES_MAX } from '../../../../agent/mirror/wire/layout.ts';
import { Prng } from '../../../../agent/base/prng.ts';

const entry = (change: Partial<Entry> = {}): Entry => ({
  kind: ENTRY_KIND.write,
  flags: ENTRY_FLAG.durable,
  volume: 3,
  mark: 7_000_000_001,
  time: 1_797_000_000_000_000_123n,
  cycle: 12,
  offset: 2 ** 40,
  length: 512,
  payloadBytes: 512,
  payloadCrc: 0xdead_beef,
  position: 128 * 7,
  generation: Uint8Array.from({ length: 16 }, (_, i) => i),
  chain: 0n,
  durableBack: 256,
  ...change,
});

const FORMER = 0xfedc_ba98_7654_3210n;

function encoded(of: Entry, former = FORMER): Uint8Array {
  const bytes = new Uint8Array(ENTRY.bytes + 8);
  encodeEntry(of, former, bytes, 8);
  return bytes;
}

/** The header with one field changed, and its checksum right again. */
function forged(of: Entry, change: (view: DataView) => void): Uint8Array {
  const bytes = encoded(of).slice(8);
  change(dataView(bytes));
  dataView(bytes).setUint32(ENTRY.at.headerCrc, crc32(bytes.subarray(0, ENTRY.at.headerCrc)), true);
  return bytes;
}

describe('entry', () => {
  test.each([
    entry(),
    entry({ kind: ENTRY_KIND.zero, length: 2 ** 44, payloadBytes: 0, flags: 0 }),
    entry({ kind: ENTRY_KIND.trim, length: 1, payloadBytes: 0 }),
    entry({ length: PAYLOAD_BYTES_MAX, payloadBytes: PAYLOAD_BYTES_MAX }),
    entry({ kind: ENTRY_KIND.seal, length: 0, payloadBytes: 0 }),
  ])('what is written is read again: kind $kind', (written) => {
    const bytes = new Uint8Array(ENTRY.bytes + 8);
    const chain = encodeEntry(written, FORMER, bytes, 8);
    expect(decodeEntry(bytes, 8)).toEqual({ ok: true, entry: { ...written, chain } });
    expect(chainAt(bytes, 8, FORMER)).toBe(chain);
    expect(chainAt(bytes, 8, FORMER + 1n)).not.toBe(chain);
  });

  test.each([
    entry({ kind: ENTRY_KIND.skip, length: 128, payloadBytes: 0 }),
    entry({ kind: ENTRY_KIND.image, length: 4096, payloadBytes: 4096 }),
  ])('kind $kind has no place in the chain', (written) => {
    const bytes = new Uint8Array(ENTRY.bytes);
    expect(encodeEntry(written, FORMER, bytes, 0)).toBe(FORMER);
    expect(decodeEntry(bytes, 0)).toEqual({ ok: true, entry: { ...written, chain: 0n } });
  });

  test('the chain goes over what the entry means, not over where it lies', () => {
    const chain = (of: Entry) => encodeEntry(of, FORMER, new Uint8Array(ENTRY.bytes), 0);
    expect(chain(entry({ position: 0, durableBack: 0 }))).toBe(chain(entry()));
    const others: Partial<Entry>[] = [
      { kind: ENTRY_KIND.zero },
      { flags: 0 },
      { volume: 4 },
      { mark: 1 },
      { time: 1n },
      { cycle: 1 },
      { offset: 0 },
      { length: 1 },
      { payloadBytes: 1 },
      { payloadCrc: 1 },
    ];
    expect(new Set([entry(), ...others.map((change) => entry(change))].map(chain)).size).toBe(11);
  });

  test('any byte that differs is found', () => {
    const good = encoded(entry());
    for (let at = 8; at < good.length; at++) {
      for (const bit of [1, 0x80]) {
        const bytes = good.slice();
        bytes[at] = (bytes[at] ?? 0) ^ bit;
        expect(decodeEntry(bytes, 8)).toEqual({ ok: false, fault: at < 12 ? 'magic' : 'checksum' });
      }
    }
  });

  test.each<[string, (view: DataView) => void]>([
    ['an unknown kind', (view) => view.setUint8(ENTRY.at.kind, 6)],
    ['an unknown flag', (view) => view.setUint8(ENTRY.at.flags, 2)],
    ['a volume beyond the last', (view) => view.setUint16(ENTRY.at.volume, 64, true)],
    ['a mark beyond 2^53', (view) => view.setUint32(ENTRY.at.mark + 4, 0x0020_0000, true)],
    ['an end beyond 2^53', (view) => view.setBigUint64(ENTRY.at.offset, 2n ** 53n - 500n, true)],
    ['a payload that is not the length', (view) => view.setUint32(ENTRY.at.payloadBytes, 511, true)],
    ['a length of nothing', (view) => view.setUint32(ENTRY.at.length, 0, true)],
    ['a place between two', (view) => view.setUint32(ENTRY.at.position, 64, true)],
    ['durable before the ring began', (view) => view.setUint32(ENTRY.at.durableBack, 100, true)],
  ])('no writer writes %s', (_, change) => {
    expect(decodeEntry(forged(entry(), change), 0)).toEqual({ ok: false, fault: 'range' });
  });

  test('a payload of more than the most is out of range', () => {
    const bytes = encoded(entry({ length: PAYLOAD_BYTES_MAX + 1, payloadBytes: PAYLOAD_BYTES_MAX + 1 }));
    expect(decodeEntry(bytes, 8)).toEqual({ ok: false, fault: 'range' });
  });

  test('nothing that lies around makes the decoder fail', () => {
    const random = new Prng(1);
    const bytes = new Uint8Array(ENTRY.bytes);
    for (let round = 0; round < 2000; round++) {
      random.fill(bytes);
      dataView(bytes).setUint32(0, 0x5952_5445, true);
      expect(decodeEntry(bytes, 0).ok).toBe(false);
      dataView(bytes).setUint32(ENTRY.at.headerCrc, crc32(bytes.subarray(0, ENTRY.at.headerCrc)), true);
      decodeEntry(bytes, 0);
    }
    expect(decodeEntry(bytes, 1)).toEqual({ ok: false, fault: 'magic' });
  });

  test('its room in a ring: header and payload, rounded up', () => {
    expect([0, 32, 33, 4096].map(entryBytes)).toEqual([128, 128, 256, 4224]);
    expect(entryBytes(0) % ENTRY_ALIGN).toBe(0);
  });
});
