/** From settings and volumes to what each peer's link needs. */
import { sameBytes } from '../base/bytes.ts';
import { storageWindowBytes } from '../core/lane-sender.ts';
import type { HeadWord, LinkSettings } from '../core/peer-link.ts';
import type { ReceiveFacts, ThreadContext } from '../threads.ts';
import type { Head } from '../volume/head.ts';
import { HELLO_FLAG, KIND } from '../wire/message.ts';

export function linkSettings(context: ThreadContext): LinkSettings[] {
  const { settings } = context;
  const { probe, mode } = settings.primary;
  return settings.peers.map((peer, i) => ({
    name: peer.node,
    sendSlot: context.peerSlots[i] ?? 0,
    judge: { ...probe, hasNetwork: mode !== 'none' },
    maxAgeMs: settings.storage.maxAgeMs,
    beaconMs: settings.storage.beaconMs,
    retainBytes: settings.queues.retainBytes,
    storageWindowBytes: storageWindowBytes(context.send.slotBytes),
    readAgainBytes: Math.min(READ_AGAIN_BYTES_MAX, (receiveOf(context, i)?.volume.slotBytes ?? 0) / 4),
  }));
}

const READ_AGAIN_BYTES_MAX = 4 * 1024 * 1024;

const receiveOf = (context: ThreadContext, peer: number): ReceiveFacts | undefined =>
  context.receive.find(({ peers }) => peers.some(({ index }) => index === peer));

const NOTHING = new Uint8Array(16);

/** The part of a peer's head block that is for us, as the words of a hello. */
export function toHeadWord(context: ThreadContext, peer: number, head: Head): HeadWord {
  return headWordFor(head, receiveOf(context, peer)?.volume.ownSlot ?? -1);
}

export function headWordFor(head: Head, ownSlot: number): HeadWord {
  const entry = head.entries.find((candidate) => candidate.peerIndex === ownSlot);
  const echoes = entry !== undefined && !sameBytes(entry.echoIncarnation, 0, NOTHING, 0, 16);
  return {
    kind: KIND.hello,
    incarnation: head.incarnation,
    position: head.position,
    startPosition: head.startPosition,
    orderMark: head.orderMark,
    monotonicUs: head.monotonicUs,
    nextData: entry?.nextData ?? 0,
    nextBulk: entry?.nextBulk ?? 0,
    floorData: entry?.floorData ?? 0,
    floorBulk: entry?.floorBulk ?? 0,
    flags: (entry?.flags ?? 0) & (echoes ? 0xff : ~HELLO_FLAG.echoes),
    path: entry?.path ?? 0,
    floorHeartbeat: entry?.floorHeartbeat ?? 0,
    echoIncarnation: entry?.echoIncarnation ?? NOTHING,
    echoMonotonicUs: entry?.echoMonotonicUs ?? 0,
    echoDelayUs: entry?.echoDelayUs ?? 0,
  };
}
