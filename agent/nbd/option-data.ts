/** The data of the options that have any: what the client asks, or null where it is malformed. */
import { OPTION } from './protocol.ts';

/** The protocol's limit for every string, in bytes. */
const STRING_BYTES_MAX = 4096;

/** INFO and GO. */
export interface InfoAsked {
  readonly name: string;
  /** Kinds of information, each a number of {@link INFO}; unknown ones too. */
  readonly kinds: ReadonlySet<number>;
}

export function decodeInfo(data: Buffer): InfoAsked | null {
  const cursor = new Cursor(data);
  const name = cursor.text();
  const count = cursor.u16();
  if (name === null || count === null || cursor.left !== 2 * count) return null;
  const kinds = new Set<number>();
  for (let kind = cursor.u16(); kind !== null; kind = cursor.u16()) kinds.add(kind);
  return { name, kinds };
}

/** LIST_META_CONTEXT and SET_META_CONTEXT. */
export interface ContextsAsked {
  readonly name: string;
  readonly queries: readonly string[];
}

export function decodeContexts(data: Buffer): ContextsAsked | null {
  const cursor = new Cursor(data);
  const name = cursor.text();
  const count = cursor.u32();
  if (name === null || count === null) return null;
  const queries: string[] = [];
  // The count is the client's word: the data ends the loop, whatever it says.
  while (queries.length < count) {
    const query = cursor.text();
    if (query === null) return null;
    queries.push(query);
  }
  return cursor.left === 0 ? { name, queries } : null;
}

/** Which of `offered` a client that sends these queries means, each once. */
export function selectContexts(option: number, queries: readonly string[], offered: readonly string[]): string[] {
  const isList = option === OPTION.listMetaContext;
  if (queries.length === 0) return isList ? [...offered] : [];
  const exact = new Set(queries);
  // "base:" stands for all of a namespace, when listing.
  return offered.filter((name) => exact.has(name) || (isList && exact.has(name.slice(0, name.indexOf(':') + 1))));
}

class Cursor {
  readonly #data: Buffer;
  #at = 0;

  constructor(data: Buffer) {
    this.#data = data;
  }

  get left(): number {
    return this.#data.length - this.#at;
  }

  u16(): number | null {
    if (this.left < 2) return null;
    this.#at += 2;
    return this.#data.readUInt16BE(this.#at - 2);
  }

  u32(): number | null {
    if (this.left < 4) return null;
    this.#at += 4;
    return this.#data.readUInt32BE(this.#at - 4);
  }

  /** A length and as many bytes of UTF-8. */
  text(): string | null {
    const length = this.u32();
    if (length === null || length > STRING_BYTES_MAX || this.left < length) return null;
    this.#at += length;
    return this.#data.toString('utf8', this.#at - length, this.#at);
  }
}
