/**
 * A record's fields in order, each with its size in bytes; offsets follow. One table serves encoder, decoder and the
 * test that holds FORMAT.md against it.
 */
export interface Fields<Name extends string> {
  /** Byte offset of each field. */
  readonly at: Readonly<Record<Name, number>>;
  /** Size of each field in bytes. */
  readonly size: Readonly<Record<Name, number>>;
  /** Bytes of the whole record. */
  readonly bytes: number;
}

export function defineFields<Name extends string>(sizes: Record<Name, number>): Fields<Name> {
  const at = {} as Record<Name, number>;
  let offset = 0;
  for (const name of Object.keys(sizes) as Name[]) {
    at[name] = offset;
    offset += sizes[name];
  }
  return { at, size: sizes, bytes: offset };
}
