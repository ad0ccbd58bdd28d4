/** `stillbeat history`: the recorder's process, what is recorded, and any earlier state. */
import { usageError } from './commands.ts';

type Action = (argv: string[]) => Promise<number>;

/** Each loads what it needs: the recorder is no small thing, and who asks what there is needs none of it. */
const ACTIONS: Readonly<Record<string, () => Promise<Action>>> = {
  record: async () => (await import('./history-record.ts')).record,
  list: async () => (await import('./history-look.ts')).list,
  at: async () => (await import('./history-look.ts')).at,
  restore: async () => (await import('./history-restore.ts')).restore,
  serve: async () => (await import('./history-serve.ts')).serve,
  diff: async () => (await import('./history-look.ts')).diff,
  prune: async () => (await import('./history-prune.ts')).prune,
};

export async function history(argv: string[]): Promise<number> {
  const [action = '', ...rest] = argv;
  const load = Object.hasOwn(ACTIONS, action) ? ACTIONS[action] : undefined;
  if (!load) throw usageError('history', action === '' ? 'what of the history?' : `there is no history ${action}`);
  return (await load())(rest);
}
