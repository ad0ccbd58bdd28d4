/** TLS of the NBD server: version 1.3 alone, and both sides prove that they have the same key; there are no certificates. */
import type { Socket } from 'node:net';
import { createSecureContext, type SecureContext, TLSSocket } from 'node:tls';

/** A pre-shared key fixes the hash to SHA-256, and so the ciphers. */
export const TLS_SETTINGS = {
  ciphers: 'TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256',
  minVersion: 'TLSv1.3',
  maxVersion: 'TLSv1.3',
} as const;

/** The key of each identity (the user name in a client's address and key file). */
export type PreSharedKeys = ReadonlyMap<string, Uint8Array>;

export class TlsUpgrade {
  readonly #keys: PreSharedKeys;
  readonly #context: SecureContext = createSecureContext(TLS_SETTINGS);

  constructor(keys: PreSharedKeys) {
    this.#keys = keys;
  }

  /** The server's side of a connection whose client speaks next. It emits `secure` when the handshake is done. */
  wrap(socket: Socket): TLSSocket {
    const options = {
      isServer: true,
      secureContext: this.#context,
      pskCallback: (_: TLSSocket, identity: string) => this.#keys.get(identity) ?? null,
    };
    return new TLSSocket(socket, options);
  }
}
