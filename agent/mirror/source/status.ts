/** What `stillbeat mirror status` says of a source. */
import { systemClock } from '../../platform/clock.ts';
import type { Acknowledge } from '../core/replies.ts';
import type { SourceGroup } from './group.ts';
import type { MirrorSource } from './source.ts';
import type { TargetSession } from './target-session.ts';

/** What of the answered writes can be lost while targets are in sync: in an operator's words. */
const WHAT_CAN_BE_LOST: Readonly<Record<Acknowledge, string>> = {
  sync: 'nothing, as long as the source or a target that is in sync is left',
  // What only a target had is taken back from it when the source goes on without: both go by the source's journal (MI3).
  receipt:
    'what no client has flushed, if the source crashes and goes on, or is lost while its targets lose their power',
  local: 'what no target has yet, if the source is lost for good',
  cycle: 'the last cycles, whole, if the source is lost for good',
};

/** The same as things are: `states` of the targets. With `strict` nobody is answered without them. */
export function whatCanBeLost(policy: Acknowledge, states: readonly string[], isStrict: boolean): string {
  const hasTargets = states.length > 0;
  if (hasTargets && (isStrict || states.includes('in-sync'))) return WHAT_CAN_BE_LOST[policy];
  const also = policy === 'receipt' ? ', or what is not on its disk yet if it crashes' : '';
  const [who, why] = hasTargets ? ['target', 'no target is in sync'] : ['recorder', 'there is no target'];
  return `what no ${who} has yet, if the source is lost for good${also}: ${why}`;
}

type Document = Readonly<Record<string, unknown>>;

export function sourceStatus(source: MirrorSource): Document {
  const { settings, monitor } = source;
  const { superblock } = monitor.journal;
  const { group } = monitor;
  const journal = monitor.status;
  const targets = group.sessions.map((session) => targetStatus(session, group, superblock.volumes));
  const states = targets.map(({ state }) => state);
  const { standing } = source.succession;
  const isServing = standing === 'source' || standing === 'split-brain';
  const isStrict = settings.overflow.policy === 'strict';
  return {
    group: settings.group,
    role: 'source',
    state: standing === 'source' ? worstOf(states) : standing,
    succession: source.succession.status(),
    generation: Buffer.from(superblock.generation).toString('hex'),
    acknowledge: settings.acknowledge,
    canBeLost: whatCanBeLost(settings.acknowledge, states, isStrict),
    // Targets that go by a promise of former settings: nobody is answered before they have been met.
    unmet: group.unmet,
    held: isServing ? group.held : [],
    cut: targets.length === 0 ? null : Math.min(...group.sessions.map(({ link }) => link.applied)),
    marks: group.marks,
    journal: {
      path: settings.journal.path,
      usedBytes: journal.head - journal.tail,
      bytes: superblock.ringBytes,
      errno: journal.journalErrno,
      hungMs: journal.journalHungMs,
    },
    volumes: settings.volumes.map(({ name, path }, index) => ({ name, path, bytes: superblock.volumes[index]?.bytes })),
    storage: {
      away: journal.isAway,
      errno: journal.volumeErrno,
      hungMs: journal.volumeHungMs,
      unflushedBytes: journal.head - journal.flushed,
    },
    targets,
    recorders: group.followers.map((follower) => follower.status()),
    at: new Date(systemClock.wallMs()).toISOString(),
  };
}

function targetStatus(
  session: TargetSession,
  group: SourceGroup,
  volumes: readonly { readonly bytes: number }[],
): Document & { readonly state: string } {
  const { link, behindBytes } = session;
  const outOfSyncBytes = outOfSyncOf(session, volumes);
  return {
    name: link.name,
    state: link.state,
    received: link.received,
    durable: link.durable,
    sealed: link.sealed,
    applied: link.applied,
    lag: {
      marks: Math.max(0, group.marks.admitted - link.durable),
      bytes: link.isOutdated ? outOfSyncBytes : behindBytes,
      seconds: group.behindMs(link) / 1000,
    },
    outOfSyncBytes,
    resync: session.resync,
    ordered: { paused: session.order.isPaused, resync: session.order.compare },
    verify: session.verified,
    scanned: session.order.scanned === 0 ? null : new Date(1000 * session.order.scanned).toISOString(),
    checkpoints: group.checkpointsOf(session),
    problem: session.problem,
    roomBytes: session.roomBytes,
    journal: { errno: session.health.journalErrno },
    storage: { errno: session.health.volumesErrno },
    session: link.session,
    connections: session.connections,
  };
}

/** No more than so much differs from what the target shows, beside what the journal keeps for it. */
function outOfSyncOf(
  { link, lacks, resync, isScanning }: TargetSession,
  volumes: readonly { readonly bytes: number }[],
): number {
  if (!link.isOutdated && resync === null) return 0;
  const all = volumes.reduce((sum, { bytes }) => sum + bytes, 0);
  if (isScanning) return all;
  return Math.min(all, lacks.bytes);
}

/** From good to bad. */
const ORDER = [
  'in-sync',
  'replicating',
  'resyncing',
  'scanning',
  'initialising',
  'journaling',
  'bitmap',
  'outdated',
  'stopped',
];

const worstOf = (states: readonly string[]): string =>
  ORDER[Math.max(0, ...states.map((state) => ORDER.indexOf(state)))] ?? 'in-sync';
