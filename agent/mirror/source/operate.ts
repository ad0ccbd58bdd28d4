/** What an operator does with a source's targets, over the control socket. */
import { AgentError } from '../../base/errors.ts';
import type { Machine } from '../machine.ts';
import type { SourceGroup } from './group.ts';
import type { TargetSession } from './target-session.ts';

type Request = Readonly<Record<string, unknown>>;
type Answer = Readonly<Record<string, unknown>>;

const HOUR_MS = 3_600_000;

/** Its name alone may be left out where there is one target. */
function targetOf(group: SourceGroup, request: Request): TargetSession {
  const { target } = request;
  const names = group.sessions.map(({ link }) => link.name);
  const found = group.sessions.find(({ link }) => link.name === target);
  if (found) return found;
  throw new AgentError('usage', `there is no target ${String(target)}: name one of ${names.join(', ') || 'none'}`);
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
    target.resume();
    await group.keepOrders();
    return { answer: { target: target.link.name, state: target.link.state } };
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
    const targets = request['target'] === undefined ? group.sessions : [targetOf(group, request)];
    for (const target of targets) target.verify();
    return { answer: { targets: targets.map(({ link }) => link.name) } };
  },
});

/** Verifies each target that is in sync, at its time. Answers how to end that. */
export function scrubEvery(everyHours: number, group: SourceGroup, { timers }: Machine): () => void {
  if (everyHours === 0) return () => {};
  return timers.every(everyHours * HOUR_MS, () => {
    for (const session of group.sessions) if (session.link.state === 'in-sync') session.verify();
  });
}
