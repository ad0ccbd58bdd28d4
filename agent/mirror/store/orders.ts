/** What an operator has said of a source's targets and is not over: a superblock keeps it, so that a restart forgets none. */
import { bytesText, dataView, getU64, setU64, textBytes } from '../../base/bytes.ts';
import { defineFields } from '../../base/fields.ts';

export const TARGET_ORDER = defineFields({ name: 32, flags: 8 } as const);
export const ORDER_FLAG = { paused: 1, compare: 2, inPlace: 4 } as const;

/** As many as there may be targets. */
const ORDERS_MAX = 8;
export const ORDERS_BYTES: number = ORDERS_MAX * TARGET_ORDER.bytes;

export interface TargetOrder {
  /** Of the target. */
  readonly name: string;
  readonly isPaused: boolean;
  /** All of it is to be compared, and how what differs is brought there. */
  readonly compare: 'staged' | 'in place' | null;
}

const { at, bytes: BYTES, size } = TARGET_ORDER;

/** Into ORDERS_BYTES of zeros. Whoever is not named has none. */
export function encodeOrders(orders: readonly TargetOrder[], block: Uint8Array): void {
  const view = dataView(block);
  orders.slice(0, ORDERS_MAX).forEach(({ name, isPaused, compare }, index) => {
    const flags =
      (isPaused ? ORDER_FLAG.paused : 0) |
      (compare === null ? 0 : ORDER_FLAG.compare) |
      (compare === 'in place' ? ORDER_FLAG.inPlace : 0);
    block.set(textBytes(name, size.name), index * BYTES + at.name);
    setU64(view, index * BYTES + at.flags, flags);
  });
}

/** Unknown flags are passed over. */
export function decodeOrders(block: Uint8Array): TargetOrder[] {
  const view = dataView(block);
  return Array.from({ length: ORDERS_MAX }, (_, index) => {
    const from = index * BYTES;
    const flags = getU64(view, from + at.flags);
    const has = (flag: number): boolean => Math.floor(flags / flag) % 2 === 1;
    const how = has(ORDER_FLAG.inPlace) ? ('in place' as const) : ('staged' as const);
    return {
      name: bytesText(block.subarray(from + at.name, from + at.name + size.name)),
      isPaused: has(ORDER_FLAG.paused),
      compare: has(ORDER_FLAG.compare) ? how : null,
    };
  }).filter(({ name }) => name !== '');
}
