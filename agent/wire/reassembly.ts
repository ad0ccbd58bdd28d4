/**
 * Puts sealed messages together again from the chunks that datagrams carry. Chunks come in any order and are all of one
 * size but the last; what contradicts that is refused. Memory is bounded: the oldest unfinished message makes room.
 */
interface Assembly {
  /** The message's; 0: this place is free. */
  counter: number;
  total: number;
  got: number;
  chunkBytes: number;
  readonly have: Uint8Array;
  readonly bytes: Uint8Array;
}

const ASSEMBLIES = 16;
/** A message in smaller chunks than these would make is refused. */
const CHUNKS_MAX = 256;

export class Reassembly {
  readonly #bytesMax: number;
  readonly #assemblies: Assembly[] = [];

  /** `bytesMax`: of the longest message as it is sealed. */
  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /**
   * A chunk of the message `counter`, `total` bytes long, at `offset`. Answers the whole message when this was the last
   * one missing, valid until the next call; 'more' when others are; 'garbage' when it does not fit or came before.
   */
  take(counter: number, total: number, offset: number, chunk: Uint8Array): Uint8Array | 'more' | 'garbage' {
    const assembly = this.#assemblyFor(counter, total);
    const isLast = offset + chunk.length === total;
    if (!isLast && assembly.chunkBytes === 0) assembly.chunkBytes = chunk.length;
    const index = isLast ? assembly.have.length - 1 : offset / assembly.chunkBytes;
    const fits =
      isLast || (Number.isInteger(index) && chunk.length === assembly.chunkBytes && index < assembly.have.length - 1);
    if (!fits || assembly.have[index] === 1) return 'garbage';
    assembly.have[index] = 1;
    assembly.bytes.set(chunk, offset);
    assembly.got += chunk.length;
    if (assembly.got < total) return 'more';
    assembly.counter = 0;
    return assembly.bytes.subarray(0, total);
  }

  /** The place where this message is put together. */
  #assemblyFor(counter: number, total: number): Assembly {
    let place: Assembly | undefined;
    for (const assembly of this.#assemblies) {
      if (assembly.counter === counter && assembly.total === total) return assembly;
      if (!place || assembly.counter < place.counter) place = assembly;
    }
    if (!place || (place.counter !== 0 && this.#assemblies.length < ASSEMBLIES)) {
      place = {
        counter: 0,
        total: 0,
        got: 0,
        chunkBytes: 0,
        have: new Uint8Array(CHUNKS_MAX),
        bytes: new Uint8Array(this.#bytesMax),
      };
      this.#assemblies.push(place);
    }
    place.counter = counter;
    place.total = total;
    place.got = 0;
    place.chunkBytes = 0;
    place.have.fill(0);
    return place;
  }
}
