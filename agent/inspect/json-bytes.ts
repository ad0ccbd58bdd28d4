/** JSON as bytes, put behind each other as they come: as text first it would be written several times. */
export class JsonBytes {
  #bytes: Buffer;
  #length = 0;

  constructor(size: number) {
    this.#bytes = Buffer.allocUnsafeSlow(size);
  }

  get length(): number {
    return this.#length;
  }

  /** Forgets what is behind there. */
  cut(length: number): void {
    this.#length = length;
  }

  text(text: string): void {
    // No character takes more.
    this.#makeRoom(3 * text.length);
    this.#length += this.#bytes.write(text, this.#length);
  }

  byte(byte: number): void {
    this.#makeRoom(1);
    this.#bytes[this.#length++] = byte;
  }

  bytes(bytes: Uint8Array): void {
    this.#makeRoom(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  /** Of 32 bits. */
  count(value: number): void {
    let digits = 1;
    for (let bound = 10; bound <= value; bound *= 10) digits++;
    this.#makeRoom(digits);
    this.#length += digits;
    for (let at = this.#length, left = value; digits > 0; digits--) {
      const rest = Math.floor(left / 10);
      this.#bytes[--at] = 0x30 + left - 10 * rest;
      left = rest;
    }
  }

  /** All of it, which is the caller's. It goes on with new memory. */
  take(): Buffer<ArrayBuffer> {
    const taken = this.#bytes.subarray(0, this.#length) as Buffer<ArrayBuffer>;
    this.#bytes = Buffer.allocUnsafeSlow(this.#bytes.length);
    this.#length = 0;
    return taken;
  }

  /** A copy of all of it; it begins anew in the same memory. */
  copied(): Buffer {
    const copy = Buffer.from(this.#bytes.subarray(0, this.#length));
    this.#length = 0;
    return copy;
  }

  #makeRoom(more: number): void {
    const needed = this.#length + more;
    if (needed <= this.#bytes.length) return;
    const grown = Buffer.allocUnsafeSlow(Math.max(2 * this.#bytes.length, needed));
    this.#bytes.copy(grown, 0, 0, this.#length);
    this.#bytes = grown;
  }
}
