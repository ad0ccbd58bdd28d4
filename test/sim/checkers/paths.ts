/**
 * What each node calls the way to each peer, held against what the world was like for that pair: a network that is cut is
 * not the way; one that is good is, whatever befalls other pairs; and a pair that has any way is not isolated.
 */
import type { NodeIndex } from '../pairs.ts';
import type { Conditions } from './conditions.ts';

/** A cut is known to both sides after this, whatever delays and losses the words about it suffer. */
const CUT_KNOWN_MS = 1500;
/** A network that has been good for this long is the way: the longest hold that flapping earns, and the words about it. */
const NETWORK_TRUSTED_MS = 6000;
/** And from this long on nothing takes it away. */
const NETWORK_SETTLED_MS = 1500;
/** Storage is the way after a peer's beacons and a handshake through it. */
const STORAGE_TAKEN_MS = 5000;

const isOnNetwork = (path: string): boolean => path === 'network' || path === 'suspect';

export class Paths {
  readonly #conditions: Conditions;
  readonly #last = new Map<string, string>();

  constructor(conditions: Conditions) {
    this.#conditions = conditions;
  }

  /** Looks at what `node` calls the way to `peer` now; answers what is wrong, or null. */
  look(node: NodeIndex, peer: NodeIndex, path: string, nowMs: number): string | null {
    const key = `${node} ${peer}`;
    const before = this.#last.get(key) ?? 'down';
    this.#last.set(key, path);
    const conditions = this.#conditions;
    const isCalm = (sinceMs: number): boolean =>
      sinceMs >= 0 &&
      conditions.bothUp(node, peer, sinceMs, nowMs) &&
      conditions.noOverride(node, peer, sinceMs, nowMs);
    const isGood = (ms: number): boolean =>
      isCalm(nowMs - ms) && conditions.bothWays('network', node, peer, nowMs - ms, nowMs);
    const cutMs = nowMs - CUT_KNOWN_MS;
    if (isOnNetwork(path)) {
      const isWrong = isCalm(cutMs) && conditions.wasCut(node, peer, cutMs, nowMs);
      return isWrong && conditions.replays.none(cutMs, nowMs) ? 'calls a network the way that is cut' : null;
    }
    if (isOnNetwork(before) && isGood(NETWORK_SETTLED_MS)) return `leaves a good network for ${path}`;
    if (isGood(NETWORK_TRUSTED_MS)) return `is ${path}, though the network is good`;
    const storageMs = nowMs - STORAGE_TAKEN_MS;
    const hasStorage = isCalm(storageMs) && conditions.bothWays('storage', node, peer, storageMs, nowMs);
    return hasStorage && path === 'isolated' ? 'is isolated, though the storage is good' : null;
  }
}
