/**
 * What the mirror keeps its journals and volumes on. Answers the bytes moved (0 for a flush) or a negative errno, never
 * throws: a failing disk is expected. What was written is durable when a flush that began later has succeeded.
 */
export interface Disk {
  readonly bytes: number;
  read(offset: number, into: Uint8Array): number;
  write(offset: number, from: Uint8Array): number;
  /** After a failure nothing written since the last good one may be believed to be there: see [MI15]. */
  flush(): number;
}
