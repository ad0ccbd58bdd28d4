/**
 * The cluster key's children (HKDF-SHA-256, RFC 5869). Each incarnation of each node has keys of its own: the salt is
 * drawn at every start, so that a counter that begins again, or a volume that was put back to an older state, can never
 * make one nonce serve twice under one key.
 */
import { hkdfSync } from 'node:crypto';

const derive = (clusterKey: Uint8Array, salt: Uint8Array, info: string): Uint8Array =>
  new Uint8Array(hkdfSync('sha256', clusterKey, salt, `stillbeat 1 ${info}`, 32));

export type KeyPurpose = 'head' | 'batch';

/** The key with which `nodeIndex` in this incarnation seals heads or batches on the volume of `clusterUuid`. */
export function volumeKey(
  clusterKey: Uint8Array,
  clusterUuid: Uint8Array,
  incarnation: Uint8Array,
  nodeIndex: number,
  purpose: KeyPurpose,
): Uint8Array {
  return derive(clusterKey, incarnation, `${purpose} ${nodeIndex} ${Buffer.from(clusterUuid).toString('hex')}`);
}

/** The key with which `source` in this incarnation seals datagrams to `target` (node names). */
export function tunnelKey(
  clusterKey: Uint8Array,
  cluster: string,
  incarnation: Uint8Array,
  source: string,
  target: string,
): Uint8Array {
  return derive(clusterKey, incarnation, `tunnel ${JSON.stringify([cluster, source, target])}`);
}

export const KEY_ID_BYTES = 8;

/** What tells one cluster key from another, on volumes and for people, without giving either away. */
export const keyId = (clusterKey: Uint8Array): Uint8Array =>
  derive(clusterKey, new Uint8Array(0), 'key id').slice(0, KEY_ID_BYTES);
