/**
 * What a process of the mirror is: its settings say what it was made for, its journal says what it has become. After a takeover
 * a target's process is a source, after a failback a source's is a target; a restart finds either.
 */
import { AgentError } from '../base/errors.ts';
import type { Diverged } from '../mirror/core/meeting.ts';
import { doubts } from '../mirror/core/takeover.ts';
import { DIVERGED_MAX } from '../mirror/link/greeting.ts';
import { TargetHistory } from '../history/host/target-history.ts';
import { claimRole, withdrawRole } from '../mirror/log/target-log.ts';
import { GENERATION_BYTES } from '../mirror/wire/layout.ts';
import { readJournalRole } from '../mirror/source/open-journal.ts';
import type { Machine } from '../mirror/machine.ts';
import { systemMachine } from '../mirror/system-machine.ts';
import { MirrorSource } from '../mirror/source/source.ts';
import { checkHasTargets, targetCommands } from '../mirror/source/operate.ts';
import { sourceStatus } from '../mirror/source/status.ts';
import { becomeTarget, beginGeneration } from '../mirror/source/turn-journal.ts';
import { Target } from '../mirror/target/target.ts';
import type { NbdServer } from '../nbd/server.ts';
import type { Log } from '../platform/log.ts';
import { isLoopback } from '../settings/address.ts';
import {
  sourceOfTarget,
  targetOfSource,
  type MirrorSourceSettings,
  type MirrorTargetSettings,
  type NbdListen,
} from '../settings/mirror.ts';
import type { MirrorKeys } from './mirror-keys.ts';
import type { Done, Request, Role } from './mirror-process.ts';

/** What every role needs. */
export interface RoleParts {
  readonly keys: Pick<MirrorKeys, 'cluster' | 'exports'>;
  readonly log: Pick<Log, 'log'>;
  readonly fatal: (error: Error) => void;
  /** What it runs on; left out: on this one. */
  readonly machine?: Machine;
  /** It runs as one of these now. */
  readonly opened?: (role: MirrorSource | Target) => void;
}

/** Of clients whose requests are under way. */
const CLOSE_GRACE_MS = 2000;
const HANDOVER_MS = 30_000;
const GOOD_NEWS: ReadonlySet<string> = new Set(['target-linked', 'target-in-sync', 'recorder-linked']);
/** For a cut that is under way; less than a client waits for an answer. */
const CUT_MS_MAX = 3000;

type Settings = MirrorSourceSettings | MirrorTargetSettings;

/** Opens what the journal says; where there is none, what the settings say. Throws an AgentError that says what to do. */
export async function openRole(settings: Settings, parts: RoleParts): Promise<Role> {
  const { path } = settings.journal;
  const { files } = machineOf(parts);
  const role = files.isUnmade(path) ? settings.role : readJournalRole(path, files.open(path));
  if (role === 'source') return sourceRole(settings.role === 'source' ? settings : sourceOfTarget(settings), parts);
  return targetRole(settings.role === 'target' ? settings : targetOfSource(settings), parts);
}

/** Whoever reaches it reads the volumes, and of a source writes them. */
function warnOpen(listen: NbdListen | null, { keys, log }: RoleParts): void {
  if (!listen || 'path' in listen || isLoopback(listen.host) || keys.exports !== null) return;
  const mend = 'set export.keyFile, or listen on 127.0.0.1 or unix:PATH';
  log.log('warn', 'export-open', { listen: listen.host, reason: 'other hosts reach it, and need no key', mend });
}

async function sourceRole(settings: MirrorSourceSettings, parts: RoleParts): Promise<Role> {
  const { keys, log, fatal } = parts;
  const source = await MirrorSource.open(
    settings,
    {
      keys: keys.cluster,
      exportKeys: keys.exports,
      tell: ({ kind, ...figures }) => log.log(GOOD_NEWS.has(kind) ? 'info' : 'warn', kind, figures),
      log: (line) => log.log('warn', line),
      fatal,
    },
    machineOf(parts),
  );
  warnOpen(settings.listen, parts);
  parts.opened?.(source);
  const { group, acknowledge, targets } = settings;
  log.log('info', 'running', { group, acknowledge, targets: targets.map(({ name }) => name).join(' ') });
  return {
    status: () => sourceStatus(source),
    commands: {
      ...targetCommands(source.monitor.group),
      'mirror-checkpoint': async () => {
        checkHasTargets(source.monitor.group);
        return { answer: { cut: await source.monitor.group.checkpoint(CUT_MS_MAX) } };
      },
      'mirror-handover': async () => ({ answer: await source.succession.handOver(HANDOVER_MS) }),
      'mirror-failback': async (request) => failBack(settings, source, request, parts),
      'mirror-takeover': async (request) => takeBack(settings, source, request, parts),
    },
    close: async () => source.close(),
  };
}

