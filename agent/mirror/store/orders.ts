/** What an operator has said of a source's targets and is not over, and when each was scanned: a superblock keeps it over restarts. */
import { bytesText, dataView, textBytes } from '../../base/bytes.ts';
import { defineFields } from '../../base/fields.ts';

export const TARGET_ORDER = defineFields({ name: 32, flags: 4, scanned: 4 } as const);
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
  /** When a comparison of all of it ended last, or the count to the first one began: seconds since 1970. 0: never. */
  readonly scanned: number;
}

/** Nothing was said of this target. */
export const noOrder = (name: string): TargetOrder => ({ name, isPaused: false, compare: null, scanned: 0 });

const { at, bytes: BYTES, size } = TARGET_ORDER;

/** Into ORDERS_BYTES of zeros. Whoever is not named has none. */
export function encodeOrders(orders: readonly TargetOrder[], block: Uint8Array): void {
  const view = dataView(block);
  orders.slice(0, ORDERS_MAX).forEach(({ name, isPaused, compare, scanned }, index) => {
    const flags =
      (isPaused ? ORDER_FLAG.paused : 0) |
      (compare === null ? 0 : ORDER_FLAG.compare) |
      (compare === 'in place' ? ORDER_FLAG.inPlace : 0);
    block.set(textBytes(name, size.name), index * BYTES + at.name);
    view.setUint32(index * BYTES + at.flags, flags, true);
    view.setUint32(index * BYTES + at.scanned, scanned, true);
  });
}

/** Unknown flags are passed over. */
export function decodeOrders(block: Uint8Array): TargetOrder[] {
  const view = dataView(block);
  return Array.from({ length: ORDERS_MAX }, (_, index) => {
    const from = index * BYTES;
    const flags = view.getUint32(from + at.flags, true);
    const has = (flag: number): boolean => (flags & flag) !== 0;
    const how = has(ORDER_FLAG.inPlace) ? ('in place' as const) : ('staged' as const);
    return {
      name: bytesText(block.subarray(from + at.name, from + at.name + size.name)),
      isPaused: has(ORDER_FLAG.paused),
      compare: has(ORDER_FLAG.compare) ? how : null,
      scanned: view.getUint32(from + at.scanned, true),
    };
  }).filter(({ name }) => name !== '');
}
