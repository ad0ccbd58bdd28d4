/**
 * What a peer's head block says of us and of itself, beside our settings: whether we are among its peers, and whether its
 * addresses are those that our settings give it. Each change is told once.
 *
 * A head block may have been left by an agent that died: only one that has moved since we first saw it is believed here.
 */
import { ipFromBytes, ipText } from '../../vnic/ip-address.ts';
import { isSameIncarnation } from './acquaintance.ts';

export interface Claims {
  /** The writer ended in order. */
  readonly isStopped: boolean;
  /** The head has an entry for this node. */
  readonly knowsUs: boolean;
  /** The peer's addresses, 16 bytes each; empty when it does not say. */
  readonly addresses: readonly Uint8Array[];
}

export type ClaimNews =
  | { readonly kind: 'peer-unaware' | 'peer-aware' }
  | { readonly kind: 'address-differs' | 'address-agrees'; readonly says: string; readonly settings: string };

export class PeerClaims {
  #incarnation: Uint8Array | null = null;
  /** Null: not known yet. */
  knowsUs: boolean | null = null;
  /** What the peer says, when our settings name an address that is not among it. */
  otherAddresses: readonly string[] | null = null;

  look(head: { readonly incarnation: Uint8Array; readonly claims: Claims }, settings: readonly string[]): ClaimNews[] {
    const hasMoved = isSameIncarnation(head.incarnation, this.#incarnation);
    if (!hasMoved) this.#incarnation = head.incarnation.slice();
    if (!hasMoved || head.claims.isStopped) return [];
    return [...this.#lookAtUs(head.claims.knowsUs), ...this.#lookAtAddresses(head.claims.addresses, settings)];
  }

  #lookAtUs(knowsUs: boolean): ClaimNews[] {
    const before = this.knowsUs;
    this.knowsUs = knowsUs;
    if (knowsUs === before || (knowsUs && before === null)) return [];
    return [{ kind: knowsUs ? 'peer-aware' : 'peer-unaware' }];
  }

  #lookAtAddresses(addresses: readonly Uint8Array[], settings: readonly string[]): ClaimNews[] {
    const said = addresses.map((bytes) => ipFromBytes(bytes));
    const known = new Set(said.map((text) => ipText(text)));
    const agrees = said.length === 0 || settings.every((text) => known.has(ipText(text)));
    const before = this.otherAddresses?.join(' ') ?? null;
    this.otherAddresses = agrees ? null : said;
    if (before === (this.otherAddresses?.join(' ') ?? null)) return [];
    const texts = { says: said.join(' '), settings: settings.join(' ') };
    return [{ kind: agrees ? 'address-agrees' : 'address-differs', ...texts }];
  }
}
