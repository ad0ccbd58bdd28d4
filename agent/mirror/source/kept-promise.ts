/** What a source has promised its targets, over a change of its settings (MI14): see `core/promise.ts`. */
import type { MirrorSourceSettings } from '../../settings/mirror.ts';
import { isTakenBack, type SourcePromise } from '../core/promise.ts';
import { POLICY } from '../store/superblock.ts';
import type { Monitor } from './monitor.ts';

export function promiseOf({ overflow, log }: Pick<MirrorSourceSettings, 'overflow' | 'log'>): SourcePromise {
  if (overflow.policy === 'strict') return 'strict';
  return log ? 'logged' : 'degrade';
}

const FORMER: Readonly<Record<SourcePromise, string>> = {
  degrade: '',
  strict: 'overflow.policy was strict',
  logged: 'there was a log device',
};

/**
 * Before any target is dialled. The superblock names the most that a target may go by: what is promised from now on before anybody
 * hears it, and what was promised until everybody has heard that it is so no more.
 */
export async function keepPromise(
  settings: Pick<MirrorSourceSettings, 'overflow' | 'log' | 'targets'>,
  { journal, group }: Monitor,
  log: (line: string) => void,
): Promise<void> {
  const now = promiseOf(settings);
  const { policy } = journal.superblock;
  const former = (['degrade', 'strict', 'logged'] as const).find((one) => POLICY[one] === policy) ?? 'degrade';
  if (former === now) return;
  const kept = async (): Promise<void> => journal.keep({ policy: POLICY[now] });
  if (!isTakenBack(former, now)) return kept();
  const names = settings.targets.map(({ name }) => name).join(', ');
  if (names !== '') {
    log(
      `${FORMER[former]}, and targets go by that: nobody is answered before each has been met (${names}). ` +
        'Set it as it was, or take out of targets what is gone for good',
    );
  }
  group.holdUntilMet(() => void kept().catch((error: Error) => log(error.message)));
}
