/** What an operator does with a source's targets, over the control socket. */
import { AgentError } from '../../base/errors.ts';
import type { Machine } from '../machine.ts';
import type { SourceGroup } from './group.ts';
import type { TargetSession } from './target-session.ts';

type Request = Readonly<Record<string, unknown>>;
type Answer = Readonly<Record<string, unknown>>;

const HOUR_MS = 3_600_000;
/** How often it is looked whether it is time for a scan. */
const LOOK_MS = 60_000;

/** Its name alone may be left out where there is one target. */
function targetOf(group: SourceGroup, request: Request): TargetSession {
  const { target } = request;
  checkHasTargets(group);
  const names = group.sessions.map(({ link }) => link.name);
  const found = group.sessions.find(({ link }) => link.name === target);
  if (found) return found;
  throw new AgentError('usage', `there is no target ${String(target)}: name one of ${names.join(', ')}`);
}

/** Throws an AgentError where there is nothing that a command about targets could be about. */
export function checkHasTargets({ sessions, isFailed }: Pick<SourceGroup, 'sessions' | 'isFailed'>): void {
  if (sessions.length > 0) return;
  const why = isFailed ? 'this source has been overtaken: see stillbeat mirror status' : 'its settings name none';
  throw new AgentError('usage', `there is no target: ${why}`);
}

export const targetCommands = (
  group: SourceGroup,
): Readonly<Record<string, (request: Request) => Promise<{ readonly answer: Answer }>>> => ({
  'mirror-pause': async (request) => {
    const target = targetOf(group, request);
    target.pause();
    await group.keepOrders();
    return { answer: { target: target.link.name, state: target.link.state } };
  },
  'mirror-resume': async (request) => {
    const target = targetOf(group, request);
    const wasPaused = target.order.isPaused;
    target.resume();
    await group.keepOrders();
    return { answer: { target: target.link.name, state: target.link.state, wasPaused } };
  },
  'mirror-resync': async (request) => {
    const target = targetOf(group, request);
    if (target.link.state === 'stopped') {
      throw new AgentError('failed', `target ${target.link.name} is stopped: say stillbeat mirror resume first`);
    }
    target.compareAll(request['inPlace'] === true);
    await group.keepOrders();
    return { answer: { target: target.link.name, inPlace: request['inPlace'] === true } };
  },
  'mirror-verify': async (request) => {
    checkHasTargets(group);
    const targets = request['target'] === undefined ? group.sessions : [targetOf(group, request)];
    for (const target of targets) target.verify();
    return { answer: { targets: targets.map(({ link }) => link.name) } };
  },
});

/**
 * Verifies each target that is in sync when the last comparison of all of it ended so long ago: by the clock on the wall, for what was
 * restarted meanwhile does not count. Answers how to end that.
 */
export function scrubEvery(
  everyHours: number,
  group: Pick<SourceGroup, 'sessions'>,
  { timers, clock }: Pick<Machine, 'timers' | 'clock'>,
): () => void {
  if (everyHours === 0) return () => {};
  const everyMs = everyHours * HOUR_MS;
  return timers.every(Math.min(LOOK_MS, everyMs / 10), () => {
    const nowS = Math.floor(clock.wallMs() / 1000);
    for (const session of group.sessions) {
      const { scanned } = session.order;
      if (session.link.state !== 'in-sync') continue;
      // Nobody knows when, or the clock has been put back: from now on.
      if (scanned === 0 || scanned > nowS) session.scannedNow();
      else if ((nowS - scanned) * 1000 >= everyMs) session.verify();
    }
  });
}
