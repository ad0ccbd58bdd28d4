import { describe, expect, test } from 'vitest';
import { finishedPacket, pcapngHeader, pcapngPacket } from '../../../agent/inspect/pcapng.ts';
import { VNET_HEADER_BYTES } from '../../../vnic/device.ts';
import { withPartialChecksum } from '../../support/offload.ts';
import { buildTcp4, buildTcp6, buildUdp4, buildUdp6 } from '../../support/packets.ts';

describe('finished checksums', () => {
  const payload = Uint8Array.from({ length: 333 }, (_, i) => i & 0xff);
  test.each([
    ['TCP over IPv4', buildTcp4({ payload })],
    ['TCP over IPv6', buildTcp6({ payload })],
    ['UDP over IPv4', buildUdp4({ payload })],
    ['UDP over IPv6', buildUdp6({ payload })],
  ])('%s: the same as the sender would have computed', (_, frame) => {
    const partial = withPartialChecksum(frame);
    expect(partial.slice(VNET_HEADER_BYTES)).not.toEqual(frame.slice(VNET_HEADER_BYTES));
    expect(finishedPacket(partial)).toEqual(frame.slice(VNET_HEADER_BYTES));
  });

  test('a packet whose checksum is finished is left as it is, and so is a place outside the packet', () => {
    const frame = buildTcp4();
    expect(finishedPacket(frame)).toEqual(frame.slice(VNET_HEADER_BYTES));
    const outside = withPartialChecksum(frame);
    outside[7] = 0xff;
    expect(finishedPacket(outside)).toEqual(outside.slice(VNET_HEADER_BYTES));
  });

  test('a checksum of zero is written as all ones: zero means "none" in UDP', () => {
    const zero = new Uint8Array(VNET_HEADER_BYTES + 28);
    zero[0] = 1;
    zero[6] = 20;
    zero[8] = 6;
    zero[VNET_HEADER_BYTES + 20] = 0xff;
    zero[VNET_HEADER_BYTES + 21] = 0xff;
    expect([...finishedPacket(zero).subarray(26, 28)]).toEqual([0xff, 0xff]);
  });
});

describe('pcapng blocks', () => {
  /** Type and body of each block, whose two lengths must agree. */
  function blocks(file: Buffer): { type: number; body: Buffer }[] {
    const found: { type: number; body: Buffer }[] = [];
    for (let at = 0; at < file.length;) {
      const length = file.readUInt32LE(at + 4);
      expect(length % 4).toBe(0);
      expect(file.readUInt32LE(at + length - 4)).toBe(length);
      found.push({ type: file.readUInt32LE(at), body: file.subarray(at + 8, at + length - 4) });
      at += length;
    }
    return found;
  }

  test('a section, an interface for each node, packets in nanoseconds', () => {
    const packet = Uint8Array.of(1, 2, 3, 4, 5);
    const file = Buffer.concat([
      pcapngHeader(['a', 'node-b']),
      pcapngPacket(1, 1_700_000_000_123_456, packet, 'mark 7'),
    ]);
    const [section, first, second, enhanced] = blocks(file);
    expect([section?.type, first?.type, second?.type, enhanced?.type]).toEqual([0x0a0d_0d0a, 1, 1, 6]);
    expect(section?.body.readUInt32LE(0)).toBe(0x1a2b_3c4d);
    expect(second?.body.readUInt16LE(0)).toBe(101);
    expect(second?.body.toString('latin1')).toContain('node-b');
    const body = enhanced?.body ?? Buffer.alloc(20);
    const time = (BigInt(body.readUInt32LE(4)) << 32n) | BigInt(body.readUInt32LE(8));
    expect([body.readUInt32LE(0), time, body.readUInt32LE(12), body.readUInt32LE(16)]).toEqual([
      1,
      1_700_000_000_123_456_000n,
      5,
      5,
    ]);
    expect([...body.subarray(20, 28)]).toEqual([1, 2, 3, 4, 5, 0, 0, 0]);
    expect(body.subarray(28).toString('latin1')).toContain('mark 7');
  });
});
