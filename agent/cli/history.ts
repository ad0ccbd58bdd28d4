/** `stillbeat history`: the recorder's process, what is recorded, and any earlier state. */
import { usageError } from './commands.ts';
import { at, diff, list } from './history-look.ts';
import { prune, record } from './history-record.ts';
import { restore } from './history-restore.ts';
import { serve } from './history-serve.ts';

const ACTIONS: Readonly<Record<string, (argv: string[]) => Promise<number>>> = {
  record,
  list,
  at,
  restore,
  serve,
  diff,
  prune,
};

export async function history(argv: string[]): Promise<number> {
  const [action = '', ...rest] = argv;
  const run = Object.hasOwn(ACTIONS, action) ? ACTIONS[action] : undefined;
  if (!run) throw usageError('history', action === '' ? 'what of the history?' : `there is no history ${action}`);
  return run(rest);
}
