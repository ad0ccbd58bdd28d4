/**
 * The agent's figures for Prometheus, each with where it comes from in the status document. One table: what is served is what
 * stands here, and a test holds README's table against it.
 */
import { PATHS } from '../base/paths.ts';
import { COPY_ROWS } from './metrics-copies.ts';
import {
  formed,
  isSaid,
  type Lists,
  type Metric,
  metric,
  metricOf,
  oneOf,
  OWN_PROCESS,
  type Row,
  type Sample,
  type Values,
} from './metrics-rows.ts';

/** What the main thread counts itself since the program began. */
export interface OwnCounts {
  readonly events: ReadonlyMap<string, number>;
  /** By peer and path, joined by a space. */
  readonly changes: ReadonlyMap<string, number>;
  readonly hookRuns: ReadonlyMap<string, number>;
}

const DOCUMENT: readonly Row[] = [
  ['switch_up', '1 while the switch thread answers', 'switch', formed((value) => value === 'answering')],
  ['interface_packets_total', 'Packets read from the interface', 'vnic.frames'],
  ['interface_unaddressed_packets_total', 'Of these, for no known peer', 'vnic.unaddressed'],
  ['interface_stale_packets_total', 'Thrown away after a standstill of the agent', 'vnic.stale'],
  ['network_carrier', '1 with a carrier; left out where it is not watched', 'primary.carrier'],
  ['network_strangers_total', 'Datagrams from addresses that are no peer’s', 'primary.strangers'],
  ['network_send_errors_total', 'Sends that the kernel refused', 'primary.sendErrors'],

  ['storage_available', '1 while our own writes succeed in time', 'storage.available'],
  ['storage_writing', '1 while a write is under way', 'storage.writing'],
  ['storage_last_write_seconds', 'How long the last good write took', 'storage.lastWriteMs'],
  ['storage_since_write_seconds', 'Since the last good write', 'storage.sinceWriteMs'],
  ['storage_direct', '1 while O_DIRECT is in use', 'storage.direct'],
  ['storage_writes_total', 'Good writes', 'storage.writes'],
  ['storage_batches_total', 'Batches written with packets', 'storage.batches'],
  ['storage_written_bytes_total', 'Bytes written', 'storage.bytesWritten'],
  ['storage_reads_total', 'Reads', 'storage.reads'],
  ['storage_read_bytes_total', 'Bytes read', 'storage.bytesRead'],
  ['storage_write_errors_total', 'Writes that failed', 'storage.writeErrors'],
  ['storage_read_errors_total', 'Reads that failed', 'storage.readErrors'],
  ['storage_expired_packets_total', 'Dropped before the write: too old', 'storage.expired'],
  ['receive_available', '1 while reads of the volume succeed in time', 'storage.receive[].available'],
  ['receive_reading_seconds', 'Since the read under way began; 0: none', 'storage.receive[].readingMs'],
  ['receive_reads_total', 'Reads of the volume', 'storage.receive[].reads'],
  ['receive_read_errors_total', 'Reads of the volume that failed', 'storage.receive[].readErrors'],
  ['write_buffer_bytes', 'Bytes that wait to be written', 'queues.{type:control|heartbeat|data|bulk}'],

  ['peer_path', '1 for the path to the peer that holds, 0 for the others', 'peers[].path', oneOf('path', PATHS)],
  [
    'peer_path_since_timestamp_seconds',
    'When this path began, in seconds since 1970',
    'peers[].since',
    formed((since) => Date.parse(String(since)) / 1000),
  ],
  [
    'peer_overridden',
    '1 while an operator’s override holds',
    'peers[].override',
    formed((override) => override !== 'auto'),
  ],
  ['peer_hold_seconds', 'How long the network must be good before the return', 'peers[].holdMs'],
  ['peer_accepted', '1 while we take the peer’s packets', 'peers[].accepted'],
  ['peer_accepted_by_peer', '1 while the peer takes ours', 'peers[].acceptedByPeer'],
  ['peer_knows_us', '0 when the peer’s agent runs and has not this node among its peers', 'peers[].knowsUs'],
  ['peer_address_differs', '1 while the peer has other addresses than we know', 'peers[].otherAddresses', isSaid],
  ['peer_sent_packets_total', 'Packets to the peer', 'peers[].sent'],
  ['peer_received_packets_total', 'Packets from the peer, delivered', 'peers[].received'],
  ['peer_lost_packets_total', 'Packets from the peer known to be missing', 'peers[].lost'],
  ['peer_duplicate_packets_total', 'Packets that came again, delivered once', 'peers[].duplicates'],
  ['peer_too_old_packets_total', 'Packets dropped on arrival: too old', 'peers[].tooOld'],
  ['peer_network_reachable', '1 while we hear the peer on the network', 'peers[].network.reachable'],
  ['peer_network_hears_us', '1 while the peer says that it hears us', 'peers[].network.hearsUs'],
  ['peer_network_round_trip_seconds', 'Round trip on the network', 'peers[].network.rttMs'],
  [
    'peer_network_refused_datagrams_total',
    'Datagrams refused, by reason',
    'peers[].network.{reason:unauthentic|replayed|garbage}',
  ],
  [
    'peer_network_other_version_datagrams_total',
    'Datagrams of a tunnel version that this agent does not speak',
    'peers[].network.otherVersion',
  ],
  ['peer_storage_fresh', '1 while the peer’s beacon is read in time', 'peers[].storage.fresh'],
  ['peer_storage_misses_total', 'Times that it was not', 'peers[].storage.misses'],
  ['peer_storage_lag_seconds', 'Age of its newest batch when read, of the last minute', 'peers[].storage.lagMs'],
  ['peer_storage_behind_bytes', 'Written by it, not yet read', 'peers[].storage.behindBytes'],
  ['peer_storage_batches_total', 'Batches read from the peer', 'peers[].storage.batches'],
  [
    'peer_storage_refused_batches_total',
    'Batches refused, by reason',
    'peers[].storage.{reason:torn|stale|foreign|damaged|replayed}',
  ],
  ['peer_storage_overruns_total', 'Times the peer wrote over what was not yet read', 'peers[].storage.overruns'],
  ['peer_storage_skipped_batches_total', 'Batches given up', 'peers[].storage.skipped'],
  [
    'peer_storage_other_version_heads_total',
    'Head blocks of a format version that this agent does not read',
    'peers[].storage.otherVersion',
  ],
  ['peer_key_known', '1 while the key file has the key that the peer seals with', 'peers[].storage.keyKnown'],
  ['peer_bypass_possible', '1 where packets can go past the agents', 'peers[].bypass.possible'],
  ['peer_bypass_active', '1 while the bypassed types go past the agents', 'peers[].bypass.active'],
  ['peer_bypass_willing', '1 while the side would; both must', 'peers[].bypass.{side:here|there}'],
  ['peer_bypass_changes_total', 'Times that the bypass came or went', 'peers[].bypass.changes'],

  [
    'queue_packets',
    'Packets that wait, or are kept until confirmed',
    'peers[].queues.{type:heartbeat|data|bulk}.depth',
  ],
  ['queue_bytes', 'Bytes of these', 'peers[].queues.{type:heartbeat|data|bulk}.bytes'],
  ['queue_sent_packets_total', 'Packets of the type to the peer', 'peers[].queues.{type:heartbeat|data|bulk}.sent'],
  ['queue_dropped_packets_total', 'Dropped for want of room', 'peers[].queues.{type:heartbeat|data|bulk}.dropped'],
  ['queue_expired_packets_total', 'Too old before they left', 'peers[].queues.{type:heartbeat|data|bulk}.expired'],
  ['queue_resent_packets_total', 'Sent again at a change of ways', 'peers[].queues.{type:heartbeat|data|bulk}.resent'],

  ['messages_sent_total', 'Messages written by this node’s programs', 'messages.sent'],
  ['messages_delivered_total', 'Of these, reported in time as read on the peer', 'messages.delivered'],
  ['messages_missed_total', 'Of these, not reported in time', 'messages.missed'],
  ['messages_late_total', 'Of the missed ones, reported later', 'messages.late'],
  ['messages_received_total', 'Messages that came from peers', 'messages.received'],
  ['messages_untaken_total', 'Of these, read by nobody', 'messages.untaken'],
  ['messages_waiting', 'Messages that wait for a program to listen', 'messages.waiting'],
  ['messages_clients', 'Programs connected to messages.socket', 'messages.clients'],

  ['gateway_offering', '1 while this node offers its way to the outside', 'gateway.offering'],
  [
    'gateway_outside',
    '1 for what the own way to the outside is, 0 for the others; left out without a gateway',
    'gateway.outside',
    oneOf('state', ['good', 'out', 'unknown']),
  ],

  ['corosync_one_way_seconds', 'Worst latency to a peer in the last minute', 'corosync.oneWayMs'],
  ['corosync_token_min_seconds', 'The shortest token that it allows', 'corosync.tokenMinMs'],
  ['corosync_token_seconds', 'The token in corosync.conf', 'corosync.configuredTokenMs'],
  ['corosync_token_fits', '1 while the token is long enough', 'corosync.fits'],
  ['corosync_conf_unusable', '1 while corosync.conf is there and cannot be used', 'corosync.problem', isSaid],
];

