/** Datagrams of corosync 3, built field by field as its wire formats say: knet's header in network order, totem's in its sender's. */

interface KnetFields {
  readonly node: number;
}

function knet(type: number, { node }: KnetFields, rest: Uint8Array): Uint8Array {
  const packet = new Uint8Array(6 + rest.length);
  const view = new DataView(packet.buffer);
  view.setUint8(0, 1);
  view.setUint8(1, type);
  view.setUint16(2, node);
  view.setUint8(4, 1);
  packet.set(rest, 6);
  return packet;
}

export function knetData(
  fields: KnetFields & { sequence: number; fragments?: number; fragment?: number; compress?: number },
  user: Uint8Array,
): Uint8Array {
  const rest = new Uint8Array(8 + user.length);
  const view = new DataView(rest.buffer);
  view.setUint16(0, fields.sequence);
  view.setUint8(2, fields.compress ?? 0);
  view.setUint8(4, 1);
  view.setUint8(5, fields.fragments ?? 1);
  view.setUint8(6, fields.fragment ?? 1);
  rest.set(user, 8);
  return knet(0, fields, rest);
}

export function knetPing(type: 0x81 | 0x82, fields: KnetFields & { link: number; sequence: number }): Uint8Array {
  const rest = new Uint8Array(20);
  const view = new DataView(rest.buffer);
  view.setUint8(0, fields.link);
  view.setUint16(17, fields.sequence);
  view.setUint8(19, 1);
  return knet(type, fields, rest);
}

export function knetPmtud(type: 0x83 | 0x84, fields: KnetFields & { link: number; size: number }): Uint8Array {
  const rest = new Uint8Array(fields.size - 34);
  const view = new DataView(rest.buffer);
  view.setUint8(0, fields.link);
  view.setUint16(1, fields.size);
  return knet(type, fields, rest);
}

type Field = readonly [bits: 8 | 32 | 64, value: number];
const RING: readonly Field[] = [
  [32, 1],
  [64, 0x1f],
];
const u32 = (...values: number[]): Field[] => values.map((value) => [32, value]);

/** Type, and the fields behind the header, of one message each. */
export const TOTEM = {
  token: [0, [...u32(5, 1000, 4, 0), ...RING, ...u32(0, 0, 0, 2), ...RING, ...u32(6), ...RING, ...u32(7)]],
  mcast: [1, [...u32(1, 5, 0), ...RING, ...u32(1, 0), ...Array.from({ length: 7 }, (): Field => [8, 0x41])]],
  merge: [2, [...u32(1), ...RING]],
  join: [3, [...u32(1, 3, 1), [64, 0x1f], ...u32(1, 2, 3, 3)]],
  commit: [4, [...u32(1), ...RING, ...u32(0, 0, 2), ...u32(1, 2)]],
  cancel: [5, RING],
} as const satisfies Readonly<Record<string, readonly [number, readonly Field[]]>>;

export function totem([type, fields]: readonly [number, readonly Field[]], isLittle = true): Uint8Array {
  const length = fields.reduce((sum, [bits]) => sum + bits / 8, 13);
  const packet = new Uint8Array(length);
  const view = new DataView(packet.buffer);
  view.setUint16(0, 0xc070, isLittle);
  view.setUint8(2, 3);
  view.setUint8(3, type);
  view.setUint8(4, 2);
  view.setUint32(5, 1, isLittle);
  view.setUint32(9, 2, isLittle);
  let at = 13;
  for (const [bits, value] of fields) {
    if (bits === 8) view.setUint8(at, value);
    else if (bits === 32) view.setUint32(at, value, isLittle);
    else view.setBigUint64(at, BigInt(value), isLittle);
    at += bits / 8;
  }
  return packet;
}
