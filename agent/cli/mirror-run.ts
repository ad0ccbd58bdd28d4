/** The process of a mirror's source or target, from its settings to its end. */
import { createLog, logLevel } from '../platform/log.ts';
import type { Machine } from '../mirror/machine.ts';
import { formatInTurns } from '../mirror/source/format-journal.ts';
import { systemMachine } from '../mirror/system-machine.ts';
import type { MirrorSourceSettings, MirrorTargetSettings } from '../settings/mirror.ts';
import { MirrorKeys } from './mirror-keys.ts';
import { serve } from './mirror-process.ts';
import { openRole } from './mirror-roles.ts';

/** Until a signal or a fault ends it; answers the exit status. `name`: what its log lines are from. */
export async function run(settings: MirrorSourceSettings | MirrorTargetSettings, name: string): Promise<number> {
  const log = createLog(name, process.stderr.isTTY, logLevel(process.env['STILLBEAT_LOG']));
  const keys = new MirrorKeys(settings);
  keys.readAtHangUp(log);
  return serve(settings, log, async (fatal, isEnding) => {
    const make: Machine['files']['make'] = async (path, superblock) => formatInTurns(path, superblock, isEnding);
    const machine = { ...systemMachine, files: { ...systemMachine.files, make } };
    return openRole(settings, { keys, log, fatal, machine });
  });
}