/** An overtaken source becomes a target of the one that overtook it. */
async function failBack(
  settings: MirrorSourceSettings,
  source: MirrorSource,
  request: Request,
  parts: RoleParts,
): Promise<Done> {
  const { succession, monitor } = source;
  const asTarget = targetOfSource(settings);
  const { standing, until } = succession.status();
  if (standing === 'source') {
    throw new AgentError('failed', 'no other side has taken over, as far as it is known here: nothing is given up');
  }
  const lost = succession.beyond();
  if (lost?.writes !== 0 && request['discard'] !== true) {
    const what = lost
      ? `${lost.writes} writes (${lost.bytes} bytes) in marks ${lost.first} to ${lost.last} are here alone`
      : `writes may be here alone: the journal here does not hold mark ${until} as the other side does`;
    throw new AgentError('failed', `${what}; to give them up, say stillbeat mirror failback --discard`);
  }
  const answer = { role: 'target', givenUp: lost ? { writes: lost.writes, bytes: lost.bytes } : 'unknown' };
  // Of split brain the common point lies in a former generation: it is compared as a whole.
  // A crash may have taken from the end what the other side has: then it is whole at its own end, if the other side finds it so.
  const isBehind = standing !== 'split-brain' && monitor.journal.end.mark < (until ?? 0);
  const isWhole = isBehind || (lost?.writes === 0 && standing !== 'split-brain');
  const next = async (): Promise<Role> => {
    await source.close();
    if (!monitor.journal.isAtRest) {
      throw new AgentError(
        'volume',
        'not all of the journal is on the volumes: check the storage, start it and try again',
      );
    }
    const { end, down } = monitor.journal;
    const until = down && { mark: down.cut, chain: down.cutChain };
    becomeTarget(settings.journal.path, machineOf(parts).files, isWhole && lost ? { ...end, ...until } : end, isWhole);
    parts.log.log('warn', 'failback', { givenUp: lost ? lost.writes : 'unknown' });
    const isKnown = until !== null && lost !== null && lost.regions.length <= DIVERGED_MAX;
    return targetRole(asTarget, parts, isKnown ? { until, regions: lost.regions } : null);
  };
  return { answer, next };
}

/** A source that was overtaken, or had given up its role, is one again, against the other. */
async function takeBack(
  settings: MirrorSourceSettings,
  source: MirrorSource,
  request: Request,
  parts: RoleParts,
): Promise<Done> {
  const { succession, monitor } = source;
  const { standing, until, rival } = succession.status();
  if (standing === 'source' || standing === 'split-brain') throw new AgentError('failed', 'it is a source already');
  if (request['force'] !== true) {
    const what =
      standing === 'overtaken'
        ? `what generation ${rival?.slice(0, 8)} wrote behind mark ${until} would be given up`
        : 'the target may have taken over, and what it wrote would be given up';
    throw new AgentError(
      'failed',
      `${what}; to be the source again all the same, say stillbeat mirror takeover --force`,
    );
  }
  const generation = machineOf(parts).random(GENERATION_BYTES);
  const answer = {
    role: 'source',
    generation: Buffer.from(generation).toString('hex'),
    mark: monitor.journal.end.mark,
  };
  const next = async (): Promise<Role> => {
    await source.close();
    if (!monitor.journal.isAtRest) {
      throw new AgentError(
        'volume',
        'not all of the journal is on the volumes: check the storage, start it and try again',
      );
    }
    beginGeneration(settings.journal.path, machineOf(parts).files, monitor.journal.end, generation);
    parts.log.log('warn', 'takeover', { generation: answer.generation, mark: answer.mark });
    return sourceRole(settings, parts);
  };
  return { answer, next };
}

