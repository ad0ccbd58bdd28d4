/**
 * What makes a head or batch believable: AES-256-GCM with a key, a CRC-32 without one. One interface, so that writers
 * and readers are the same code in both cases.
 */
import { dataView, setU64 } from '../base/bytes.ts';
import { crc32 } from '../base/crc32.ts';
import type { Aead } from '../platform/aead.ts';

/** Seals or opens one record in place. `counter` is the record's mark: with a key, never twice. */
export interface Seal {
  /** Seals `body` in place and writes 16 bytes of proof into `tag`; `header` is covered, not sealed. */
  seal(counter: number, header: Uint8Array, body: Uint8Array, tag: Uint8Array): void;
  /** Opens `body` in place; false leaves it undefined and not to be believed. */
  open(counter: number, header: Uint8Array, body: Uint8Array, tag: Uint8Array): boolean;
}

export class AeadSeal implements Seal {
  readonly #aead: Aead;
  readonly #nonce = new Uint8Array(12);
  readonly #nonceView = dataView(this.#nonce);

  constructor(aead: Aead) {
    this.#aead = aead;
  }

  seal(counter: number, header: Uint8Array, body: Uint8Array, tag: Uint8Array): void {
    setU64(this.#nonceView, 4, counter);
    this.#aead.beginSeal(this.#nonce, header);
    if (body.length > 0) this.#aead.update(body, body, body.length);
    this.#aead.finish(tag);
  }

  open(counter: number, header: Uint8Array, body: Uint8Array, tag: Uint8Array): boolean {
    setU64(this.#nonceView, 4, counter);
    this.#aead.beginOpen(this.#nonce, header);
    if (body.length > 0) this.#aead.update(body, body, body.length);
    return this.#aead.verify(tag);
  }
}

/** Without a key: finds damage, not forgery. The remaining 12 bytes of the proof are zero. */
export class CrcSeal implements Seal {
  seal(_counter: number, header: Uint8Array, body: Uint8Array, tag: Uint8Array): void {
    tag.fill(0);
    dataView(tag).setUint32(0, crc32(body, crc32(header)), true);
  }

  open(_counter: number, header: Uint8Array, body: Uint8Array, tag: Uint8Array): boolean {
    return dataView(tag).getUint32(0, true) === crc32(body, crc32(header));
  }
}

/** Makes the seal of one incarnation of one node; the edge that knows the cluster key gives it. */
export type SealFactory = (incarnation: Uint8Array, nodeIndex: number, purpose: 'head' | 'batch') => Seal;
