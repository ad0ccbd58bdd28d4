/**
 * The figures for Prometheus, each with where it comes from in the status document. One table: what is served is what stands
 * here, and a test holds README's table against it. Names follow Prometheus: base units (seconds, bytes), `_total` for what only grows.
 */
import { PATHS } from '../base/paths.ts';

type Values = Readonly<Record<string, unknown>>;
export type Labels = Readonly<Record<string, string>>;
/** A value with its labels; what is not known is left out. */
export type Sample = readonly [value: unknown, labels?: Labels];

export interface Metric {
  readonly name: string;
  readonly type: 'counter' | 'gauge';
  readonly help: string;
  readonly labels: readonly string[];
  readonly samples: (document: Values) => readonly Sample[];
}

/** What the main thread counts itself since the program began. */
export interface OwnCounts {
  readonly events: ReadonlyMap<string, number>;
  /** By peer and path, joined by a space. */
  readonly changes: ReadonlyMap<string, number>;
  readonly hookRuns: ReadonlyMap<string, number>;
}

const at = (values: unknown, path: string): unknown =>
  path.split('.').reduce<unknown>((found, key) => (found as Values | null | undefined)?.[key], values);

const peersOf = (document: Values): readonly Values[] => (document['peers'] as Values[] | undefined) ?? [];

const seconds = (milliseconds: unknown): unknown => (typeof milliseconds === 'number' ? milliseconds / 1000 : null);

/** The value at `path` of the document. */
const one = (path: string, change: (value: unknown) => unknown = (value) => value) => {
  return (document: Values): Sample[] => [[change(at(document, path))]];
};

const ofPeers = (path: string, change: (value: unknown) => unknown = (value) => value) => {
  return (document: Values): Sample[] =>
    peersOf(document).map((peer) => [change(at(peer, path)), { peer: String(peer['node']) }]);
};

const TYPES = ['heartbeat', 'data', 'bulk'];
const ofQueues = (key: string) => {
  return (document: Values): Sample[] =>
    peersOf(document).flatMap((peer) =>
      TYPES.map((type): Sample => [at(peer, `queues.${type}.${key}`), { peer: String(peer['node']), type }]),
    );
};

const ofReasons = (group: string, reasons: readonly string[]) => {
  return (document: Values): Sample[] =>
    peersOf(document).flatMap((peer) =>
      reasons.map((reason): Sample => [at(peer, `${group}.${reason}`), { peer: String(peer['node']), reason }]),
    );
};

const gauge = (name: string, help: string, samples: Metric['samples'], labels: readonly string[] = []): Metric => ({
  name: `stillbeat_${name}`,
  type: 'gauge',
  help,
  labels,
  samples,
});

const counter = (name: string, help: string, samples: Metric['samples'], labels: readonly string[] = []): Metric => ({
  ...gauge(`${name}_total`, help, samples, labels),
  type: 'counter',
});

const PEER = ['peer'];

const agentMetrics: readonly Metric[] = [
  gauge(
    'info',
    'Always 1; what runs, in labels',
    (document) => [
      [
        1,
        {
          cluster: String(document['cluster']),
          node: String(document['node']),
          version: String(document['version']),
          mode: String(at(document, 'primary.mode')),
          authenticated: String(document['authenticated']),
        },
      ],
    ],
    ['cluster', 'node', 'version', 'mode', 'authenticated'],
  ),
  gauge(
    'switch_up',
    '1 while the switch thread answers',
    one('switch', (value) => value === 'answering'),
  ),
  gauge('resident_memory_bytes', 'Memory of the agent', () => [[process.memoryUsage.rss()]]),
  counter('processor_seconds', 'Processor time of the agent', () => {
    const { user, system } = process.cpuUsage();
    return [[(user + system) / 1e6]];
  }),
  counter('interface_packets', 'Packets read from the interface', one('vnic.frames')),
  counter('interface_unaddressed_packets', 'Of these, for no known peer', one('vnic.unaddressed')),
  counter('interface_stale_packets', 'Thrown away after a standstill of the agent', one('vnic.stale')),
  gauge('network_carrier', '1 with a carrier; left out where it is not watched', one('primary.carrier')),
  counter('network_strangers', 'Datagrams from addresses that are no peer’s', one('primary.strangers')),
  counter('network_send_errors', 'Sends that the kernel refused', one('primary.sendErrors')),
];

const storageMetrics: readonly Metric[] = [
  gauge('storage_available', '1 while our own writes succeed in time', one('storage.available')),
  gauge('storage_writing', '1 while a write is under way', one('storage.writing')),
  gauge('storage_last_write_seconds', 'How long the last good write took', one('storage.lastWriteMs', seconds)),
  gauge('storage_since_write_seconds', 'Since the last good write', one('storage.sinceWriteMs', seconds)),
  gauge('storage_direct', '1 while O_DIRECT is in use', one('storage.direct')),
  counter('storage_writes', 'Good writes', one('storage.writes')),
  counter('storage_batches', 'Batches written with packets', one('storage.batches')),
  counter('storage_written_bytes', 'Bytes written', one('storage.bytesWritten')),
  counter('storage_reads', 'Reads', one('storage.reads')),
  counter('storage_read_bytes', 'Bytes read', one('storage.bytesRead')),
  counter('storage_write_errors', 'Writes that failed', one('storage.writeErrors')),
  counter('storage_read_errors', 'Reads that failed', one('storage.readErrors')),
  counter('storage_expired_packets', 'Dropped before the write: too old', one('storage.expired')),
  gauge(
    'write_buffer_bytes',
    'Bytes that wait to be written',
    (document) => ['control', ...TYPES].map((type): Sample => [at(document, `queues.${type}`), { type }]),
    ['type'],
  ),
];

