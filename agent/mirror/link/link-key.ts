/**
 * Who may talk on a link: both sides prove that they have the key that the cluster key gives for this group and this target
 * (RF5). Another group's or another target's key opens nothing here.
 */
import { hkdfSync } from 'node:crypto';
import { toHex } from '../../base/bytes.ts';
import { keyId } from '../../wire/keys.ts';

const LABEL = 'stillbeat mirror';
const KEY_BYTES = 32;

export interface LinkName {
  readonly group: string;
  readonly target: string;
}

/** The pre-shared key of the link, 32 bytes. */
export const linkKey = (clusterKey: Uint8Array, { group, target }: LinkName): Uint8Array =>
  new Uint8Array(hkdfSync('sha256', clusterKey, '', `${LABEL}\n${group}\n${target}`, KEY_BYTES));

/** What a source says first: which link, and by which of the cluster's keys. */
export const linkIdentity = (clusterKey: Uint8Array, { group, target }: LinkName): string =>
  `${group}/${target}/${toHex(keyId(clusterKey))}`;
