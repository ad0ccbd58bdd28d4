/** The replicator's figures for Prometheus, of its status document: a source's and a target's, of which each serves what it has. */
import { COPY_STATES } from '../operate/metrics-copies.ts';
import {
  type Labels,
  type Lists,
  type Metric,
  metric,
  metricOf,
  oneOf,
  OWN_PROCESS,
  type Row,
} from '../operate/metrics-rows.ts';
import { VERSION } from '../platform/version.ts';

const INFO = ['group', 'role', 'name', 'acknowledge'];
/** A source's, then a target's. */
const STATES = [
  ...COPY_STATES,
  'outdated',
  'released',
  'overtaken',
  'split-brain',
  'consistent',
  'applying',
  'taking-over',
];

/** Of what a target keeps itself. */
const HISTORY = ['away', 'filling', 'recording'];

const LISTS: Lists = {
  'targets[]': { label: 'target', key: 'name' },
  'volumes[]': { label: 'volume', key: 'name' },
};

const ROWS: readonly Row[] = [
  ['state', '1 for the state of the group, 0 for the others', 'state', oneOf('state', STATES)],
  ['cut_mark', 'What the volumes of the copies show', 'cut'],
  ['admitted_mark', 'Writes that were taken', 'marks.admitted'],
  ['durable_mark', 'Of these, durable in the journal', 'marks.durable'],
  ['closed_mark', 'Of these, in closed cycles', 'marks.closed'],
  ['arrived_mark', 'Writes that have arrived', 'received'],
  ['arrived_durable_mark', 'Of these, durable in the journal', 'durable'],
  ['committed_mark', 'Of these, allowed to be shown', 'committed'],
  ['journal_bytes', 'Size of the journal’s ring', 'journal.bytes'],
  ['journal_used_bytes', 'What of it is in use', 'journal.usedBytes'],
  ['journal_errno', 'Why the journal takes nothing; 0: it does', 'journal.errno'],
  ['journal_hung_seconds', 'Since when a call to it has not come back; 0: none', 'journal.hungMs'],
  ['storage_away', '1 while the volumes do not keep up: the journal stands in', 'storage.away'],
  ['storage_errno', 'Why the volumes take nothing; 0: they do', 'storage.errno'],
  ['storage_hung_seconds', 'Since when a call to them has not come back; 0: none', 'storage.hungMs'],
  ['storage_unflushed_bytes', 'Not on the flushed volumes yet', 'storage.unflushedBytes'],
  ['volume_bytes', 'Size of the volume', 'volumes[].bytes'],
  [
    'history_state',
    '1 for the state of a target’s history, 0 for the others',
    'history.state',
    oneOf('state', HISTORY),
  ],
  ['history_failing', '1 while nothing is recorded because something is wrong', 'history.isFailing'],
  ['history_kept_mark', 'Recorded up to here', 'history.kept'],
  ['history_lag_bytes', 'Shown, and not recorded yet', 'history.lagBytes'],
  ['history_let_go_total', 'How often it did not keep up, and missed some', 'history.letGo'],
  ['history_stored_bytes', 'What is recorded, beside the base', 'history.storedBytes'],

  ['target_state', '1 for the state of the target, 0 for the others', 'targets[].state', oneOf('state', COPY_STATES)],
  ['target_received_mark', 'In memory at the target', 'targets[].received'],
  ['target_durable_mark', 'Durable at the target', 'targets[].durable'],
  ['target_applied_mark', 'What the target shows', 'targets[].applied'],
  ['target_lag_writes', 'Writes that are not durable at the target', 'targets[].lag.marks'],
  ['target_lag_bytes', 'Bytes of these', 'targets[].lag.bytes'],
  ['target_lag_seconds', 'Since when the oldest of these waits', 'targets[].lag.seconds'],
  ['target_out_of_sync_bytes', 'What the target may lack beside the journal', 'targets[].outOfSyncBytes'],
  ['target_connections', 'Connections that carry writes to the target', 'targets[].connections'],
  ['target_room_bytes', 'Room in the target’s journal', 'targets[].roomBytes'],
  ['target_resync_done_regions', 'Of a comparison: done', 'targets[].resync.done'],
  ['target_resync_regions', 'Of a comparison: in all', 'targets[].resync.total'],
  ['target_resync_left_seconds', 'Of a comparison: time left', 'targets[].resync.secondsLeft'],
  ['target_verify_differing_bytes', 'What the last verify found to differ', 'targets[].verify.differingBytes'],
  ['target_journal_errno', 'Of the target’s journal, as it last said', 'targets[].journal.errno'],
  ['target_storage_errno', 'Of the target’s volumes, as it last said', 'targets[].storage.errno'],
];

const prefixed = ([name, ...rest]: Row): Row => [`mirror_${name}`, ...rest];

/** What no single key of the document says. */
const OTHERS: readonly Metric[] = [
  metric('mirror_info', 'Always 1; what runs, in labels', [...INFO, 'version'], (document) => {
    const said = INFO.map((label) => [label, typeof document[label] === 'string' ? document[label] : '']);
    return [[1, { ...(Object.fromEntries(said) as Labels), version: VERSION }]];
  }),
  metric('mirror_links', 'Connections from the source', [], (document) => {
    const links = document['links'];
    return [[Array.isArray(links) ? links.length : null]];
  }),
];

export const MIRROR_METRICS: readonly Metric[] = [
  ...OTHERS,
  ...OWN_PROCESS,
  ...ROWS.map((row) => metricOf(prefixed(row), LISTS)),
];
