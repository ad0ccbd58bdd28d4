/** Everything that `stillbeat check` looks at, in the order it is told. */
import type { Settings } from '../settings/settings.ts';
import { checkBypass } from './bypass.ts';
import { error, type Finding } from './finding.ts';
import { checkCopy } from './copy.ts';
import { checkGateway } from './gateway.ts';
import { checkHost } from './host.ts';
import { checkKey } from './key.ts';
import { checkFormat } from './format.ts';
import { checkOperate } from './operate.ts';
import { checkPeers } from './peers.ts';
import { checkPrimary } from './primary.ts';
import { checkVnic } from './vnic.ts';
import { checkVolumes } from './volume.ts';

/** One topic. It looks and changes nothing. */
export type Check = (settings: Settings) => readonly Finding[] | Promise<readonly Finding[]>;

export const CHECKS: readonly Check[] = [
  checkHost,
  checkKey,
  checkVnic,
  checkPrimary,
  checkBypass,
  checkPeers,
  checkGateway,
  checkVolumes,
  checkFormat,
  checkCopy,
  checkOperate,
];

export async function runChecks(settings: Settings, checks: readonly Check[] = CHECKS): Promise<Finding[]> {
  const found = await Promise.all(checks.map((check) => guarded(check, settings)));
  return found.flat();
}

/** A check that fails itself must not hide what the others found. */
async function guarded(check: Check, settings: Settings): Promise<readonly Finding[]> {
  try {
    return await check(settings);
  } catch (caught) {
    const why = caught instanceof Error ? caught.message : String(caught);
    return [
      error('check', `${check.name} could not finish: ${why.split('\n')[0]}`, 'report this as a bug of stillbeat'),
    ];
  }
}
