/**
 * Watches by which keys the peers seal what they write: one that this node's key file does not have is told once, with what
 * to do about it, and so is its end. The readers publish what the head blocks say.
 */
import { KEY_SEEN, PEER, type PeerWords, type SharedState } from './queue/shared-state.ts';
import type { Seat } from './threads.ts';

export type KeyEvent =
  | { readonly kind: 'unknown-key'; readonly peer: string; readonly key: string; readonly mend: string }
  | { readonly kind: 'known-key'; readonly peer: string; readonly key: string };

const LOOK_EVERY_MS = 500;

/** The id of the key that the peer's head block was sealed with, as hexadecimal digits; null: none seen. */
export function peerKeyId({ words }: PeerWords): string | null {
  if (Atomics.load(words, PEER.keySeen) === KEY_SEEN.none) return null;
  const id = [0, 1].map((i) => Atomics.load(words, PEER.keyId + i) >>> 0);
  return id.map((word) => word.toString(16).padStart(8, '0')).join('');
}

export const isPeerKeyKnown = ({ words }: PeerWords): boolean => Atomics.load(words, PEER.keySeen) !== KEY_SEEN.unknown;

export class KeyWatch {
  readonly #state: SharedState;
  readonly #seats: () => readonly Seat[];
  readonly #onEvent: (event: KeyEvent) => void;
  readonly #unknown = new Set<string>();
  readonly #timer: NodeJS.Timeout;

  constructor(state: SharedState, seats: () => readonly Seat[], onEvent: (event: KeyEvent) => void) {
    this.#state = state;
    this.#seats = seats;
    this.#onEvent = onEvent;
    this.#timer = setInterval(() => this.#look(), LOOK_EVERY_MS);
  }

  #look(): void {
    for (const { seat, peer: settings } of this.#seats()) {
      const peer = settings.node;
      const words = this.#state.peers[seat];
      const key = words && peerKeyId(words);
      if (!words || !key) continue;
      if (isPeerKeyKnown(words)) {
        if (this.#unknown.delete(peer)) this.#onEvent({ kind: 'known-key', peer, key });
        continue;
      }
      if (this.#unknown.has(peer)) continue;
      this.#unknown.add(peer);
      const mend = `peer ${peer} uses key ${key}, which this node's key file does not have: install the new key file, then SIGHUP`;
      this.#onEvent({ kind: 'unknown-key', peer, key, mend });
    }
  }

  close(): void {
    clearInterval(this.#timer);
  }
}