/** What is said of a peer elsewhere than in `peers`, by its name: 1 for the one named at `key`, 0 for the others of `gateway.use`. */
const gatewayPeers = (key: 'using' | 'chosen') => (document: Values) => {
  const gateway = document['gateway'] as Values;
  return (gateway['use'] as readonly string[]).map((peer): Sample => [gateway[key] === peer, { peer }]);
};

const INFO = ['cluster', 'node', 'version', 'mode', 'authenticated'];

/** What no single key of the document says. */
const OTHERS: readonly Metric[] = [
  metric('info', 'Always 1; what runs, in labels', INFO, (document) => {
    const said: Values = { ...document, mode: (document['primary'] as Values)['mode'] };
    return [[1, Object.fromEntries(INFO.map((label) => [label, String(said[label])]))]];
  }),
  ...OWN_PROCESS,
  metric(
    'gateway_using',
    '1 while new connections to the outside go through the peer',
    ['peer'],
    gatewayPeers('using'),
  ),
  metric(
    'gateway_chosen',
    '1 while connections of the cluster address go through the peer',
    ['peer'],
    gatewayPeers('chosen'),
  ),
];

const LISTS: Lists = {
  'peers[]': { label: 'peer', key: 'node' },
  'receive[]': { label: 'volume', key: 'volume' },
  'targets[]': { label: 'peer', key: 'node' },
  'receives[]': { label: 'peer', key: 'node' },
};

const FROM_DOCUMENT: readonly Metric[] = [...DOCUMENT, ...COPY_ROWS].map((row) => metricOf(row, LISTS));

/** Counters of the main thread: short changes that no scrape would see are in them. */
const ownMetrics = ({ events, changes, hookRuns }: OwnCounts): readonly Metric[] => [
  metric('events_total', 'Events, as in the log', ['kind'], () => [...events].map(([kind, n]) => [n, { kind }])),
  metric('peer_path_changes_total', 'Changes to a path, without suspect', ['peer', 'path'], () =>
    [...changes].map(([key, n]) => {
      const [peer = '', path = ''] = key.split(' ');
      return [n, { peer, path }];
    }),
  ),
  metric('hook_runs_total', 'Runs of hooks.onPath, by result: done or failed', ['result'], () =>
    ['done', 'failed'].map((result) => [hookRuns.get(result) ?? 0, { result }]),
  ),
];

export const metricsTable = (counts: OwnCounts): readonly Metric[] => [
  ...OTHERS,
  ...FROM_DOCUMENT,
  ...ownMetrics(counts),
];
