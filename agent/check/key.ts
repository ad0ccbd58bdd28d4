/** The cluster key's file. */
import { KeyError, readKeyFile } from '../settings/key.ts';
import type { Settings } from '../settings/settings.ts';
import { error, ok, warning, type Finding } from './finding.ts';

export function checkKey({ keyFile }: Settings): Finding[] {
  const name = 'key';
  if (keyFile === null) {
    const what = 'the agent runs open: anybody who reaches the network or a volume can inject packets';
    return [warning(name, what, 'make a key, and set keyFile instead of unauthenticated')];
  }
  try {
    readKeyFile(keyFile);
    return [ok(name, `key file ${keyFile} is readable by its owner only`)];
  } catch (caught) {
    if (caught instanceof KeyError) return [error(name, caught.what, caught.mend)];
    throw caught;
  }
}