const peerMetrics: readonly Metric[] = [
  gauge(
    'peer_path',
    '1 for the path to the peer that holds, 0 for the others',
    (document) =>
      peersOf(document).flatMap((peer) =>
        PATHS.map((path): Sample => [peer['path'] === path, { peer: String(peer['node']), path }]),
      ),
    ['peer', 'path'],
  ),
  gauge(
    'peer_path_since_timestamp_seconds',
    'When this path began, in seconds since 1970',
    ofPeers('since', (since) => seconds(Date.parse(String(since)))),
    PEER,
  ),
  gauge(
    'peer_overridden',
    '1 while an operator’s override holds',
    ofPeers('override', (o) => o !== 'auto'),
    PEER,
  ),
  gauge('peer_hold_seconds', 'How long the network must be good before the return', ofPeers('holdMs', seconds), PEER),
  gauge('peer_accepted', '1 while we take the peer’s packets', ofPeers('accepted'), PEER),
  gauge('peer_accepted_by_peer', '1 while the peer takes ours', ofPeers('acceptedByPeer'), PEER),
  counter('peer_sent_packets', 'Packets to the peer', ofPeers('sent'), PEER),
  counter('peer_received_packets', 'Packets from the peer, delivered', ofPeers('received'), PEER),
  counter('peer_lost_packets', 'Packets from the peer known to be missing', ofPeers('lost'), PEER),
  counter('peer_duplicate_packets', 'Packets that came again, delivered once', ofPeers('duplicates'), PEER),
  counter('peer_too_old_packets', 'Packets dropped on arrival: too old', ofPeers('tooOld'), PEER),
  gauge('peer_network_reachable', '1 while we hear the peer on the network', ofPeers('network.reachable'), PEER),
  gauge('peer_network_hears_us', '1 while the peer says that it hears us', ofPeers('network.hearsUs'), PEER),
  gauge('peer_network_round_trip_seconds', 'Round trip on the network', ofPeers('network.rttMs', seconds), PEER),
  counter(
    'peer_network_refused_datagrams',
    'Datagrams refused, by reason',
    ofReasons('network', ['unauthentic', 'replayed', 'garbage']),
    ['peer', 'reason'],
  ),
  gauge('peer_storage_fresh', '1 while the peer’s beacon is read in time', ofPeers('storage.fresh'), PEER),
  counter('peer_storage_misses', 'Times that it was not', ofPeers('storage.misses'), PEER),
  gauge('peer_storage_lag_seconds', 'Age of its newest batch when read', ofPeers('storage.lagMs', seconds), PEER),
  gauge('peer_storage_behind_bytes', 'Written by it, not yet read', ofPeers('storage.behindBytes'), PEER),
  counter('peer_storage_batches', 'Batches read from the peer', ofPeers('storage.batches'), PEER),
  counter(
    'peer_storage_refused_batches',
    'Batches refused, by reason',
    ofReasons('storage', ['torn', 'stale', 'foreign', 'damaged', 'replayed']),
    ['peer', 'reason'],
  ),
  counter(
    'peer_storage_overruns',
    'Times the peer wrote over what was not yet read',
    ofPeers('storage.overruns'),
    PEER,
  ),
  counter('peer_storage_skipped_batches', 'Batches given up', ofPeers('storage.skipped'), PEER),
];

const QUEUE = ['peer', 'type'];
const queueMetrics: readonly Metric[] = [
  gauge('queue_packets', 'Packets that wait, or are kept until confirmed', ofQueues('depth'), QUEUE),
  gauge('queue_bytes', 'Bytes of these', ofQueues('bytes'), QUEUE),
  counter('queue_sent_packets', 'Packets of the type to the peer', ofQueues('sent'), QUEUE),
  counter('queue_dropped_packets', 'Dropped for want of room', ofQueues('dropped'), QUEUE),
  counter('queue_expired_packets', 'Too old before they left', ofQueues('expired'), QUEUE),
  counter('queue_resent_packets', 'Sent again at a change of ways', ofQueues('resent'), QUEUE),
];

/** Counters of the main thread: short changes that no scrape would see are in them. */
const ownMetrics = ({ events, changes, hookRuns }: OwnCounts): readonly Metric[] => [
  counter('events', 'Events, as in the log', () => [...events].map(([kind, n]): Sample => [n, { kind }]), ['kind']),
  counter(
    'peer_path_changes',
    'Changes to a path, without suspect',
    () =>
      [...changes].map(([key, n]): Sample => {
        const [peer = '', path = ''] = key.split(' ');
        return [n, { peer, path }];
      }),
    ['peer', 'path'],
  ),
  counter(
    'hook_runs',
    'Runs of hooks.onPath, by result: done or failed',
    () => ['done', 'failed'].map((result): Sample => [hookRuns.get(result) ?? 0, { result }]),
    ['result'],
  ),
];

export const metricsTable = (counts: OwnCounts): readonly Metric[] => [
  ...agentMetrics,
  ...storageMetrics,
  ...peerMetrics,
  ...queueMetrics,
  ...ownMetrics(counts),
];
