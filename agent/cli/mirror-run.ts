/** The process of a mirror's source or target, from its settings to its end. */
import { createLog, logLevel } from '../platform/log.ts';
import type { MirrorSourceSettings, MirrorTargetSettings } from '../settings/mirror.ts';
import { MirrorKeys } from './mirror-keys.ts';
import { serve } from './mirror-process.ts';
import { openRole } from './mirror-roles.ts';

/** Until a signal or a fault ends it; answers the exit status. `name`: what its log lines are from. */
export async function run(settings: MirrorSourceSettings | MirrorTargetSettings, name: string): Promise<number> {
  const log = createLog(name, process.stderr.isTTY, logLevel(process.env['STILLBEAT_LOG']));
  const keys = new MirrorKeys(settings);
  keys.readAtHangUp(log);
  return serve(settings, log, async (fatal) => openRole(settings, { keys, log, fatal }));
}
