/** From settings and volumes to what each peer's link needs. */
import { sameBytes } from '../base/bytes.ts';
import { storageWindowBytes } from '../core/lane-sender.ts';
import type { HeadWord, LinkSettings } from '../core/peer-link.ts';
import { copyMs, copyStepMs } from '../settings/settings.ts';
import type { ReceiveFacts, Seat, ThreadContext } from '../threads.ts';
import type { Head } from '../volume/head.ts';
import { FORMAT_VERSION, HEAD_STATE } from '../volume/layout.ts';
import { HELLO_FLAG, KIND } from '../wire/message.ts';

export const linkSettings = (context: ThreadContext): LinkSettings[] =>
  context.seats.map((seat) => linkSettingsOf(context, seat));

export function linkSettingsOf(context: ThreadContext, { seat, since, peer, tenant }: Seat): LinkSettings {
  const { primary, storage, queues } = context.settings;
  const { bypass } = context;
  return {
    name: peer.node,
    seat,
    since,
    addresses: peer.addresses,
    sendTenant: tenant,
    judge: { ...primary.probe, hasNetwork: primary.mode !== 'none' },
    hasBypass: (bypass?.routes[peer.node]?.length ?? 0) > 0,
    volumeVersion: FORMAT_VERSION >>> 16,
    maxAgeMs: storage.maxAgeMs,
    beaconMs: storage.beaconMs,
    copyMs: copyMs(context.settings),
    copyStepMs: copyStepMs(context.settings),
    retainBytes: queues.retainBytes,
    storageWindowBytes: storageWindowBytes(context.send.slotBytes),
    readAgainBytes: Math.min(READ_AGAIN_BYTES_MAX, (receiveOf(context, seat)?.volume.slotBytes ?? 0) / 4),
  };
}

const READ_AGAIN_BYTES_MAX = 4 * 1024 * 1024;

const receiveOf = (context: ThreadContext, peer: number): ReceiveFacts | undefined =>
  context.receive.find(({ peers }) => peers.some(({ seat }) => seat === peer));

const NOTHING = new Uint8Array(16);

/** The part of a peer's head block that is for us, as the words of a hello. */
export function toHeadWord(context: ThreadContext, seat: number, head: Head): HeadWord {
  return headWordFor(head, receiveOf(context, seat)?.volume.ownTenant ?? -1);
}

export function headWordFor(head: Head, ownTenant: number): HeadWord {
  const entry = head.entries.find((candidate) => candidate.peerIndex === ownTenant);
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
    claims: { isStopped: head.state === HEAD_STATE.stopped, knowsUs: entry !== undefined, addresses: head.addresses },
  };
}