async function targetRole(
  settings: MirrorTargetSettings,
  parts: RoleParts,
  diverged: Diverged | null = null,
): Promise<Role> {
  const { group, name, address, volumes, journal, listen } = settings;
  const { keys, log, fatal } = parts;
  const target = await Target.open(
    {
      group,
      name,
      keys: keys.cluster,
      listen: address,
      volumes,
      journal,
      diverged,
      isFollowed: settings.history !== null,
    },
    { log: (line) => log.log('info', line), fatal },
    machineOf(parts),
  );
  // A takeover that a crash cut off.
  if (target.isTakenOver) return goOnAsSource(target, settings, parts);
  const exports = { list: () => target.volumes };
  const warn = (line: string): void => void log.log('warn', line);
  const { network } = machineOf(parts);
  let server: Pick<NbdServer, 'close'> | null = null;
  let history: TargetHistory | null = null;
  try {
    history = await historyOf(settings, target, parts);
    server = listen && (await network.serve({ exports, listen, keys: keys.exports, log: warn }));
  } catch (error) {
    // Its threads are just starting: a process that ended now would be ended by them.
    await history?.close();
    await target.close();
    throw error;
  }
  warnOpen(listen, parts);
  parts.opened?.(target);
  log.log('info', 'running', { group, name });
  return {
    status: () => ({ role: 'target', ...target.status(), history: history?.status() ?? null }),
    commands: {
      'mirror-takeover': once(async (request) => takeOver(settings, { target, server, history }, request, parts)),
      ...(history && { 'history-prune': pruneBy(history, group) }),
    },
    close: async () => {
      await server?.close(CLOSE_GRACE_MS);
      await history?.close();
      await target.close();
    },
  };
}

/** One takeover at a time, and none behind one that was done: each would claim the role for another generation. */
function once(run: (request: Request) => Promise<Done>): (request: Request) => Promise<Done> {
  let isUnderWay = false;
  return async (request) => {
    if (isUnderWay) throw new AgentError('failed', 'a takeover is under way here: see stillbeat mirror status');
    isUnderWay = true;
    try {
      return await run(request);
    } catch (error) {
      isUnderWay = false;
      throw error;
    }
  };
}

/** What a target keeps itself; null where its settings say nothing of it. Throws an AgentError where the folder cannot be its own. */
async function historyOf(
  { history }: MirrorTargetSettings,
  { shown }: Target,
  parts: RoleParts,
): Promise<TargetHistory | null> {
  if (!history || !shown) return null;
  const log = (line: string, isGood = false): void => void parts.log.log(isGood ? 'info' : 'warn', line);
  return TargetHistory.open({ folder: history.path, retention: history.retention, shown, log }, machineOf(parts));
}

const pruneBy =
  (history: TargetHistory, monitor: string) =>
  async (request: Request): Promise<Done> => {
    const asked = typeof request['monitor'] === 'string' ? request['monitor'] : monitor;
    if (asked !== monitor) throw new AgentError('failed', `there is no recording of ${asked} here, but of ${monitor}`);
    return { answer: { pruned: [await history.prune(Number(request['beforeUs']), Infinity)] } };
  };

interface TargetRun {
  readonly target: Target;
  readonly server: Pick<NbdServer, 'close'> | null;
  readonly history: TargetHistory | null;
}

async function takeOver(
  settings: MirrorTargetSettings,
  { target, server, history }: TargetRun,
  request: Request,
  parts: RoleParts,
): Promise<Done> {
  sourceOfTarget(settings);
  const { log } = parts;
  const before = target.lineage;
  const generation = machineOf(parts).random(GENERATION_BYTES);
  const who = { ...settings, ...before };
  const claim = { generation, mark: before.end.mark };
  const device = settings.log && machineOf(parts).files.log(settings.log.path);
  const found = doubts({ ...target.facts, log: await claimRole(device, who, claim) });
  if (found.length > 0 && request['force'] !== true) {
    await withdrawRole(device, who, claim);
    throw new AgentError(
      'failed',
      `${found.join('; ')}; to take over all the same, say stillbeat mirror takeover --force`,
    );
  }
  // It records what a source has committed, and no more; a storage of it that hangs holds up nothing.
  const recorded = history?.close();
  await target.takeOver(generation);
  const { end } = target.lineage;
  const answer = {
    role: 'source',
    generation: Buffer.from(generation).toString('hex'),
    parent: before.generation,
    mark: end.mark,
    mayBeLost: found,
  };
  log.log('warn', 'takeover', { generation: answer.generation, parent: before.generation, mark: end.mark });
  for (const doubt of found) log.log('warn', `forced: ${doubt}`);
  const next = async (): Promise<Role> => {
    await server?.close(CLOSE_GRACE_MS);
    await recorded;
    return goOnAsSource(target, settings, parts);
  };
  return { answer, next };
}

async function goOnAsSource(target: Target, settings: MirrorTargetSettings, parts: RoleParts): Promise<Role> {
  await target.finishTakeover();
  return sourceRole(sourceOfTarget(settings), parts);
}

const machineOf = ({ machine = systemMachine }: RoleParts): Machine => machine;
