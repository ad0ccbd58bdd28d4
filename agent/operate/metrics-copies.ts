/** The agent's figures of how its send volume becomes the peers' receive volume. A kind serves its own and those of all. */
import { isSaid, oneOf, type Row } from './metrics-rows.ts';

const KINDS = ['shared', 'local', 'command', 'mirror'];
/** What a mirror's source says of a target, from good to bad. */
export const COPY_STATES: readonly string[] = [
  'in-sync',
  'replicating',
  'resyncing',
  'scanning',
  'initialising',
  'journaling',
  'bitmap',
  'stopped',
];

const METHOD = 'storage.copy.method';

export const COPY_ROWS: readonly Row[] = [
  ['copy_kind', '1 for how the send volume is copied, 0 for the others', 'storage.copy.kind', oneOf('kind', KINDS)],
  ['copy_written_position_bytes', 'How far the ring is written', 'storage.copy.position'],
  ['copy_copied_position_bytes', 'How far the copy can be read', 'storage.copy.copied'],
  ['copy_lag_bytes', 'What the copy is behind', 'storage.copy.lagBytes'],
  ['copy_lag_seconds', 'Since the oldest of it was written', 'storage.copy.lagMs'],
  ['copy_late', '1 while it is later than allowed', 'storage.copy.late'],
  ['copy_misses_total', 'Times that it was', 'storage.copy.misses'],
  ['copy_failing', '1 while the copy does not get on', 'storage.copy.fault', isSaid],
  ['copy_ring_bytes', 'The ring of this node', 'storage.copy.ringBytes'],
  ['copy_ring_needed_bytes', 'The highest rate of late times the longest lag', 'storage.copy.ringNeededBytes'],
  ['copy_ring_short', '1 while the ring is short of that', 'storage.copy.ringShort'],
  ['copy_within_seconds', 'How late the copy may be', 'storage.copy.withinMs'],

  ['copy_local_writes_total', 'Writes to the copy', `${METHOD}.writes`],
  ['copy_local_written_bytes_total', 'Bytes of these', `${METHOD}.bytes`],
  ['copy_local_errors_total', 'Reads and writes that failed', `${METHOD}.errors`],
  ['copy_local_skipped_bytes_total', 'Written over before they were copied', `${METHOD}.skippedBytes`],

  ['copy_command_running', '1 while the command runs', `${METHOD}.running`],
  ['copy_command_runs_total', 'Runs of the command that have ended', `${METHOD}.runs`],
  ['copy_command_failures_total', 'Of these, failed', `${METHOD}.failures`],
  ['copy_command_last_run_seconds', 'How long the last one took', `${METHOD}.lastRunMs`],

  ['copy_journal_used_bytes', 'What the journal keeps for the peers', `${METHOD}.journalBytes`],
  [
    'copy_target_state',
    '1 for what the copy at the peer is, 0 for the others',
    `${METHOD}.targets[].state`,
    oneOf('state', COPY_STATES),
  ],
  ['copy_target_lag_bytes', 'Not known to be durable at the peer', `${METHOD}.targets[].lagBytes`],
  ['copy_target_resync_done_regions', 'Of a comparison: done', `${METHOD}.targets[].resync.done`],
  ['copy_target_resync_regions', 'Of a comparison: in all', `${METHOD}.targets[].resync.total`],
  ['copy_source_linked', '1 while what the peer writes comes here', `${METHOD}.receives[].linked`],
];
