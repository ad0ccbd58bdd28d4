/** The link's transport: TLS 1.3 with a pre-shared key and nothing else; who has no key gets no further than the handshake. */
import { connect as dialTcp, createServer, type Server, type Socket } from 'node:net';
import { connect as dialTls, createSecureContext, TLSSocket } from 'node:tls';
import { linkIdentity, linkKey, type LinkName } from './link-key.ts';

/** A pre-shared key fixes the hash to SHA-256, and so the ciphers. */
const CIPHERS = 'TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256';
const VERSION = { minVersion: 'TLSv1.3', maxVersion: 'TLSv1.3' } as const;
const NO_DELAY = true;

export interface Address {
  readonly host: string;
  readonly port: number;
}

/** The source's side. `key`: the cluster key that seals now. The socket is ready at its `secureConnect`. */
export function dialLink({ host, port }: Address, key: Uint8Array, name: LinkName): TLSSocket {
  const tcp = dialTcp({ host, port, noDelay: NO_DELAY });
  return dialTls({
    socket: tcp,
    ciphers: CIPHERS,
    ...VERSION,
    // There are no certificates: that both have the key is all there is to check, and the handshake checks it.
    checkServerIdentity: () => undefined,
    pskCallback: () => ({ psk: linkKey(key, name), identity: linkIdentity(key, name) }),
  });
}

export interface LinkListener {
  readonly server: Server;
  close(): void;
}

/** How long somebody may take to prove that he has a key. */
const HANDSHAKE_MS = 5000;
/** Handshakes at one time: who knows no key must not hold more of us. */
const STRANGERS_MAX = 32;
/** Between two lines about them. */
const TELL_MS = 1000;

export interface ListenOptions {
  readonly address: Address;
  /** Names that are served here, and all keys that open now. Asked for each connection: keys rotate. */
  readonly names: () => readonly LinkName[];
  readonly keys: () => readonly Uint8Array[];
  readonly onLink: (socket: TLSSocket) => void;
  /** Somebody without the key, or another mishap before there is a link; at most one a second is told. */
  readonly onRefused: (from: string, why: string) => void;
}

/** The target's side. Rejects when the address cannot be listened at. */
export async function listenForLinks(options: ListenOptions): Promise<LinkListener> {
  const context = createSecureContext({ ciphers: CIPHERS, ...VERSION });
  const strangers = new Set<Socket>();
  const links = new Set<TLSSocket>();
  const find = (identity: string): Uint8Array | null => {
    for (const name of options.names()) {
      for (const key of options.keys()) if (linkIdentity(key, name) === identity) return linkKey(key, name);
    }
    return null;
  };
  let toldMs = -Infinity;
  const tell = (from: string, why: string): void => {
    const nowMs = performance.now();
    if (nowMs - toldMs < TELL_MS) return;
    toldMs = nowMs;
    options.onRefused(from, why);
  };
  const server = createServer({ noDelay: NO_DELAY }, (socket) => {
    const from = `${socket.remoteAddress ?? '?'}:${socket.remotePort ?? 0}`;
    if (strangers.size >= STRANGERS_MAX) {
      socket.destroy();
      return;
    }
    strangers.add(socket);
    // Node takes the callback here too; its types know it at the server alone.
    let unknown: string | null = null;
    const asServer = {
      isServer: true,
      secureContext: context,
      pskCallback: (_: TLSSocket, identity: string) => {
        const key = find(identity);
        unknown = key ? null : shown(identity);
        return key;
      },
    };
    const tls = new TLSSocket(socket, asServer);
    const refuse = (why: string): void => {
      // What the handshake says of an unknown key is no word for people.
      const what = unknown === null ? why : `it names ${unknown}, and here is no such key and link`;
      if (strangers.delete(socket)) tell(from, what);
      tls.destroy();
    };
    const timer = setTimeout(() => refuse('no handshake in time'), HANDSHAKE_MS);
    tls.on('error', (error) => refuse(error.message));
    tls.on('close', () => {
      clearTimeout(timer);
      strangers.delete(socket);
      links.delete(tls);
    });
    tls.once('secure', () => {
      clearTimeout(timer);
      strangers.delete(socket);
      links.add(tls);
      options.onLink(tls);
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.address.port, options.address.host, () => {
      server.off('error', reject);
      resolve();
    });
  });
  const close = (): void => {
    server.close();
    for (const socket of strangers) socket.destroy();
    for (const link of links) link.destroy();
  };
  return { server, close };
}

/** What a stranger says, fit for a log. */
const shown = (identity: string): string => JSON.stringify(identity.slice(0, 128));
