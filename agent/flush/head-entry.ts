/** What our head block says to one peer, from the words that the threads share. */
import { sameBytes } from '../base/bytes.ts';
import { BULK, DATA, type TypeIndex } from '../base/packet-type.ts';
import { GATE_WORDS } from '../core/gate.ts';
import { PEER, PEER_TIME, type PeerWords } from '../queue/shared-state.ts';
import type { HeadEntry } from '../volume/head.ts';
import { HELLO_FLAG } from '../wire/message.ts';

export function gateNext(words: Int32Array, type: TypeIndex): number {
  return Atomics.load(words, PEER.gates + type * GATE_WORDS + 1) >>> 0;
}

/** `tenant`: the peer's on our send volume. */
export function headEntry(peer: PeerWords, tenant: number, nowMs: number): HeadEntry {
  const { words, times } = peer;
  const seenMs = times[PEER_TIME.echoSeenMs] ?? 0;
  // "I accept you" is said to the accepted one only, and with floors read after it became that.
  const echoIncarnation = peer.echoIncarnation.slice();
  const isAccepted = sameBytes(echoIncarnation, 0, peer.incarnation, 0, 16);
  const flags = words[PEER.flags] ?? 0;
  return {
    peerIndex: tenant,
    flags: isAccepted ? flags : flags & ~HELLO_FLAG.accepts,
    path: words[PEER.path] ?? 0,
    nextData: gateNext(words, DATA),
    nextBulk: gateNext(words, BULK),
    floorHeartbeat: (words[PEER.floorHeartbeat] ?? 0) >>> 0,
    floorData: (words[PEER.floorData] ?? 0) >>> 0,
    floorBulk: (words[PEER.floorBulk] ?? 0) >>> 0,
    echoIncarnation,
    echoMonotonicUs: times[PEER_TIME.echoMonotonicUs] ?? 0,
    echoDelayUs: seenMs === 0 ? 0 : Math.max(0, Math.round((nowMs - seenMs) * 1000)),
    readPosition: times[PEER_TIME.readPosition] ?? 0,
  };
}
