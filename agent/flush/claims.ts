/**
 * [RING1] Whose unread batches may not be overwritten. A live reader has a claim on the ring behind it. It loses the
 * claim when the ring has been short of room for CLAIM_MS, it read next to nothing in that time, and another reader is
 * well ahead: nobody waits for the slowest, and a pair alone is held by nothing but its own window. It may claim again
 * when it has read something since, after a pause that doubles while it goes on like that.
 *
 * A reader that is overrun finds that out by itself, goes on at the writer's head, and says what it still waits for.
 */
import { PEER, PEER_TIME, type PeerWords } from '../queue/shared-state.ts';

const CLAIM_MS = 100;
/** Who reads less than this share of the ring in CLAIM_MS delivers what is old by then. */
const PROGRESS_SHARE = 16;
const PAUSE_MS_MIN = 500;
const PAUSE_MS_MAX = 8000;
/** A reader that kept its claim for so long is trusted as at first. */
const TRUSTED_MS = 10_000;

/** A peer's words, and its place in the shared state. */
export interface ClaimPeer extends PeerWords {
  readonly seat: number;
}

interface Claim {
  /** The incarnation's tag: a successor begins without a past. */
  tag: number;
  isLost: boolean;
  lostMs: number;
  pauseMs: number;
  regainedMs: number;
  readAtLoss: number;
  /** Since when its reading is looked at, and how far it had read then; -1 when it is not. */
  lookMs: number;
  readBefore: number;
}

const newClaim = (tag: number): Claim => ({
  tag,
  isLost: false,
  lostMs: 0,
  pauseMs: 0,
  regainedMs: -Infinity,
  readAtLoss: 0,
  lookMs: -1,
  readBefore: 0,
});

export class RingClaims<Peer extends ClaimPeer = ClaimPeer> {
  readonly #slotBytes: number;
  #peers: readonly Peer[] = [];
  #claims: Claim[] = [];
  #isShort = false;
  /** How often a reader lost its claim. */
  losses = 0;

  constructor(slotBytes: number, peers: readonly Peer[]) {
    this.#slotBytes = slotBytes;
    this.apply(peers);
  }

  /** Peers came or went: who stays keeps its claim, or its loss. */
  apply(peers: readonly Peer[]): void {
    const former = new Map(this.#peers.map(({ seat }, i) => [seat, this.#claims[i]]));
    this.#peers = peers;
    this.#claims = peers.map(({ seat }) => former.get(seat) ?? newClaim(0));
  }

  /** Ring bytes before the slowest reader with a claim; negative when that one has been overrun. */
  space(position: number, nowMs: number): number {
    let oldest = position;
    this.#peers.forEach((peer, i) => {
      if (this.#holds(peer, i, nowMs)) oldest = Math.min(oldest, readOf(peer));
    });
    return this.#slotBytes - (position - oldest);
  }

  #holds(peer: PeerWords, index: number, nowMs: number): boolean {
    const read = readOf(peer);
    // A newcomer that has not said yet where it reads begins near our head: nothing of the past is kept for it.
    if (read === 0 || Atomics.load(peer.words, PEER.live) !== 1) return false;
    const claim = this.#claim(peer, index);
    if (!claim.isLost) return true;
    if (read <= claim.readAtLoss || nowMs - claim.lostMs < claim.pauseMs) return false;
    claim.isLost = false;
    claim.regainedMs = nowMs;
    return true;
  }

  #claim(peer: PeerWords, index: number): Claim {
    const tag = peer.words[PEER.tag] ?? 0;
    const known = this.#claims[index];
    if (known?.tag === tag) return known;
    return (this.#claims[index] = newClaim(tag));
  }

  /**
   * Called when packets are to be written. `isShort`: data has to wait for room. `isDeaf`: our reader of this peer does not
   * get its answers now, so that its silence says nothing about itself.
   */
  look(isShort: boolean, isDeaf: (peer: Peer) => boolean, position: number, nowMs: number): void {
    if (!isShort && !this.#isShort) return;
    this.#isShort = isShort;
    const due: Claim[] = [];
    this.#peers.forEach((peer, i) => {
      const claim = this.#claim(peer, i);
      if (!isShort) claim.lookMs = -1;
      else if (claim.lookMs < 0 || isDeaf(peer)) beginLook(claim, peer, nowMs);
      else if (nowMs - claim.lookMs >= CLAIM_MS) due.push(claim);
    });
    if (due.length === 0) return;
    this.#judge(due, position, nowMs);
    this.#peers.forEach((peer, i) => {
      const claim = this.#claim(peer, i);
      if (due.includes(claim)) beginLook(claim, peer, nowMs);
    });
  }

  #judge(due: readonly Claim[], position: number, nowMs: number): void {
    const holders = [...this.#peers.keys()].filter((i) => this.#holds(this.#peers[i] as Peer, i, nowMs));
    const behind = holders.map((i) => position - readOf(this.#peers[i] as Peer));
    const nearest = Math.min(...behind);
    holders.forEach((index, i) => {
      const claim = this.#claims[index] as Claim;
      const read = readOf(this.#peers[index] as Peer);
      const isSlow = read - claim.readBefore < this.#slotBytes / PROGRESS_SHARE;
      const distance = behind[i] ?? 0;
      if (!due.includes(claim) || !isSlow || distance <= this.#slotBytes / 2 || nearest >= distance / 2) return;
      lose(claim, read, nowMs);
      this.losses++;
    });
  }
}

function beginLook(claim: Claim, peer: PeerWords, nowMs: number): void {
  claim.lookMs = nowMs;
  claim.readBefore = readOf(peer);
}

function lose(claim: Claim, read: number, nowMs: number): void {
  const isTrusted = nowMs - claim.regainedMs > TRUSTED_MS;
  claim.pauseMs = isTrusted ? PAUSE_MS_MIN : Math.min(PAUSE_MS_MAX, 2 * claim.pauseMs);
  claim.isLost = true;
  claim.lostMs = nowMs;
  claim.readAtLoss = read;
}

const readOf = (peer: PeerWords): number => peer.times[PEER_TIME.peerReadPosition] ?? 0;
