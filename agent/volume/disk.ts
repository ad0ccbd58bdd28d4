/**
 * A volume as bytes at offsets. All offsets and lengths are multiples of the block; memory is page-aligned. Answers the
 * bytes moved or a negative errno, never throws: a failing disk is expected.
 */
export interface Disk {
  readonly bytes: number;
  read(offset: number, into: Uint8Array): number;
  write(offset: number, from: Uint8Array): number;
}

/** Where one node's ring lies. */
export interface SlotGeometry {
  readonly slotOffset: number;
  readonly slotBytes: number;
}
