/** The `status` document: what the switch knows, what the storage does, and what happened lately. */
import { type Agent, type ReceiveVolume, wallOf } from './agent.ts';
import { AgentError } from './base/errors.ts';
import { toHex } from './base/bytes.ts';
import { isPeerKeyKnown, peerKeyId } from './key-watch.ts';
import type { CorosyncDocument } from './operate/corosync-advice.ts';
import type { LoggedEvent } from './operate/event-log.ts';
import { systemClock } from './platform/clock.ts';
import { errnoName } from './platform/native.ts';
import { VERSION } from './platform/version.ts';
import { READER, READER_TIME, readingMs, readsInTime } from './queue/reader-words.ts';
import { AGENT, AGENT_TIME, PEER, type PeerWords } from './queue/shared-state.ts';
import type { PeerSnapshot } from './switch/snapshot.ts';
import { READ_COUNTERS } from './volume/slot-reader.ts';
import { keyId } from './wire/keys.ts';

export type StatusDocument = Readonly<Record<string, unknown>>;

/**
 * Makes the document; `events` are the newest, oldest first; `messages` the figures of programs' messages. When the switch thread hangs it is made of what shared
 * memory holds: then of all times somebody wants to know how the agent is.
 */
export async function statusDocument(
  agent: Agent,
  events: readonly LoggedEvent[],
  corosync: CorosyncDocument,
  messages: Readonly<Record<string, number>>,
): Promise<StatusDocument> {
  const { settings } = agent;
  const seen = await agent.snapshot().catch((error: unknown) => {
    if (error instanceof AgentError) return null;
    throw error;
  });
  return {
    cluster: settings.cluster,
    node: settings.node,
    pid: process.pid,
    version: VERSION,
    incarnation: Buffer.from(agent.incarnation).toString('hex'),
    authenticated: settings.keyFile !== null,
    keys: agent.keys.map((key) => toHex(keyId(key))),
    switch: seen ? 'answering' : 'not answering',
    vnic: {
      name: settings.vnic.name,
      addresses: settings.vnic.addresses.map(({ address, prefix }) => `${address}/${prefix}`),
      mtu: settings.vnic.mtu,
      frames: seen?.frames ?? null,
      unaddressed: seen?.unaddressed ?? null,
      stale: seen?.stale ?? null,
    },
    primary: {
      mode: settings.primary.mode,
      interface: settings.primary.interface,
      carrier: seen?.carrier ?? null,
      ...seen?.tunnel,
    },
    storage: storage(agent, seen?.nowMs ?? systemClock.monotonicMs()),
    gateway: gateway(agent),
    queues: seen?.writeBuffer ?? null,
    messages,
    peers: seen?.peers.map((peer) => peerDocument(agent, peer)) ?? [],
    corosync,
    events,
  };
}

const round = (value: number): number => Math.round(value * 1000) / 1000;

function storage(agent: Agent, nowMs: number): Readonly<Record<string, unknown>> {
  const { words, times } = agent.state;
  const { volumes } = agent;
  const time = (index: number) => times[index] ?? 0;
  const { writeDeadlineMs } = agent.settings.storage;
  const receive = agent.receiveVolumes.map((volume) => receiveDocument(volume, writeDeadlineMs, nowMs));
  const { reads, bytesRead, readErrors } = agent.state.readTotals;
  return {
    available: agent.state.storageAvailable(agent.settings.storage, nowMs),
    volume: volumes.send.path,
    direct: volumes.isDirect,
    sectorBytes: volumes.sectorBytes,
    slotBytes: volumes.send.slotBytes,
    lastWriteMs: round(time(AGENT_TIME.lastWriteMs)),
    sinceWriteMs: round(nowMs - time(AGENT_TIME.writtenMs)),
    writing: Atomics.load(words, AGENT.writing) === 1,
    writeError: errorName(Atomics.load(words, AGENT.writeErrno)),
    readError: receive.find((volume) => volume.readError !== null)?.readError ?? null,
    writes: time(AGENT_TIME.writes),
    batches: time(AGENT_TIME.batches),
    flushWakes: Atomics.load(words, AGENT.flushBeat),
    bytesWritten: time(AGENT_TIME.bytesWritten),
    reads,
    bytesRead,
    writeErrors: time(AGENT_TIME.writeErrors),
    readErrors,
    expired: time(AGENT_TIME.expired),
    copy: agent.copy,
    receive,
  };
}

const errorName = (errno: number): string | null => (errno === 0 ? null : errnoName(errno));

/** A receive volume, by itself. */
export interface ReceiveDocument {
  readonly volume: string;
  readonly peers: readonly string[];
  readonly available: boolean;
  readonly readError: string | null;
  readonly readingMs: number;
  readonly reads: number;
  readonly bytesRead: number;
  readonly readErrors: number;
}

function receiveDocument({ path, peers, words }: ReceiveVolume, deadlineMs: number, nowMs: number): ReceiveDocument {
  const total = (index: number) => words.times[index] ?? 0;
  return {
    volume: path,
    peers,
    available: readsInTime(words, nowMs, deadlineMs),
    readError: errorName(Atomics.load(words.words, READER.errno)),
    readingMs: round(readingMs(words, nowMs)),
    reads: total(READER_TIME.reads),
    bytesRead: total(READER_TIME.bytesRead),
    readErrors: total(READER_TIME.readErrors),
  };
}

const keyOf = (shared: PeerWords | undefined): Readonly<Record<string, unknown>> => ({
  key: shared ? peerKeyId(shared) : null,
  keyKnown: shared ? isPeerKeyKnown(shared) : true,
});

function gateway({ gateway }: Agent): Readonly<Record<string, unknown>> {
  const nobody = { use: [], using: null, chosen: null };
  const none = { offer: false, offering: false, ...nobody, outside: null, reason: null, sinceMs: null };
  const { sinceMs, ...rest } = gateway ?? none;
  return { ...rest, since: sinceMs === null ? null : new Date(wallOf(sinceMs)).toISOString() };
}

function peerDocument(agent: Agent, peer: PeerSnapshot): Readonly<Record<string, unknown>> {
  const { sinceMs, network, storage: way, seat, ...rest } = peer;
  const shared = agent.state.peers[seat];
  const words = shared?.words ?? new Int32Array(0);
  const counters = Object.fromEntries(READ_COUNTERS.map((name, i) => [name, words[PEER.readCounters + i] ?? 0]));
  const rounded = (value: number | null) => (value === null ? null : round(value));
  return {
    ...rest,
    since: new Date(wallOf(sinceMs)).toISOString(),
    network: { ...network, rttMs: rounded(network.rttMs), clockOffsetMs: rounded(network.clockOffsetMs) },
    storage: { ...way, lagMs: rounded(way.lagMs), ...counters, ...keyOf(shared) },
  };
}
